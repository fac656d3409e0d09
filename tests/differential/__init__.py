"""Random reconciliations, answered by Kalla, DuckDB and, for a share, PostgreSQL, compared row by row.

    generate (seed -> Case)        expressions, calls, arguments: typed, from the catalogue
                                   structure: levels of CTEs, windows, groups; refusals: what must not run
    oracle, postgres (the answer to the meaning of a match; translations, functions: their words)
    subject (Kalla's connectors, plan and engine)
    check (compare) -> shrink (a failing case to a small one) -> found (kept for good)
    pool (processes that are watched), mutations (mends taken out: the fuzz must see each)

Of Kalla it knows the catalogue, whose words it draws; the oracles' answers follow from the meaning alone.
"""
