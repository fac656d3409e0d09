"""Types of text columns, decided over all values, and their exact conversion.

    blocks of text -> shape_of -> Shape, joined over all blocks -> data_type -> convert

A `Shape` is what a column's values have in common. Shapes join, so the type of a whole column
comes out the same however its rows were split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import compute

from kalla_runner.connectors.text_types_numbers import (
    NumberLayout,
    bucket_type,
    number_layout,
    text_bytes,
    to_decimal,
)

_pc: Final[Any] = compute  # its functions come into being at import: checkers do not see them
_INT64_MOST_DIGITS: Final = 19
_DATE_LENGTH: Final = 10
_MINUTE_LENGTH: Final = 16
_COLON_AT: Final = 13
_FIRST_DAY: Final = -719_162
"""0001-01-01 in days from 1970: the calendars of Python and PostgreSQL have no year 0."""
_FIRST_MICRO: Final = _FIRST_DAY * 86_400_000_000
_LAST_MICRO: Final = (date.max.toordinal() - 719_163 + 1) * 86_400_000_000 - 1


class Kind(Enum):
    """What all values of a column are."""

    NULL = "null"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INSTANT = "timestamp with time zone"
    BOOLEAN = "boolean"
    TEXT = "text"


_NUMBERS: Final = frozenset({Kind.INTEGER, Kind.DECIMAL})


@dataclass(frozen=True, slots=True)
class Shape:
    """What a column's values have in common; numbers also say how many digits they need.

    Attributes:
        kind: what the values are.
        digits: most digits before the decimal point, a lone 0 counting as none.
        scale: most digits after it.
    """

    kind: Kind
    digits: int = 0
    scale: int = 0

    def join(self, other: Shape) -> Shape:
        """The shape of both columns' values together."""
        if self.kind is Kind.NULL:
            return other
        if other.kind is Kind.NULL:
            return self
        digits, scale = max(self.digits, other.digits), max(self.scale, other.scale)
        if self.kind is other.kind:
            return Shape(self.kind, digits, scale)
        if self.kind in _NUMBERS and other.kind in _NUMBERS:
            return Shape(Kind.DECIMAL, digits, scale)
        return Shape(Kind.TEXT)

    @property
    def data_type(self) -> pa.DataType:
        """The Arrow type of such a column: utf8 for NULLs only and for numbers beyond 76 digits."""
        if self.kind is Kind.DECIMAL:
            return bucket_type(NumberLayout(self.digits, self.scale)) or pa.string()
        return _TYPES.get(self.kind, pa.string())


_TYPES: Final[dict[Kind, pa.DataType]] = {
    Kind.INTEGER: pa.int64(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.BOOLEAN: pa.bool_(),
}


class MisfitError(Exception):
    """A value does not fit the type. `position` is its place in the array."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


_KINDS: Final[tuple[tuple[re.Pattern[str], Kind], ...]] = (
    (re.compile(r"-?\d+(\.\d+)?", re.ASCII), Kind.INTEGER),
    (re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), Kind.DATE),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+", re.ASCII), Kind.TIMESTAMP),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)", re.ASCII), Kind.INSTANT),
    (re.compile(r"true|false"), Kind.BOOLEAN),
)
_EXPONENT: Final = r"^-?(0|[1-9]\d{0,75})(\.\d{1,76})?[eE][+-]?\d{1,2}$"
_LONGEST: Final = 80
"""No value longer than this is anything but text: 76 digits, a sign, a dot, a zero before it."""


def shape_of(values: pa.StringArray) -> Shape:
    """The shape of one array: the narrowest that every value has."""
    position = first_valid(values)
    if position is None:
        return Shape(Kind.NULL)
    first = values[position].as_py()
    # The first value says which kinds are left to try; the conversion then looks at every value.
    kind = next(
        (kind for pattern, kind in _KINDS if len(first) <= _LONGEST and pattern.fullmatch(first)), None
    )
    if kind is Kind.INTEGER:
        return _number_shape(values)
    if kind is None or try_convert(values, _TYPES[kind]) is None:
        return Shape(Kind.TEXT)
    return Shape(kind)


def first_valid(values: pa.Array) -> int | None:
    """The place of the first value that is not NULL, None if there is none."""
    if values.null_count == 0:
        return 0 if len(values) else None
    if values.null_count == len(values):
        return None
    return int(np.argmax(np.asarray(values.is_valid())))


def _number_shape(values: pa.StringArray) -> Shape:
    layout = number_layout(text_bytes(values))
    if layout is None:
        return Shape(Kind.TEXT)
    if layout.scale or layout.digits > _INT64_MOST_DIGITS:
        return Shape(Kind.DECIMAL, layout.digits, layout.scale)
    if layout.digits == _INT64_MOST_DIGITS and _cast(values, pa.int64()) is None:
        return Shape(Kind.DECIMAL, layout.digits)
    return Shape(Kind.INTEGER, layout.digits)


def convert(values: pa.StringArray, target: pa.DataType) -> tuple[pa.Array, Shape]:
    """The values in type `target`, exactly, and their shape.

    The target is int64, a decimal, date32, timestamp[us] (UTC or without zone), bool or utf8. For
    utf8 the shape is TEXT and nothing is looked at.

    Raises:
        MisfitError: a value does not fit, with the place of the first such value.
    """
    if pa.types.is_string(target):
        return values, Shape(Kind.TEXT)
    converted = try_convert(values, target)
    if converted is None:
        raise MisfitError(_first_misfit(values, target))
    return converted


def fit(values: pa.StringArray, target: pa.DataType) -> pa.Array:
    """As `convert`, for a declared type: other ways to write the same number are taken as well.

    These are a plus sign, an exponent, and zeros after a decimal's scale.

    Raises:
        MisfitError: a value does not fit, with the place of the first such value.
    """
    number = pa.types.is_decimal(target) or pa.types.is_int64(target)
    if number and try_convert(values, target) is None:
        values = _plainly_written(values, target.scale if pa.types.is_decimal(target) else 0)
    return convert(values, target)[0]


def _plainly_written(values: pa.StringArray, scale: int) -> pa.StringArray:
    """Numbers as inference takes them; nothing is lost: 1.500 is 1.50, while 1.505 stays as it is."""
    values = _pc.replace_substring_regex(values, r"^\+(\d)", r"\1")
    exponents = _pc.match_substring_regex(values, _EXPONENT)
    if _pc.any(exponents).as_py():
        written = [format(Decimal(text), "f") for text in values.filter(exponents).to_pylist()]
        values = _pc.replace_with_mask(
            values, _pc.fill_null(exponents, False), pa.array(written, pa.string())
        )
    if scale:
        surplus = ((rf"(\.\d{{{scale}}}\d*?)0+$", r"\1"),)
    else:
        surplus = ((r"^-0\.0+$", "0"), (r"^(-?\d+)\.0+$", r"\1"))
    for pattern, kept in surplus:
        values = _pc.replace_substring_regex(values, pattern, kept)
    return values


def try_convert(values: pa.StringArray, target: pa.DataType) -> tuple[pa.Array, Shape] | None:
    """As `convert`, but None where a value does not fit; `target` is not utf8."""
    if pa.types.is_int64(target):
        shape = _number_shape(values) if values.null_count < len(values) else Shape(Kind.NULL)
        if shape.kind not in (Kind.INTEGER, Kind.NULL):
            return None
        return values.cast(target), shape
    if pa.types.is_decimal(target):
        return _decimals(values, target)
    if pa.types.is_boolean(target):
        converted = _booleans(values)
    elif pa.types.is_date32(target):
        converted = _dates(values)
    else:
        converted = _timestamps(values, target)
    if converted is None:
        return None
    return converted, Shape(_KIND_OF[target] if values.null_count < len(values) else Kind.NULL)


_KIND_OF: Final = {data_type: kind for kind, data_type in _TYPES.items()}


def _decimals(values: pa.StringArray, target: pa.DataType) -> tuple[pa.Array, Shape] | None:
    layout = number_layout(text_bytes(values))
    if layout is None or layout.scale > target.scale or layout.digits + target.scale > target.precision:
        return None
    kind = Kind.DECIMAL if values.null_count < len(values) else Kind.NULL
    return to_decimal(values, layout, target), Shape(kind, layout.digits, layout.scale)


def _booleans(values: pa.StringArray) -> pa.Array | None:
    true = _pc.equal(values, "true")
    if _pc.all(_pc.or_(true, _pc.equal(values, "false")), min_count=0).as_py():
        return true
    return None


def _dates(values: pa.StringArray) -> pa.Array | None:
    dates = _cast(values, pa.date32())
    if dates is None:
        return None
    least = _pc.min(dates.cast(pa.int32())).as_py()
    return dates if least is None or least >= _FIRST_DAY else None


def _timestamps(values: pa.StringArray, target: pa.DataType) -> pa.Array | None:
    text = text_bytes(values)
    if len(text.starts):
        if int(text.lengths.min()) < _MINUTE_LENGTH:
            return None
        # Arrow would also take an hour without minutes.
        if not bool((text.data[text.starts + _COLON_AT] == ord(":")).all()):
            return None
    stamps = _cast(values, target)
    if stamps is None:
        return None
    limits = _pc.min_max(stamps.cast(pa.int64())).as_py()
    if limits["min"] is not None and (limits["min"] < _FIRST_MICRO or limits["max"] > _LAST_MICRO):
        return None
    return stamps


def _cast(values: pa.StringArray, target: pa.DataType) -> pa.Array | None:
    try:
        return values.cast(target)
    except pa.ArrowInvalid:
        return None


def _first_misfit(values: pa.StringArray, target: pa.DataType) -> int:
    """Each value fits or not by itself, so the shortest prefix that fails ends in the first misfit."""
    good, bad = 0, len(values)
    while bad - good > 1:
        middle = (good + bad) // 2
        if try_convert(values.slice(good, middle - good), target) is None:
            bad = middle
        else:
            good = middle
    return good
