"""Random reconciliations, answered by Kalla and by DuckDB, compared row by row.

    generate (seed -> Case) -> oracle (DuckDB's answer to the meaning of a match)
                            -> subject (Kalla's connectors, plan and engine)
                            -> compare -> shrink (a failing case to a small one)

Nothing here knows how Kalla works inside: the oracle is written from the meaning alone.
"""
