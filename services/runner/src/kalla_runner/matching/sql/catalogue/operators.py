"""Operators, in the form of functions; `Entry.form` is how each is written."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import (
    ANY,
    BOOLEAN,
    DATE,
    DAYS,
    EXACT_NUMBER,
    INTEGER,
    MOMENT,
    NUMBER,
    ORDERED,
    TEXT,
    VALUE,
    one,
)

_ORDERED: Final = Parameter("value", ORDERED)
_TERM: Final = Parameter("interval", frozenset({Family.INTERVAL}), literal=True)
_DAY: Final = Parameter("date", DAYS)
_ZONE: Final = Parameter("zone", frozenset({Family.TEXT}), literal=True)
_REGEX: Final = one("pattern", Family.TEXT)
_JOINED: Final = Parameter(
    "value", frozenset({Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.BOOLEAN, Family.DATE})
)


def _compare(sign: str, meaning: str) -> Entry:
    return Entry(
        sign,
        "scalar",
        meaning,
        (Signature((_ORDERED, _ORDERED), duckdb=f"{{0}} {sign} {{1}}", result=Family.BOOLEAN, alike=True),),
        form=f"{{0}} {sign} {{1}}",
    )


def _truth(sign: str, meaning: str, form: str, *parameters: Parameter, alike: bool = False) -> Entry:
    return Entry(
        sign,
        "scalar",
        meaning,
        (Signature(parameters, duckdb=form, result=Family.BOOLEAN, alike=alike),),
        form=form,
    )


def _sum(sign: str, meaning: str) -> Entry:
    return Entry(
        sign,
        "scalar",
        meaning,
        (
            Signature((EXACT_NUMBER, EXACT_NUMBER), duckdb=f"{{0}} {sign} {{1}}"),
            Signature((NUMBER, NUMBER), result=Family.FLOAT),
            Signature((DATE, INTEGER), duckdb=f"({{0}} {sign} {{1}}::INTEGER)"),
            Signature((DATE, _TERM), duckdb=f"({{0}} {sign} {{1}})::DATE"),
            Signature((one("timestamp", Family.TIMESTAMP), _TERM), duckdb=f"{{0}} {sign} {{1}}"),
            Signature(
                (one("timestamp", Family.ZONED), _TERM),
                duckdb=f"({{0}}::TIMESTAMP {sign} {{1}})::TIMESTAMPTZ",
            ),
            *(
                (
                    Signature((DATE, DATE), duckdb="{0} - {1}", result=Family.INTEGER),
                    Signature((MOMENT, MOMENT), result=Family.DURATION, alike=True),
                )
                if sign == "-"
                else ()
            ),
        ),
        form=f"{{0}} {sign} {{1}}",
    )


def _bits(sign: str, meaning: str, duckdb: str | None = None) -> Entry:
    return Entry(
        sign,
        "scalar",
        meaning,
        (Signature((INTEGER, INTEGER), duckdb=duckdb or f"{{0}} {sign} {{1}}"),),
        form=f"{{0}} {sign} {{1}}",
    )


OPERATORS: Final[tuple[Entry, ...]] = (
    _sum("+", "The sum; of a date and an integer the date so many days later."),
    _sum("-", "The difference; of two dates the number of days."),
    Entry(
        "*",
        "scalar",
        "The product.",
        (
            Signature((EXACT_NUMBER, EXACT_NUMBER), duckdb="{0} * {1}"),
            Signature((NUMBER, NUMBER), result=Family.FLOAT),
        ),
        form="{0} * {1}",
    ),
    Entry(
        "/",
        "scalar",
        "The quotient as a decimal, also of integers, with at least 16 digits after the point.",
        (
            Signature((EXACT_NUMBER, EXACT_NUMBER), result=Family.DECIMAL),
            Signature((NUMBER, NUMBER), result=Family.FLOAT),
        ),
        form="{0} / {1}",
    ),
    Entry(
        "%",
        "scalar",
        "The remainder, with the sign of the first number.",
        (
            Signature(
                (EXACT_NUMBER, EXACT_NUMBER),
                duckdb="CASE WHEN {1} = 0 AND {0} IS NOT NULL "
                "THEN error('division by zero') ELSE {0} % {1} END",
            ),
        ),
        form="{0} % {1}",
    ),
    Entry(
        "-x", "scalar", "The number with the other sign.", (Signature((NUMBER,), duckdb="-{0}"),), form="-{0}"
    ),
    _bits("&", "The bits that both integers have."),
    _bits("|", "The bits that one of the integers has."),
    _bits("^", "The bits that exactly one of the integers has.", "xor({0}, {1})"),
    _compare("=", "Whether the values are equal."),
    _compare("<>", "Whether the values differ; also written !=."),
    _compare("<", "Whether the first value is smaller."),
    _compare("<=", "Whether the first value is not larger."),
    _compare(">", "Whether the first value is larger."),
    _compare(">=", "Whether the first value is not smaller."),
    _truth(
        "is distinct from",
        "Whether the values differ, where NULL equals NULL.",
        "{0} IS DISTINCT FROM {1}",
        _ORDERED,
        _ORDERED,
        alike=True,
    ),
    _truth(
        "is not distinct from",
        "Whether the values are equal, where NULL equals NULL.",
        "{0} IS NOT DISTINCT FROM {1}",
        _ORDERED,
        _ORDERED,
        alike=True,
    ),
    _truth(
        "between",
        "Whether the value is not smaller than one value and not larger than another; also NOT BETWEEN.",
        "{0} BETWEEN {1} AND {2}",
        _ORDERED,
        _ORDERED,
        _ORDERED,
        alike=True,
    ),
    _truth(
        "in",
        "Whether the value equals one of the others; also NOT IN, and IN (SELECT ...).",
        "{0} IN ({1}, {2})",
        _ORDERED,
        _ORDERED,
        _ORDERED,
        alike=True,
    ),
    _truth("is null", "Whether there is no value; also IS NOT NULL.", "{0} IS NULL", VALUE),
    _truth(
        "is true",
        "Whether a condition is true and not NULL; also IS FALSE, IS NOT TRUE.",
        "{0} IS TRUE",
        BOOLEAN,
    ),
    _truth("and", "Whether both conditions are true.", "{0} AND {1}", BOOLEAN, BOOLEAN),
    _truth("or", "Whether one of the conditions is true.", "{0} OR {1}", BOOLEAN, BOOLEAN),
    _truth("not", "Whether a condition is false.", "NOT {0}", BOOLEAN),
    Entry(
        "like",
        "scalar",
        "Whether the text fits a pattern: % is any text, _ one character, \\ takes the next as it is.",
        (Signature((TEXT, _REGEX), duckdb="{0} LIKE {1} ESCAPE '\\'", result=Family.BOOLEAN),),
        form="{0} LIKE {1}",
    ),
    Entry(
        "ilike",
        "scalar",
        "As LIKE, whatever the case of letters.",
        (Signature((TEXT, _REGEX), result=Family.BOOLEAN),),
        form="{0} ILIKE {1}",
    ),
    Entry(
        "~",
        "scalar",
        "Whether a regular expression matches somewhere; !~ that it does not.",
        (Signature((TEXT, _REGEX), duckdb="regexp_matches({0}, {1})", result=Family.BOOLEAN),),
        form="{0} ~ {1}",
    ),
    Entry(
        "~*",
        "scalar",
        "As ~, whatever the case of letters.",
        (Signature((TEXT, _REGEX), duckdb="regexp_matches({0}, {1}, 'i')", result=Family.BOOLEAN),),
        form="{0} ~* {1}",
    ),
    Entry(
        "||",
        "scalar",
        "Both values as one text; NULL if one is NULL.",
        (
            Signature((TEXT, _JOINED), duckdb="{0} || {1}", result=Family.TEXT),
            Signature((_JOINED, TEXT), duckdb="{0} || {1}", result=Family.TEXT),
        ),
        form="{0} || {1}",
    ),
    Entry(
        "case",
        "scalar",
        "The value after the first condition that is true; ELSE without one.",
        (
            Signature(
                (BOOLEAN, Parameter("then", ANY), Parameter("otherwise", ANY)),
                duckdb="CASE WHEN {0} THEN {1} ELSE {2} END",
            ),
        ),
        form="CASE WHEN {0} THEN {1} ELSE {2} END",
    ),
    Entry(
        "position",
        "scalar",
        "The position of a part, the first being 1; 0 where it does not occur.",
        (Signature((one("part", Family.TEXT), TEXT), duckdb="instr({1}, {0})", result=Family.INTEGER),),
        form="POSITION({0} IN {1})",
    ),
    Entry(
        "at time zone",
        "scalar",
        "A timestamp with time zone as the local time of a zone; one without as local time there.",
        (
            Signature(
                (one("timestamp", Family.TIMESTAMP), _ZONE),
                duckdb="{0} AT TIME ZONE {1}",
                result=Family.ZONED,
            ),
            Signature(
                (one("timestamp", Family.ZONED), _ZONE),
                duckdb="{0} AT TIME ZONE {1}",
                result=Family.TIMESTAMP,
            ),
        ),
        form="{0} AT TIME ZONE {1}",
    ),
)
