"""Window functions: name(...) OVER (PARTITION BY ... ORDER BY ...). Aggregates may be used so too."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import ANY, VALUE

_COUNT: Final = Parameter("count", frozenset({Family.INTEGER}), literal=True)
_DEFAULT: Final = Parameter("default", ANY, literal=True)


def _place(name: str, meaning: str, result: Family = Family.INTEGER) -> Entry:
    return Entry(name, "window", meaning, (Signature((), duckdb=f"{name}()", result=result),))


def _neighbour(name: str, meaning: str) -> Entry:
    return Entry(
        name,
        "window",
        meaning,
        (
            Signature((VALUE,), duckdb=f"{name}({{0}})"),
            Signature((VALUE, _COUNT), duckdb=f"{name}({{0}}, {{1}})"),
            Signature((VALUE, _COUNT, _DEFAULT), duckdb=f"{name}({{0}}, {{1}}, {{2}})"),
        ),
    )


WINDOW_FUNCTIONS: Final[tuple[Entry, ...]] = (
    _place("row_number", "The number of the row, from 1."),
    _place("rank", "The rank, with gaps after rows of one rank."),
    _place("dense_rank", "The rank, without gaps."),
    _place("percent_rank", "The rank from 0 to 1, a float.", Family.FLOAT),
    _place("cume_dist", "The share of rows up to this one, a float.", Family.FLOAT),
    Entry(
        "ntile",
        "window",
        "The number of the row's part when the rows are cut into so many parts of nearly one size.",
        (Signature((_COUNT,), duckdb="ntile({0})", result=Family.INTEGER),),
    ),
    _neighbour(
        "lag", "The value some rows before, 1 if not said; the default, or NULL, where there is none."
    ),
    _neighbour(
        "lead", "The value some rows after, 1 if not said; the default, or NULL, where there is none."
    ),
    Entry(
        "nth_value",
        "window",
        "The value of the row of that number in the frame.",
        (Signature((VALUE, _COUNT), duckdb="nth_value({0}, {1})"),),
    ),
)
