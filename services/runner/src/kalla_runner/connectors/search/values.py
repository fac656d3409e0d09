"""JSON values of documents as exact Arrow columns.

Whole columns are converted at once where their values are written as one expects; only where they
are not, each value is looked at by itself, and the first that does not fit is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
from pyarrow import compute

from kalla_runner.connectors.search.columns import Column, Kind
from kalla_runner.connectors.search.json_text import Digits
from kalla_runner.connectors.search.single_values import one_by_one
from kalla_runner.connectors.text_types import MisfitError, fit, try_convert

_pc: Final[Any] = compute
_UNTYPED: Final = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)
_UTC: Final = pa.timestamp("us", tz="UTC")
_NAIVE: Final = pa.timestamp("us")
_LEAST_MILLIS: Final = 10_000
"""A number of four digits in a date field is a year to the engine, not a count."""
_MOST_MILLIS: Final = 253_402_300_800_000
_A_DAY: Final = 86_400 * 10**9
_PER_UNIT: Final = {"us": 1000, "ns": 1}


Values = Sequence[Any] | pa.Array
"""What JSON holds for a field, one value a document, None where it is missing; or an array of it."""


def to_arrow(values: Values, column: Column) -> pa.Array:
    """The values of one column.

    Raises:
        UnreadableValueError: for the first value that does not fit.
    """
    converted = _ready(values, column)
    if converted is None:
        plain: Any = values
        converted = one_by_one(plain.to_pylist() if isinstance(values, pa.Array) else plain, column)
    return converted if column.constant is None else _pc.fill_null(converted, column.constant)


def _ready(values: Values, column: Column) -> pa.Array | None:
    """All of them at once, None where that cannot be."""
    array: Any = values if isinstance(values, pa.Array) else None
    if array is not None and array.type == column.arrow:
        return array
    whole = _WHOLE.get(column.kind)
    try:
        return None if whole is None else whole(values, column)
    except _UNTYPED:
        return None


def _plain(values: Values, column: Column) -> pa.Array:
    return pa.array(values, column.arrow)


def _strings(values: Values) -> pa.Array | None:
    """Numbers as they are written; a list, an object or a boolean makes it None."""
    texts: list[str | None] = []
    for value in values:
        kind = type(value)
        if kind is Digits or kind is str or value is None:
            texts.append(value)
        elif kind is int:
            texts.append(str(value))
        else:
            return None
    return pa.array(texts, pa.string())


def _decimals(values: Values, column: Column) -> pa.Array | None:
    texts = _strings(values)
    converted = None if texts is None else try_convert(texts, column.arrow)
    return None if converted is None else converted[0]


def _floats(values: Values, column: Column) -> pa.Array | None:
    texts = _strings(values)
    if texts is None:
        return None
    numbers = texts.cast(column.arrow)
    return numbers if _pc.all(_pc.is_finite(numbers), min_count=0).as_py() else None


def _dates(values: Values, column: Column) -> pa.Array | None:
    dates = column.dates
    arrow = column.arrow
    if dates is None or not dates.iso or arrow not in (_UTC, _NAIVE, pa.date32()):
        return None
    first = next((value for value in values if value is not None), None)
    if isinstance(first, int) and dates.epoch_millis and arrow != pa.date32():
        return _milliseconds(values, arrow)
    texts = pa.array(values, pa.string())
    if arrow == pa.date32():
        converted = try_convert(texts, pa.date32())
        return None if converted is None else converted[0]
    for written in (_UTC, _NAIVE, pa.date32()):
        converted = try_convert(texts, written)
        if converted is not None:
            # A date without a zone is meant in UTC.
            stamps = converted[0] if written != pa.date32() else converted[0].cast(_NAIVE)
            return stamps.cast(pa.int64()).cast(arrow)
    return None


def _milliseconds(values: Values, arrow: pa.DataType) -> pa.Array | None:
    counts = pa.array(values, pa.int64())
    limits = _pc.min_max(counts).as_py()
    if limits["min"] < _LEAST_MILLIS or limits["max"] >= _MOST_MILLIS:
        return None
    return _pc.multiply(counts, 1000).cast(arrow)


def _typed_texts(values: Values, column: Column) -> pa.Array | None:
    try:
        return fit(pa.array(values, pa.string()), column.arrow)
    except MisfitError:
        return None


_WHOLE: Final[dict[Kind, Callable[[Values, Column], pa.Array | None]]] = {
    Kind.TEXT: _plain,
    Kind.INTEGER: _plain,
    Kind.DECIMAL: _decimals,
    Kind.FLOAT: _floats,
    Kind.BOOLEAN: _plain,
    Kind.DATE: _dates,
    Kind.DECLARED_TEXT: _plain,
    Kind.TYPED_TEXT: _typed_texts,
}
