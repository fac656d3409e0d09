"""A run's answer, found once more by another engine, and compared.

    translate   match_sql as its author wrote it -> DuckDB's SQL, or why that is not certain
    tables      staged rows                      -> tables in DuckDB, filters applied there
    answer      both answers                     -> counts and hashes of keys, an example that differs
    witness     all of it for one run            -> a report, or WITNESS_DISAGREES

Nothing here asks the match engine: neither for types nor for rows. What both have in common is how
names in match_sql are found, and the staged files.
"""
