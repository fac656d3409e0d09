"""64-bit hashes of whole columns: equal values have equal hashes, so unequal hashes prove unequal values.

The reverse is not promised: whoever finds equal hashes compares the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

Hashes = npt.NDArray[np.uint64]

_SEED: Final = np.uint64(0x9E3779B97F4A7C15)
_FACTOR: Final = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT: Final = np.uint64(32)
_WORD: Final = 8
_LOW_BYTES: Final = np.array([(1 << (_WORD * count)) - 1 for count in range(_WORD + 1)], dtype=np.uint64)
"""Masks that keep the first 0 to 8 bytes of a little-endian word."""


def hash_rows(columns: Sequence[pa.Array]) -> Hashes:
    """One hash a row over all columns; what stands for a NULL is undefined.

    Args:
        columns: arrays of one length, of any type; nested types all hash alike.
    """
    hashes = np.full(len(columns[0]), _SEED, dtype=np.uint64)
    for column in columns:
        for word in _words(column):
            hashes = _mix(hashes, word)
    return hashes


def _mix(hashes: Hashes, word: Hashes) -> Hashes:
    mixed = (hashes ^ word) * _FACTOR
    mixed ^= mixed >> _SHIFT
    return mixed


def _words(column: pa.Array) -> list[Hashes]:
    """The column's values as 64-bit words, a list of equally long arrays."""
    data_type = column.type
    if not len(column):
        return []
    if pt.is_string(data_type) or pt.is_binary(data_type):
        return [_text(column, np.dtype(np.int32))]
    if pt.is_large_string(data_type) or pt.is_large_binary(data_type):
        return [_text(column, np.dtype(np.int64))]
    if pt.is_boolean(data_type):
        return _fixed(column.cast(pa.uint8()), 1)
    if pt.is_floating(data_type):
        # Adding zero makes -0.0 and 0.0 one; equal values of any NaN are one as well.
        values = np.nan_to_num(column.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0, nan=0.5)
        return [values.view(np.uint64)]
    if pt.is_primitive(data_type) or pt.is_decimal(data_type) or pt.is_fixed_size_binary(data_type):
        return _fixed(column, data_type.bit_width // 8)
    return []


def _fixed(column: pa.Array, width: int) -> list[Hashes]:
    buffer: Any = column.buffers()[1]
    if width in (1, 2, 4, 8):
        plain = np.frombuffer(buffer, np.dtype(f"<i{width}"), len(column), column.offset * width)
        return [plain.astype(np.int64).view(np.uint64)]
    raw = np.frombuffer(buffer, np.uint8, len(column) * width, column.offset * width).reshape(-1, width)
    padded = np.zeros((len(column), -(-width // _WORD) * _WORD), dtype=np.uint8)
    padded[:, :width] = raw
    return list(padded.view(np.uint64).T)


def _text(column: pa.Array, offset_type: np.dtype[Any]) -> Hashes:
    buffers: Any = column.buffers()
    offsets = np.frombuffer(
        buffers[1], offset_type, len(column) + 1, column.offset * offset_type.itemsize
    ).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    # Padding lets a whole word be read at the last byte.
    data = np.zeros(last - first + _WORD, dtype=np.uint8)
    if last > first:
        data[:-_WORD] = np.frombuffer(buffers[2], np.uint8, last - first, first)
    unaligned = np.ndarray((last - first + 1,), np.dtype("<u8"), data, strides=(1,))
    starts, lengths = offsets[:-1] - first, np.diff(offsets)
    shortest = int(lengths.min())
    hashes = lengths.astype(np.uint64) * _SEED
    for position in range(0, int(lengths.max()), _WORD):
        rest = np.clip(lengths - position, 0, _WORD)
        words = unaligned[np.minimum(starts + position, last - first)] & _LOW_BYTES[rest]
        mixed = _mix(hashes, words)
        # A text ends with its own last word, however long its neighbours are: they change with the batch.
        hashes = mixed if position < shortest else np.where(rest > 0, mixed, hashes)
    return hashes
