"""Dates and timestamps in forms that hold for every year.

Timestamps are microseconds where the engine would take nanoseconds, which end in the year 2262:
`valid_to = TIMESTAMP '9999-12-31 00:00:00'` is what many a table means by "for ever". Parts and beginnings of
dates are computed from integers for the same reason.
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.dialect import bare
from kalla_runner.matching.sql.formats import Pattern, escaped
from kalla_runner.matching.sql.marks import put, shown
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import Typer

_MICROSECONDS: Final = 6
_MOMENTS: Final = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ)
_FRACTION: Final = re.compile(r"\.(\d+)")


def widen_literals(query: exp.Query) -> None:
    """Read literal moments as microseconds, in place; those with more digits stay nanoseconds."""
    for cast in query.find_all(exp.Cast):
        text = cast.this
        if _is_open(cast) and isinstance(text, exp.Literal) and text.is_string:
            fraction = _FRACTION.search(text.name)
            if fraction is None or len(fraction[1]) <= _MICROSECONDS:
                _set_precision(cast)


def widen_dates(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Turn days into microseconds where a SELECT casts them to timestamps, in place."""
    casts = [node for node in own_parts(scope) if isinstance(node, exp.Cast) and _is_open(node)]
    types = typer.types([cast.this for cast in casts], found, quiet=True)
    for cast, data_type in zip(casts, types, strict=True):
        if data_type is not None and pa.types.is_date(data_type):
            _set_precision(cast)


def _is_open(cast: exp.Cast) -> bool:
    """Whether a cast is to a timestamp of no certain precision."""
    return cast.to.this in _MOMENTS and not cast.to.expressions


def _set_precision(cast: exp.Cast) -> None:
    cast.to.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(_MICROSECONDS))])


TICKS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
UNITS: Final = {"s": "Second", "ms": "Millisecond", "us": "Microsecond", "ns": "Nanosecond"}
_PARTS: Final = frozenset(
    {"year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "hour", "minute", "second", "isoyear"}
)
_SECONDS: Final = {"hour": 3_600, "minute": 60, "second": 1}
_STARTS: Final = {
    "year": "make_date(date_part('year', {0}), 1, 1)",
    "quarter": "make_date(date_part('year', {0}), 3 * date_part('quarter', {0}) - 2, 1)",
    "month": "make_date(date_part('year', {0}), date_part('month', {0}), 1)",
    "week": "(CAST({0} AS DATE) - CAST(date_part('isodow', {0}) AS BIGINT) + CAST(1 AS BIGINT))",
    "day": "CAST({0} AS DATE)",
}


def arrow_timestamp(data_type: pa.DataType, zone: str | None) -> str:
    """A timestamp type of the same precision, as arrow_cast names it; of microseconds for a date."""
    unit = UNITS[data_type.unit if pa.types.is_timestamp(data_type) else "us"]
    return f"Timestamp({unit}, None)" if zone is None else f'Timestamp({unit}, Some("{zone}"))'


def date_part(node: exp.Expr, unit: str, value: exp.Expr, data_type: pa.DataType, found: Resolution) -> None:
    """Check the unit of date_part or EXTRACT, and make its epoch exact, in place."""
    if unit != "epoch":
        if unit not in _PARTS:
            _unknown_unit(node, unit, sorted({*_PARTS, "epoch"}), found)
        elif unit in _SECONDS and pa.types.is_date(data_type):
            found.problem(Code.TYPE_MISMATCH, f"{shown(value)} is a date, which has no {unit}.", node)
        return
    if pa.types.is_date(data_type):
        put(node, f"CAST(arrow_cast(CAST({{0}} AS DATE), 'Int32') AS BIGINT) * {24 * 3600}", [value], found)
        return
    scale = len(str(TICKS[data_type.unit])) - 1
    number = "CAST(arrow_cast({0}, 'Int64') AS DECIMAL(20,0))"
    if scale:
        tick = f"CAST('{10**-scale:.{scale}f}' AS DECIMAL({scale + 1},{scale}))"
        number = f"CAST({number} * {tick} AS DECIMAL(20,{scale}))"
    put(node, number, [value], found)


def date_trunc(node: exp.Expr, unit: str, value: exp.Expr, data_type: pa.DataType, found: Resolution) -> None:
    """Rewrite date_trunc in place: of a date a date, else a timestamp, also outside 1677 to 2262."""
    is_date = pa.types.is_date(data_type)
    if unit in _STARTS:
        start = _STARTS[unit]
        kept = start if is_date else f"arrow_cast({start}, '{arrow_timestamp(data_type, data_type.tz)}')"
        put(node, kept, [value], found)
    elif unit not in _SECONDS:
        _unknown_unit(node, unit, [*_STARTS, *_SECONDS], found)
    elif is_date:
        found.problem(Code.TYPE_MISMATCH, f"{shown(value)} is a date, which has no {unit}.", node)
    else:
        step = _SECONDS[unit] * TICKS[data_type.unit]
        number = "arrow_cast({0}, 'Int64')"
        rest = f"(({number} % {step} + {step}) % {step})"
        target = arrow_timestamp(data_type, data_type.tz)
        put(node, f"arrow_cast({number} - {rest}, '{target}')", [value], found)


def _unknown_unit(node: exp.Expr, unit: str, known: list[str], found: Resolution) -> None:
    found.problem(Code.INVALID_SQL, f"'{unit}' is not a unit here: write one of {', '.join(known)}.", node)


def zoned(node: exp.AtTimeZone, data_type: pa.DataType, found: Resolution) -> None:
    """Give AT TIME ZONE its meaning in SQL, in place: zoned timestamps as local time, and back."""
    zone = bare(node.args["zone"]).name
    if not re.fullmatch(r"[A-Za-z0-9_+:/-]+", zone):
        found.problem(
            Code.INVALID_SQL, f"'{zone}' is not a time zone: write for example 'Europe/Berlin'.", node
        )
        return
    if data_type.tz is not None:
        put(
            node,
            f"to_local_time(arrow_cast({{0}}, '{arrow_timestamp(data_type, zone)}'))",
            [node.this],
            found,
        )
    else:
        local = f"arrow_cast({{0}}, '{arrow_timestamp(data_type, zone)}')"
        put(node, f"arrow_cast({local}, '{arrow_timestamp(data_type, 'UTC')}')", [node.this], found)


def write_moment(node: exp.Anonymous, pattern: Pattern, data_type: pa.DataType) -> None:
    """Give to_char the engine's form of its pattern; a zoned timestamp is written in UTC."""
    value = node.expressions[0]
    node.set("this", "to_char")
    node.expressions[1].replace(exp.Literal.string(pattern.engine))
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:
        # The engine goes by nanoseconds for zoned ones.
        hole = exp.Null()
        value.replace(hole)
        hole.replace(exp.Anonymous(this="to_local_time", expressions=[value]))


def read_moment(node: exp.Anonymous, pattern: Pattern, found: Resolution, *, to_date: bool) -> None:
    """Rewrite to_date or to_timestamp with a pattern, in place.

    A text of another form gets a remark at its end, with which no conversion takes it: the engine's own
    takes 02/03/24 for a day of the year 24.
    """
    remark = f" (not of the form {pattern.text})"
    marked = f"({{0}} || {_literal(remark)})"
    shape = f"^\\s*{pattern.regex}\\s*{escaped(remark)}$"
    if to_date or not _by_digits(pattern):
        whole = f"regexp_replace({marked}, {_literal(shape)}, {_literal(_again(pattern))})"
        function = "to_date" if to_date else "to_timestamp_micros"
        read = f"{function}({whole}, {_literal(pattern.engine)})"
        put(node, read if to_date else f"to_local_time({read})", [node.expressions[0]], found)
        return
    iso = f"regexp_replace({marked}, {_literal(shape)}, {_literal(_iso(pattern))})"
    put(node, f"CAST({iso} AS TIMESTAMP(6))", [node.expressions[0]], found)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("{", "{{").replace("}", "}}") + "'"


def _by_digits(pattern: Pattern) -> bool:
    return pattern.fields <= {"Y", "m", "d", "H", "M", "S", "3f", "6f"}


def _again(pattern: Pattern) -> str:
    """What the pattern's regular expression found, put together again."""
    pieces: list[str] = []
    group = 0
    for is_field, part in pattern.parts:
        group += is_field
        pieces.append(f"${{{group}}}" if is_field else part.replace("$", "$$"))
    return "".join(pieces)


def _iso(pattern: Pattern) -> str:
    def field(code: str) -> str:
        return f"${{{pattern.group(code)}}}" if code in pattern.fields else "00"

    fraction = next((f".{field(code)}" for code in ("3f", "6f") if code in pattern.fields), "")
    return f"{field('Y')}-{field('m')}-{field('d')} {field('H')}:{field('M')}:{field('S')}{fraction}"
