"""PostgreSQL types and their exact Arrow counterparts.

ADBC decodes some types exactly by itself. Others it hands out as raw bytes, flattens, or decodes
slowly (NUMERIC: measured three times as slow as text made by the server), so the server is asked to
cast them. `Column.wire` is what to SELECT, `Column.arrow` what comes of it in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any, Final, LiteralString

import pyarrow as pa
from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_runner.connectors.postgres.catalog import ColumnEntry
from kalla_runner.connectors.text_types_numbers import NumberLayout, bucket_type
from kalla_runner.connectors.type_names import MAX_PRECISION, decimal_type


class Kind(Enum):
    """How a value travels, and which values of it Arrow cannot hold."""

    PLAIN = "plain"
    """Decoded exactly by ADBC."""
    TEXT = "text"
    """Cast to text by the server."""
    DECIMAL = "decimal"
    """Cast to text by the server and to a decimal here; NaN and infinity have no decimal."""
    DATE = "date"
    """Days; ADBC turns infinity into a day that does not exist."""
    TIMESTAMP = "timestamp"
    """Microseconds; ADBC wraps infinity and the years from 294247 around."""
    TIME = "time"
    """Microseconds of the day; 24:00:00 is none."""


@dataclass(frozen=True, slots=True)
class Column:
    """How to read one column.

    Attributes:
        name: its name.
        value: SQL of its value, as filters compare it.
        wire: SQL to SELECT.
        kind: of the value, or of an array's elements.
        arrow: the exact Arrow type; None for a NUMERIC that sets no scale, until it is measured.
        is_list: whether it is an array.
        nullable: whether it may hold NULL.
        misfit: SQL condition that a value does not fit a type that the recipe declares.
    """

    name: str
    value: sql.Composable
    wire: sql.Composable
    kind: Kind
    arrow: Any
    is_list: bool
    nullable: bool
    misfit: sql.Composable | None = None

    def typed(self, arrow: pa.DataType) -> Column:
        """The same column with its measured Arrow type."""
        return replace(self, arrow=arrow)


_PLAIN: Final[Mapping[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
}
_TEMPORAL: Final[Mapping[str, tuple[Kind, pa.DataType]]] = {
    "date": (Kind.DATE, pa.date32()),
    "timestamp": (Kind.TIMESTAMP, pa.timestamp("us")),
    "timestamptz": (Kind.TIMESTAMP, pa.timestamp("us", tz="UTC")),
    "time": (Kind.TIME, pa.time64("us")),
}
# Types that are numbers, and what the server casts them to: money is a number of the server's
# currency with its own scale, and an object id does not fit ADBC's signed 32 bits.
_RECAST: Final[Mapping[str, LiteralString]] = {"money": "numeric", "oid": "int8"}


def column(entry: ColumnEntry, nan_as_null: bool, version: int) -> Column:
    """How to read a column of the catalogue.

    Args:
        entry: the column.
        nan_as_null: whether values that Arrow cannot hold become NULL.
        version: the server's version number.
    """
    reference: sql.Composable = sql.Identifier(entry.name)
    schema, name = entry.element or entry.type
    builtin = name if schema == "pg_catalog" else ""
    is_list = entry.element is not None
    if builtin in _RECAST:
        array = sql.SQL("[]" if is_list else "")
        reference = sql.SQL("({}::{}{})").format(reference, sql.SQL(_RECAST[builtin]), array)
        builtin = _RECAST[builtin]
    kind, arrow = _exact_type(builtin, entry)
    value = reference
    if kind is Kind.TEXT:
        value = sql.SQL("({}::text[])" if is_list else "({}::text)").format(reference)
    fixed = nan_as_null and kind in (Kind.DECIMAL, Kind.DATE, Kind.TIMESTAMP)
    if fixed:
        value = (
            _each(value, lambda v: null_if_bad(kind, v, version))
            if is_list
            else (null_if_bad(kind, value, version))
        )
    wire = value
    if kind is Kind.DECIMAL:
        wire = sql.SQL("{}::text[]" if is_list else "{}::text").format(value)
    return Column(
        name=entry.name,
        value=value,
        wire=wire,
        kind=kind,
        arrow=pa.list_(arrow) if is_list and arrow is not None else arrow,
        is_list=is_list,
        nullable=not entry.not_null or (fixed and not is_list),
    )


def _exact_type(builtin: str, entry: ColumnEntry) -> tuple[Kind, Any]:
    if builtin in _PLAIN:
        return Kind.PLAIN, _PLAIN[builtin]
    if builtin in _TEMPORAL:
        return _TEMPORAL[builtin]
    if builtin == "numeric":
        return Kind.DECIMAL, _declared_decimal(entry.modifier)
    return Kind.TEXT, pa.string()


def _declared_decimal(modifier: int) -> Any:
    """decimal(p, s) of a typmod; None if it sets none or more digits than Arrow has."""
    if modifier < 4:  # noqa: PLR2004 - a typmod is offset by its header of 4 bytes
        return None
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
    scale = (scale ^ 1024) - 1024  # eleven bits, signed
    # numeric(5,-2) holds seven digits without a fraction; numeric(2,5) two digits from the fourth place.
    precision, scale = (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)
    return decimal_type(precision, scale) if precision <= MAX_PRECISION else None


def _each(array: sql.Composable, change: Callable[[sql.Composable], sql.Composable]) -> sql.Composable:
    """An array with every element changed, in its order."""
    return sql.SQL(
        "CASE WHEN {array} IS NOT NULL THEN ARRAY(SELECT {changed} FROM unnest({array})"
        " WITH ORDINALITY AS list (element, place) ORDER BY place) END"
    ).format(array=array, changed=change(sql.SQL("element")))


def bad_value(kind: Kind, value: sql.Composable, version: int) -> sql.Composable | None:
    """SQL condition that a value is one that Arrow cannot hold; None if the kind has no such value."""
    match kind:
        case Kind.DECIMAL:
            return sql.SQL("{} IN ({})").format(value, _specials(version))
        case Kind.DATE:
            return sql.SQL("NOT isfinite({})").format(value)
        case Kind.TIMESTAMP:
            # The last microsecond that 64 bits count; the session's time zone is UTC.
            return sql.SQL("(NOT isfinite({0}) OR {0} > {1}::timestamp)").format(
                value, sql.Literal("294247-01-10 04:00:54.775807")
            )
        case Kind.TIME:
            return sql.SQL("{} = '24:00'::time").format(value)
        case _:
            return None


def null_if_bad(kind: Kind, value: sql.Composable, version: int) -> sql.Composable:
    """SQL of a value with NaN and infinity turned into NULL."""
    if kind is Kind.DECIMAL:
        return sql.SQL("(CASE WHEN {0} NOT IN ({1}) THEN {0} END)").format(value, _specials(version))
    return sql.SQL("(CASE WHEN isfinite({0}) THEN {0} END)").format(value)


def _specials(version: int) -> sql.Composable:
    names = ("NaN", "Infinity", "-Infinity") if version >= 140000 else ("NaN",)  # noqa: PLR2004 - since 14
    return sql.SQL(", ").join(sql.SQL("{}::numeric").format(sql.Literal(name)) for name in names)


_MEASURES: Final[tuple[LiteralString, ...]] = (
    "max(scale({0})) FILTER (WHERE {0} NOT IN ({1}))",
    "max({0}) FILTER (WHERE {0} NOT IN ({1}))",
    "min({0}) FILTER (WHERE {0} NOT IN ({1}))",
)
_MEASURES_OF_LISTS: Final[tuple[LiteralString, ...]] = (
    "max((SELECT max(scale(e)) FROM unnest({0}) AS list (e) WHERE e NOT IN ({1})))",
    "max((SELECT max(e) FROM unnest({0}) AS list (e) WHERE e NOT IN ({1})))",
    "min((SELECT min(e) FROM unnest({0}) AS list (e) WHERE e NOT IN ({1})))",
)


def measures(columns: Sequence[Column], version: int) -> list[sql.Composable]:
    """Three aggregates a column: the largest scale, the largest and the smallest finite number."""
    return [
        sql.SQL(measure).format(col.value, _specials(version))
        for col in columns
        for measure in (_MEASURES_OF_LISTS if col.is_list else _MEASURES)
    ]


def measured_type(
    col: Column, scale: int | None, most: Decimal | None, least: Decimal | None, what: str
) -> Any:
    """The decimal type that holds what was measured, in the same steps of width as for text files.

    Raises:
        KallaError: INVALID_DATA if that needs more digits than Arrow's widest decimal has.
    """
    whole = max((_whole_digits(number) for number in (most, least) if number is not None), default=0)
    scale = scale or 0
    if whole + scale > MAX_PRECISION:
        raise KallaError(
            Code.INVALID_DATA,
            f"Column {col.name!r} of {what} holds numbers that need {whole + scale} digits, more than the "
            f"{MAX_PRECISION} of the widest decimal; read it through a view that casts it to text.",
            column=col.name,
        )
    # The steps leave room for a digit before the dot, which 76 digits after it need not have.
    element = bucket_type(NumberLayout(whole, scale)) or decimal_type(MAX_PRECISION, scale)
    return pa.list_(element) if col.is_list else element


def _whole_digits(number: Decimal) -> int:
    return max(number.adjusted() + 1, 0) if number else 0
