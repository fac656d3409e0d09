r"""Plain numbers in columns of text: checked byte by byte and converted exactly, a whole column at once.

A plain number is `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, and `-0` is none. Arrow's own casts are more
generous (hexadecimal, exponents, leading zeros), so the text is checked before they see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kalla_runner.connectors.type_names import decimal_type

Ints = npt.NDArray[np.integer[Any]]

_MINUS: Final = ord("-")
_DOT: Final = ord(".")
_SLASH: Final = ord("/")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")
_DOUBLE_DIGITS: Final = 15
"""Numbers of up to 15 digits survive the way through a double: the error stays below a quarter unit."""
_INT64_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class TextBytes:
    """The non-NULL values of a text column as one run of bytes.

    Attributes:
        data: the bytes of all values, uint8, without gaps.
        starts, ends: where each value starts and ends in `data`, int32, shape (values,).
    """

    data: npt.NDArray[np.uint8]
    starts: Ints
    ends: Ints

    @property
    def lengths(self) -> Ints:
        """Bytes of each value, shape (values,)."""
        return self.ends - self.starts


def text_bytes(values: pa.StringArray) -> TextBytes:
    """The bytes of a utf8 array's non-NULL values; copies only where NULLs hide bytes."""
    _, offset_buffer, data_buffer = values.buffers()
    if not len(values):
        return TextBytes(np.zeros(0, np.uint8), np.zeros(0, np.int32), np.zeros(0, np.int32))
    offsets = np.frombuffer(offset_buffer, np.int32)[values.offset : values.offset + len(values) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    empty = np.zeros(0, np.uint8)
    data = np.frombuffer(data_buffer, np.uint8)[first:last] if data_buffer is not None else empty
    offsets = offsets - first if first else offsets
    starts, ends = offsets[:-1], offsets[1:]
    if values.null_count:
        valid = np.asarray(values.is_valid())
        starts, ends = starts[valid], ends[valid]
        if int((ends - starts).sum(dtype=np.int64)) != len(data):
            return text_bytes(pa.concat_arrays([values.drop_null()]))
    return TextBytes(data, starts, ends)


@dataclass(frozen=True, slots=True)
class NumberLayout:
    """What the numbers of a column need: most digits before the dot (a lone 0 is none), most after it."""

    digits: int
    scale: int


def number_layout(text: TextBytes) -> NumberLayout | None:
    """The layout of a column whose every value is a plain number, else None."""
    data, starts = text.data, text.starts
    if not len(starts):
        return NumberLayout(0, 0)
    if int(text.lengths.min()) == 0 or not _only_number_bytes(data):
        return None
    minus = data[starts] == _MINUS
    negative = bool(minus.any())
    if int(np.count_nonzero(data == _MINUS)) != (int(np.count_nonzero(minus)) if negative else 0):
        return None
    dots = _dots(text)
    if dots is None:
        return None
    whole_end, scale = dots
    first = starts + minus if negative else starts
    digits = whole_end - first
    if int(digits.min()) < 1:
        return None
    zero = data[first] == _ZERO
    if bool((zero & (digits > 1)).any()):
        return None
    if negative and bool((zero & minus & (whole_end == text.ends)).any()):
        return None
    most = int(digits.max())
    return NumberLayout(0 if most == 1 and bool(zero.all()) else most, scale)


def _only_number_bytes(data: npt.NDArray[np.uint8]) -> bool:
    # Of the bytes from "-" to "9" only "/" belongs to no number.
    return bool(data.min() >= _MINUS and data.max() <= _NINE) and not bool((data == _SLASH).any())


def _dots(text: TextBytes) -> tuple[Ints, int] | None:
    """Where the digits before the dot end in each value, and the most digits after it.

    None if a value has two dots, or one with no digit behind it.
    """
    places = np.flatnonzero(text.data == _DOT).astype(np.int32)
    if not len(places):
        return text.ends, 0
    if len(places) == len(text.starts):
        rows = None
        starts, ends = text.starts, text.ends
    else:
        rows = np.searchsorted(text.ends, places, side="right")
        if len(rows) > 1 and not bool((rows[1:] > rows[:-1]).all()):
            return None
        starts, ends = text.starts[rows], text.ends[rows]
    if not bool(((starts <= places) & (places < ends - 1)).all()):
        return None
    scale = int((ends - places).max()) - 1
    if rows is None:
        return places, scale
    whole_end = text.ends.copy()
    whole_end[rows] = places
    return whole_end, scale


def to_decimal(values: pa.StringArray, layout: NumberLayout, target: pa.DataType) -> pa.Array:
    """Plain numbers as decimals of type `target`, which must have room for `layout`."""
    scale = target.scale
    total = layout.digits + scale
    if not pa.types.is_decimal128(target) or total > _INT64_DIGITS:
        return _cast_decimal(values, target)
    if total <= _DOUBLE_DIGITS:
        doubles = _filled(values.cast(pa.float64()))
        units = np.rint(doubles * float(10**scale)).astype(np.int64)
        return _decimal128(units, values, target)
    if layout.scale == 0:
        units = _filled(values.cast(pa.int64())) * np.int64(10**scale)
        return _decimal128(units, values, target)
    return _cast_decimal(values, target)


def _cast_decimal(values: pa.StringArray, target: pa.DataType) -> pa.Array:
    return values.cast(target)


def _filled(numbers: pa.Array) -> npt.NDArray[Any]:
    """The numbers without a copy; where NULL, whatever Arrow left there becomes 0."""
    if numbers.null_count:
        numbers = numbers.fill_null(0)
    return numbers.to_numpy(zero_copy_only=True)


def _decimal128(units: npt.NDArray[np.int64], values: pa.StringArray, target: pa.DataType) -> pa.Array:
    """Decimals from 64-bit counts of the smallest unit, NULL where `values` is."""
    pairs = np.empty((len(units), 2), "<i8")
    pairs[:, 0] = units
    np.right_shift(units, 63, out=pairs[:, 1])
    validity = None
    if values.null_count:
        validity = pa.array(np.asarray(values.is_valid())).buffers()[1]
    return pa.Array.from_buffers(target, len(units), [validity, pa.py_buffer(pairs)])


def bucket_type(layout: NumberLayout) -> pa.DataType | None:
    """The decimal type that inference takes: 18, 38 or 76 digits at the scale seen; None above 76.

    Steps instead of the exact width keep a recipe's types the same while its data grow, and
    products and sums of two 18-digit numbers exact.
    """
    total = max(layout.digits, 1) + layout.scale
    for precision in (18, 38, 76):
        if total <= precision:
            return decimal_type(precision, layout.scale)
    return None
