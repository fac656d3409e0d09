"""Aggregates. NULLs are left out, except by count(*) and array_agg; without any value the result is NULL."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import (
    BOOLEAN,
    DAYS,
    DECIMAL,
    EXACT_NUMBER,
    FLOAT,
    INTEGER,
    NUMBER,
    NUMBERS,
    ORDERED,
    TEXT,
    VALUE,
)

_ORDERED: Final = Parameter("value", ORDERED)
_EXTREME: Final = Parameter("value", NUMBERS | DAYS | {Family.TEXT})


def _float(name: str, meaning: str, *aliases: str) -> Entry:
    return Entry(name, "aggregate", meaning, (Signature((NUMBER,), result=Family.FLOAT),), aliases)


def _bits(name: str, meaning: str) -> Entry:
    return Entry(name, "aggregate", meaning, (Signature((INTEGER,), duckdb=f"{name}({{0}})"),))


AGGREGATE_FUNCTIONS: Final[tuple[Entry, ...]] = (
    Entry(
        "count",
        "aggregate",
        "The number of values that are not NULL; count(*) of rows.",
        (
            Signature((VALUE,), duckdb="count({0})", result=Family.INTEGER),
            Signature((), duckdb="count(*)", result=Family.INTEGER),
        ),
    ),
    Entry(
        "sum",
        "aggregate",
        "The sum: exact, or an error where it does not fit.",
        (
            Signature((INTEGER,), duckdb="sum({0})"),
            Signature((DECIMAL,), duckdb="sum({0})"),
            Signature((FLOAT,)),
        ),
    ),
    Entry(
        "avg",
        "aggregate",
        "The mean, by the rule of division: with at least 16 digits after the point.",
        (Signature((EXACT_NUMBER,), result=Family.DECIMAL), Signature((FLOAT,))),
        ("mean",),
    ),
    Entry("min", "aggregate", "The smallest value.", (Signature((_EXTREME,), duckdb="min({0})"),)),
    Entry("max", "aggregate", "The largest value.", (Signature((_EXTREME,), duckdb="max({0})"),)),
    Entry(
        "median",
        "aggregate",
        "The middle value, or the mean of the two middle ones.",
        (Signature((EXACT_NUMBER,), result=Family.DECIMAL), Signature((FLOAT,), duckdb="median({0})")),
    ),
    Entry(
        "any_value",
        "aggregate",
        "One of the values, which one is not said.",
        (Signature((VALUE,)),),
    ),
    Entry(
        "first_value",
        "aggregate",
        "The value of the first row in the order that ORDER BY gives.",
        (Signature((VALUE,)),),
    ),
    Entry(
        "last_value",
        "aggregate",
        "The value of the last row in the order that ORDER BY gives.",
        (Signature((VALUE,)),),
    ),
    Entry(
        "array_agg",
        "aggregate",
        "All values as a list, NULLs included; ORDER BY in it gives their order.",
        (Signature((_ORDERED,), duckdb="array_agg({0})", result=Family.LIST),),
    ),
    Entry(
        "string_agg",
        "aggregate",
        "All texts as one with a delimiter between them; ORDER BY in it gives their order.",
        (
            Signature(
                (TEXT, Parameter("delimiter", frozenset({Family.TEXT}), literal=True)),
                duckdb="string_agg({0}, {1})",
            ),
        ),
        ("group_concat", "listagg"),
    ),
    Entry(
        "bool_and",
        "aggregate",
        "Whether all values are true.",
        (Signature((BOOLEAN,), duckdb="bool_and({0})"),),
        ("every",),
    ),
    Entry(
        "bool_or", "aggregate", "Whether any value is true.", (Signature((BOOLEAN,), duckdb="bool_or({0})"),)
    ),
    _bits("bit_and", "The bits that all integers have."),
    _bits("bit_or", "The bits that any integer has."),
    _bits("bit_xor", "The bits that an odd number of integers have."),
    _float("stddev_samp", "The standard deviation of a sample, a float.", "stddev"),
    _float("stddev_pop", "The standard deviation of all values, a float."),
    _float("var_samp", "The variance of a sample, a float.", "var", "var_sample"),
    _float("var_pop", "The variance of all values, a float.", "var_population"),
    Entry(
        "grouping",
        "aggregate",
        "1 where a row of GROUPING SETS, ROLLUP or CUBE is not grouped by the column, else 0.",
        (Signature((VALUE,), duckdb="grouping({0})", result=Family.INTEGER),),
    ),
)

KEY_KEEPING: Final = frozenset({"any_value", "first_value", "last_value", "max", "min"})
"""Aggregates whose result is one of the values that went in."""
