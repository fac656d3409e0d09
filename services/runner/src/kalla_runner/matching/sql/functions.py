"""Which functions a match query may not call, and why; what it may call is in the catalogue."""

from __future__ import annotations

import difflib
from typing import Final

from kalla_runner.matching.sql.catalogue import NAMES, find
from kalla_runner.matching.sql.catalogue.equivalents import EQUIVALENTS

TOLERANCE: Final = "tolerance_match"

_CLOCK: Final = frozenset(
    {"now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
    | {"getdate", "sysdate", "systimestamp", "curdate"}
)
_RANDOM: Final = frozenset({"rand", "random", "uuid", "newid", "gen_random_uuid"})
_ROW_GENERATORS: Final = frozenset({"generate_series", "range", "unnest"})
_ENVIRONMENT: Final = frozenset(
    {"file_row_index", "input_file_name", "version", "current_user", "current_schema", "current_catalog"}
    | {"session_user", "user", "current_database"}
)


def refusal(name: str) -> str | None:
    """Say why a match query may not call `name` at all, or None if it is not forbidden."""
    if name in _CLOCK:
        return (
            f"{name} is not available in match_sql, because a rerun would give another answer: "
            "write the moment as a literal, for example DATE '2024-12-31'."
        )
    if name in _RANDOM:
        return f"{name} is not available in match_sql, because a rerun would give another answer."
    if name in _ROW_GENERATORS:
        also = "; for a value in a list write array_has(list, value)" if name == "unnest" else ""
        return f"{name} is not available in match_sql, because it makes rows that come from no source{also}."
    if name in _ENVIRONMENT:
        return f"{name} is not available in match_sql: a match reads its sources and nothing else."
    return None


def unknown(name: str) -> str | None:
    """Say what to write in place of a function that is not in the catalogue; None if it is there."""
    if name == TOLERANCE or find(name) is not None:
        return None
    instead = EQUIVALENTS.get(name)
    if instead is not None:
        return f"{name} is not available in match_sql: {instead}."
    near = difflib.get_close_matches(name, [*NAMES, TOLERANCE], n=1, cutoff=0.75)
    hint = f"did you mean {near[0]}?" if near else "docs/functions.md lists the functions that there are."
    return f"There is no function {name} in match_sql: {hint}"
