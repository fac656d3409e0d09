"""What Kalla knows of the engine's functions: which ones a match query may not call, and why."""

from __future__ import annotations

from typing import Final

TOLERANCE: Final = "tolerance_match"

CLOCK: Final = frozenset(
    {"now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
RANDOM: Final = frozenset({"rand", "random", "uuid"})
ROW_GENERATORS: Final = frozenset({"generate_series", "range", "unnest"})
ENVIRONMENT: Final = frozenset(
    {"file_row_index", "input_file_name", "version", "current_user", "current_schema", "current_catalog"}
    | {"session_user", "user", "current_database"}
)

AGGREGATES: Final = frozenset(
    {
        *(
            "any_value",
            "approx_distinct",
            "approx_median",
            "approx_percentile_cont",
            "approx_percentile_cont_with_weight",
            "array_agg",
        ),
        *("avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or"),
        *("corr", "count", "covar", "covar_pop", "covar_samp", "first_value"),
        *("grouping", "last_value", "max", "mean", "median", "min"),
        *("nth_value", "percentile_cont", "quantile_cont", "regr_avgx", "regr_avgy", "regr_count"),
        *("regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy"),
        *("stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "var"),
        *("var_pop", "var_population", "var_samp", "var_sample"),
    }
)
KEY_KEEPING: Final = frozenset({"any_value", "first_value", "last_value", "max", "min"})
"""Aggregates whose result is one of the values that went in."""


def refusal(name: str) -> str | None:
    """Say why a match query may not call `name`, or None if it may."""
    if name in CLOCK:
        return (
            f"{name} is not available in match_sql, because a rerun would give another answer: "
            "write the moment as a literal, for example DATE '2024-12-31'."
        )
    if name in RANDOM:
        return f"{name} is not available in match_sql, because a rerun would give another answer."
    if name in ROW_GENERATORS:
        return f"{name} is not available in match_sql, because it makes rows that come from no source."
    if name in ENVIRONMENT:
        return f"{name} is not available in match_sql: a match reads its sources and nothing else."
    return None
