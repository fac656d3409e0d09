"""Typed filters as a WHERE condition that keeps the same rows as DataFusion would.

Text is compared by code points (COLLATE "C"), numbers exactly, and a NULL satisfies nothing.
Identifiers and literals are quoted by the driver; nothing is pasted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import pyarrow as pa
from psycopg import sql

from kalla_runner.connectors.filters import Comparison, TypedFilter
from kalla_runner.connectors.type_names import is_text

_OPERATORS: Final[dict[Comparison, LiteralString]] = {
    Comparison.EQ: "{} = {}",
    Comparison.NEQ: "{} <> {}",
    Comparison.GT: "{} > {}",
    Comparison.GTE: "{} >= {}",
    Comparison.LT: "{} < {}",
    Comparison.LTE: "{} <= {}",
    Comparison.LIKE: "{} LIKE {}",
}
_ORDERED: Final = frozenset({Comparison.GT, Comparison.GTE, Comparison.LT, Comparison.LTE})
_CODE_POINT_ORDER: Final = frozenset({"UTF8", "LATIN1", "SQL_ASCII"})
"""Encodings whose bytes are in the order of Unicode's code points."""
_NEVER: Final = sql.SQL("false")
_MICROSECONDS_A_DAY: Final = 86_400_000_000


def where(
    filters: Sequence[TypedFilter], values: Mapping[str, sql.Composable], encoding: str = "UTF8"
) -> sql.Composable:
    """The condition that all filters make together, `true` for none.

    Args:
        filters: checked against the columns.
        values: SQL of each column's value.
        encoding: the server's encoding.
    """
    parts = [sql.SQL("({})").format(_condition(typed, values[typed.column], encoding)) for typed in filters]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _condition(typed: TypedFilter, value: sql.Composable, encoding: str) -> sql.Composable:
    if typed.comparison is Comparison.NEVER:
        return _NEVER
    if typed.comparison is Comparison.NOT_NULL:
        return sql.SQL("{} IS NOT NULL").format(value)
    if is_text(typed.data_type):
        return _text_condition(typed, value, encoding)
    literals = [_literal(scalar) for scalar in typed.values]
    return _compared(typed.comparison, value, literals)


def _compared(
    comparison: Comparison, value: sql.Composable, literals: Sequence[sql.Composable]
) -> sql.Composable:
    if comparison is Comparison.IN:
        return sql.SQL("{} IN ({})").format(value, sql.SQL(", ").join(literals))
    return sql.SQL(_OPERATORS[comparison]).format(value, literals[0])


def _text_condition(typed: TypedFilter, value: sql.Composable, encoding: str) -> sql.Composable:
    """Text by code points. PostgreSQL's text holds no NUL character, a literal may."""
    by_bytes = sql.SQL('{} COLLATE "C"').format(value)
    texts: list[str] = [scalar.as_py() for scalar in typed.values]
    comparison = typed.comparison
    if comparison is Comparison.IN:
        texts = [text for text in texts if "\0" not in text]
        if not texts:
            return _NEVER
    elif "\0" in texts[0]:
        if comparison in (Comparison.EQ, Comparison.LIKE):
            return _NEVER
        if comparison is Comparison.NEQ:
            return sql.SQL("{} IS NOT NULL").format(value)
        # "ab\0c" lies directly behind "ab" among the texts without a NUL.
        texts[0] = texts[0].partition("\0")[0]
        after = comparison in (Comparison.GT, Comparison.GTE)
        comparison = Comparison.GT if after else Comparison.LTE
    literals = [sql.SQL("{}::text").format(sql.Literal(text)) for text in texts]
    if comparison in _ORDERED and encoding not in _CODE_POINT_ORDER:
        # Bytes of the server's encoding need not be in the order of code points; those of UTF-8 are.
        utf8: LiteralString = "convert_to({}, 'UTF8')"
        return _compared(
            comparison, sql.SQL(utf8).format(value), [sql.SQL(utf8).format(lit) for lit in literals]
        )
    return _compared(comparison, by_bytes, literals)


def _literal(scalar: Any) -> sql.Composable:
    """An Arrow scalar as a literal of the matching PostgreSQL type."""
    kind = scalar.type
    types = pa.types
    if types.is_boolean(kind):
        return sql.SQL("true" if scalar.as_py() else "false")
    if types.is_integer(kind):
        return _typed(str(scalar.as_py()), "int8")
    if types.is_decimal(kind):
        return _typed(format(scalar.as_py(), "f"), "numeric")
    if types.is_floating(kind):
        return _typed(repr(float(scalar.as_py())), "float4" if kind.bit_width == 32 else "float8")  # noqa: PLR2004
    if types.is_date(kind):
        return _day(scalar.cast(pa.int32()).as_py())
    if types.is_time(kind):
        return _clock(scalar.cast(pa.int64()).as_py())
    if types.is_timestamp(kind):
        return _moment(scalar.cast(pa.int64()).as_py(), zoned=kind.tz is not None)
    msg = f"no literal of type {kind}"
    raise TypeError(msg)


def _typed(text: str, name: LiteralString) -> sql.Composable:
    return sql.SQL("{}::" + name).format(sql.Literal(text))


def _day(days: int) -> sql.Composable:
    """Days since 1970, also before Christ."""
    return sql.SQL("(DATE '1970-01-01' + {})").format(sql.SQL("({}::int4)").format(sql.Literal(str(days))))


def _clock(microseconds: int) -> sql.Composable:
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    return _typed(f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{fraction:06}", "time")


def _moment(microseconds: int, *, zoned: bool) -> sql.Composable:
    days, rest = divmod(microseconds, _MICROSECONDS_A_DAY)
    moment = sql.SQL("({} + {})").format(_day(days), _clock(rest))
    return sql.SQL("({} AT TIME ZONE 'UTC')").format(moment) if zoned else moment
