"""Edit distance of many pairs of short texts at once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kalla_chat.inference.columns import Column, Ints
from kalla_chat.inference.links import Pairs

LONGEST: Final = 40
"""Characters; longer texts are compared for equality only."""
_BATCH: Final = 50_000


def distances(left: Column, right: Column, pairs: Pairs) -> Ints:
    """Levenshtein distance of each pair, in characters; a large number where a value is missing or long."""
    one, two = _matrix(left), _matrix(right)
    parts = [
        _batch(
            _taken(one, left, pairs.left[at : at + _BATCH]), _taken(two, right, pairs.right[at : at + _BATCH])
        )
        for at in range(0, len(pairs), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


Matrix = tuple[npt.NDArray[np.uint32], Ints]


def _matrix(column: Column) -> Matrix:
    """Code points by distinct text, and lengths; -1 for a text that is too long, and for none."""
    texts = [str(text) for text in column.texts.to_pylist()]
    lengths = np.array([len(t) if len(t) <= LONGEST else -1 for t in texts] + [-1], np.int64)
    wide = np.array([t[:LONGEST] for t in texts] + [""], f"<U{LONGEST}")
    return wide.view(np.uint32).reshape(len(wide), LONGEST), lengths


def _taken(matrix: Matrix, column: Column, rows: Ints) -> Matrix:
    codes = column.codes[rows]
    return matrix[0][codes], matrix[1][codes]


def _batch(one: Matrix, two: Matrix) -> Ints:
    """The usual table, one row of it at a time, for all pairs together."""
    n = len(one[1])
    width = max(int(two[1].max(initial=0)), 0)
    height = max(int(one[1].max(initial=0)), 0)
    row = np.tile(np.arange(width + 1, dtype=np.int16), (n, 1))
    result = np.full(n, 1 << 15, np.int64)
    _finish(result, row, one[1], two[1], 0)
    for i in range(1, height + 1):
        following = np.empty_like(row)
        following[:, 0] = i
        for j in range(1, width + 1):
            other = (one[0][:, i - 1] != two[0][:, j - 1]).astype(np.int16)
            following[:, j] = np.minimum(
                np.minimum(row[:, j], following[:, j - 1]) + np.int16(1), row[:, j - 1] + other
            )
        row = following
        _finish(result, row, one[1], two[1], i)
    return result


def _finish(result: Ints, row: npt.NDArray[np.int16], ones: Ints, twos: Ints, height: int) -> None:
    done = (ones == height) & (twos >= 0)
    result[done] = row[done, twos[done]]
