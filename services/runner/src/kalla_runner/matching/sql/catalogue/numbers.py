"""Functions over numbers. Decimals stay exact; a function whose result is a float says so."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import (
    DECIMAL,
    DIGITS,
    EXACT_NUMBER,
    FLOAT,
    INTEGER,
    NUMBER,
)


def _same(name: str, meaning: str, duckdb: str, *aliases: str) -> Entry:
    return Entry(name, "scalar", meaning, (Signature((NUMBER,), duckdb=duckdb),), aliases)


def _float(
    name: str, meaning: str, duckdb: str | None, *parameters: Parameter, aliases: tuple[str, ...] = ()
) -> Entry:
    return Entry(
        name, "scalar", meaning, (Signature(parameters, duckdb=duckdb, result=Family.FLOAT),), aliases
    )


NUMBER_FUNCTIONS: Final[tuple[Entry, ...]] = (
    _same("abs", "The number without its sign.", "abs({0})"),
    Entry(
        "sign",
        "scalar",
        "-1, 0 or 1.",
        (Signature((NUMBER,), duckdb="sign({0})", result=Family.INTEGER),),
        ("signum",),
    ),
    Entry(
        "round",
        "scalar",
        "Rounded to so many digits after the point, half away from zero.",
        (
            Signature((EXACT_NUMBER,), duckdb="round({0})"),
            Signature((EXACT_NUMBER, DIGITS), duckdb="round({0}, {1})"),
            Signature((FLOAT,), duckdb="round({0})"),
            Signature((FLOAT, DIGITS), duckdb="round({0}, {1})"),
        ),
    ),
    Entry(
        "trunc",
        "scalar",
        "Cut off after so many digits after the point.",
        (
            Signature((INTEGER,), duckdb="{0}"),
            Signature((DECIMAL,), duckdb="trunc({0})"),
            Signature((DECIMAL, DIGITS), duckdb="trunc({0}, {1})"),
            Signature((FLOAT,), duckdb="trunc({0})"),
        ),
    ),
    Entry(
        "ceil",
        "scalar",
        "The smallest whole number that is not smaller.",
        (
            Signature((INTEGER,), duckdb="{0}"),
            Signature((DECIMAL,), duckdb="ceil({0})"),
            Signature((FLOAT,), duckdb="ceil({0})"),
        ),
        ("ceiling",),
    ),
    Entry(
        "floor",
        "scalar",
        "The largest whole number that is not larger.",
        (
            Signature((INTEGER,), duckdb="{0}"),
            Signature((DECIMAL,), duckdb="floor({0})"),
            Signature((FLOAT,), duckdb="floor({0})"),
        ),
    ),
    Entry(
        "mod",
        "scalar",
        "The remainder, with the sign of the first number; as a % b.",
        (
            Signature(
                (EXACT_NUMBER, EXACT_NUMBER),
                duckdb="CASE WHEN {1} = 0 AND {0} IS NOT NULL "
                "THEN error('division by zero') ELSE {0} % {1} END",
            ),
        ),
    ),
    Entry(
        "gcd",
        "scalar",
        "The greatest common divisor.",
        (Signature((INTEGER, INTEGER), duckdb="gcd({0}, {1})"),),
    ),
    Entry(
        "lcm",
        "scalar",
        "The least common multiple.",
        (Signature((INTEGER, INTEGER), duckdb="lcm({0}, {1})"),),
    ),
    _float(
        "sqrt",
        "The square root, a float.",
        "CASE WHEN {0} < 0 THEN error('negative') ELSE sqrt({0}) END",
        NUMBER,
    ),
    _float(
        "power",
        "The first number to the power of the second, a float.",
        None,
        NUMBER,
        NUMBER,
        aliases=("pow",),
    ),
    _float("exp", "e to the power of the number, a float.", None, NUMBER),
    _float("ln", "The natural logarithm, a float.", None, NUMBER),
    _float("log10", "The logarithm to base 10, a float.", None, NUMBER),
    Entry(
        "isnan",
        "scalar",
        "Whether a float is not a number.",
        (Signature((FLOAT,), duckdb="isnan({0})", result=Family.BOOLEAN),),
    ),
)
