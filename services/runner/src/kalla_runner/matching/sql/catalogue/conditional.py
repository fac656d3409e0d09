"""Functions that choose among values. All values must be of one kind."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import ANY, BOOLEAN, ORDERED, VALUE

_ORDERED: Final = Parameter("value", ORDERED)
_THEN: Final = Parameter("then", ANY)
_ELSE: Final = Parameter("otherwise", ANY)

CONDITIONAL_FUNCTIONS: Final[tuple[Entry, ...]] = (
    Entry(
        "coalesce",
        "scalar",
        "The first value that is not NULL.",
        (Signature((VALUE,), repeated=True, duckdb="coalesce({all})", alike=True),),
        ("nvl", "ifnull", "isnull"),
    ),
    Entry(
        "nullif",
        "scalar",
        "NULL where both values are equal, else the first.",
        (Signature((VALUE, VALUE), duckdb="nullif({0}, {1})", alike=True),),
    ),
    Entry(
        "greatest",
        "scalar",
        "The largest value; NULLs are left out.",
        (Signature((_ORDERED,), repeated=True, duckdb="greatest({all})", alike=True),),
    ),
    Entry(
        "least",
        "scalar",
        "The smallest value; NULLs are left out.",
        (Signature((_ORDERED,), repeated=True, duckdb="least({all})", alike=True),),
    ),
    Entry(
        "if",
        "scalar",
        "The second value where the condition is true, else the third; as CASE.",
        (
            Signature(
                (BOOLEAN, _THEN, _ELSE), optional=1, duckdb="CASE WHEN {0} THEN {1} ELSE {2} END", result=None
            ),
        ),
        ("iif",),
    ),
    Entry(
        "nvl2",
        "scalar",
        "The second value where the first is not NULL, else the third.",
        (Signature((VALUE, _THEN, _ELSE), duckdb="CASE WHEN {0} IS NOT NULL THEN {1} ELSE {2} END"),),
    ),
)
