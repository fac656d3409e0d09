"""How many unmatched rows would match if spaces, letter case or Unicode form of join keys did not count.

Only unmatched rows of both sides are looked at: a partner that is matched already is no break's cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from datafusion import SessionContext

from kalla_runner.matching.duplicates import Bits, Rows
from kalla_runner.matching.hashes import Hashes, hash_rows
from kalla_runner.matching.stable import stable_frame
from kalla_runner.matching.tables import RowStore

_LEFT: Final = "__kalla_unmatched_left"
_RIGHT: Final = "__kalla_unmatched_right"
_SIDE: Final = "__kalla_is_right"

_T = TypeVar("_T", bound=np.generic)
Change = Callable[[pa.Array], pa.Array]


def _trim(texts: pa.Array) -> pa.Array:
    return pc.call_function("utf8_trim_whitespace", [texts])


def _fold(texts: pa.Array) -> pa.Array:
    return pc.call_function("utf8_lower", [texts])


def _normalize(texts: pa.Array) -> pa.Array:
    if pc.call_function("all", [pc.call_function("string_is_ascii", [texts])]).as_py() is not False:
        return texts  # it is its own only form, and looking is a tenth of the work
    return pc.call_function("utf8_normalize", [texts], pc.Utf8NormalizeOptions("NFC"))


@dataclass(frozen=True, slots=True)
class NearMatches:
    """Unmatched rows of one side that would match, by what would have to be ignored."""

    trimmed: int = 0
    case_folded: int = 0
    normalized: int = 0


def near_matches(
    session: SessionContext,
    join_keys: Sequence[tuple[str, str]],
    unmatched: tuple[Path, Path],
    store: Callable[[pa.Schema], RowStore],
) -> tuple[NearMatches, NearMatches]:
    """Count for both sides; nothing is counted where no join key is text.

    Args:
        session: any; two tables are registered in it for the time of the call.
        join_keys: pairs of expressions over the columns of the left and of the right table.
        unmatched: the unmatched rows of the left and of the right side, as written.
        store: makes a place for the keys of the unmatched rows.
    """
    with ExitStack() as registered:
        for name, path in zip((_LEFT, _RIGHT), unmatched, strict=True):
            session.register_parquet(name, path)
            registered.callback(session.deregister_table, name)
        frame, _ = stable_frame(session, _both_sides(join_keys))
        if not any(pt.is_string(field.type) for field in frame.schema()):
            return NearMatches(), NearMatches()
        rows = store(frame.schema())
        for batch in frame.execute_stream():
            rows.add(batch.to_pyarrow())
    keys = _Keys([batch for batch in rows.batches() if batch.num_rows])
    with ThreadPoolExecutor(2) as pool:
        trimmed, folded, normal = pool.map(keys.near, (_trim, _fold, _normalize))
    return NearMatches(trimmed[0], folded[0], normal[0]), NearMatches(trimmed[1], folded[1], normal[1])


def _both_sides(join_keys: Sequence[tuple[str, str]]) -> str:
    """Keys of both sides in common types, which UNION gives them, without rows that have a NULL in them."""
    parts: list[str] = []
    for flag, name, position in (("false", _LEFT, 0), ("true", _RIGHT, 1)):
        values = ", ".join(f"{pair[position]} AS k{index}" for index, pair in enumerate(join_keys))
        present = " AND ".join(f"k{index} IS NOT NULL" for index in range(len(join_keys)))
        rows = f"SELECT {flag} AS {_SIDE}, {values} FROM {name}"  # noqa: S608 - from the checked plan
        parts.append(f"SELECT * FROM ({rows}) WHERE {present}")  # noqa: S608
    return " UNION ALL ".join(parts)


class _Keys:
    """The join keys of all unmatched rows, the first column saying which side a row is of."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._batches = batches
        self._columns = pa.Table.from_batches(batches) if batches else None
        self._is_right = _joined(
            [batch.column(0).to_numpy(zero_copy_only=False) for batch in batches], np.bool_
        )
        self._raw = self._hashes(None)

    def _hashes(self, function: Change | None) -> Hashes:
        return _joined([hash_rows(_normal(batch, function)) for batch in self._batches], np.uint64)

    def near(self, function: Change) -> tuple[int, int]:
        """Rows of the left and of the right side with a partner that is equal under `function` only."""
        if self._columns is None:
            return 0, 0
        normal = self._hashes(function)
        if _distinct(normal) == _distinct(self._raw):
            # No two different keys become one: the usual case, told by two sorts of plain numbers.
            return 0, 0
        _, firsts = np.unique(self._raw, return_index=True)
        rows = np.flatnonzero(np.isin(normal, _repeated(normal[firsts])))
        left, right = rows[~self._is_right[rows]], rows[self._is_right[rows]]
        return self._count(function, normal, left, right), self._count(function, normal, right, left)

    def _count(self, function: Change, normal: Hashes, rows: Rows, others: Rows) -> int:
        """How many of `rows` have a partner among `others`: one witness each is looked for, and compared."""
        if not rows.size or not others.size:
            return 0
        others = others[np.lexsort((self._raw[others], normal[others]))]
        keys = normal[others]
        first = np.searchsorted(keys, normal[rows], side="left")
        last = np.searchsorted(keys, normal[rows], side="right") - 1
        found = first <= last
        rows, first, last = rows[found], others[first[found]], others[last[found]]
        # Partners are in order of their raw keys: if both ends are the row's own key, all are.
        witness = np.where(self._raw[first] != self._raw[rows], first, last)
        other = self._raw[witness] != self._raw[rows]
        return int(np.count_nonzero(self._equal(function, rows[other], witness[other])))

    def _equal(self, function: Change, rows: Rows, witnesses: Rows) -> Bits:
        equal = np.ones(len(rows), dtype=np.bool_)
        if self._columns is None or not rows.size:
            return equal
        mine, theirs = self._columns.take(pa.array(rows)), self._columns.take(pa.array(witnesses))
        for left, right in zip(_normal(mine, function), _normal(theirs, function), strict=True):
            equal &= pc.call_function("equal", [left, right]).to_numpy()
        return equal


def _normal(rows: pa.RecordBatch | pa.Table, function: Change | None) -> list[pa.Array]:
    return [
        function(column) if function and pt.is_string(column.type) else column for column in rows.columns[1:]
    ]


def _distinct(hashes: Hashes) -> int:
    ordered = np.sort(hashes)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _repeated(hashes: Hashes) -> Hashes:
    ordered = np.sort(hashes)
    return ordered[1:][ordered[1:] == ordered[:-1]]


def _joined(parts: Sequence[npt.NDArray[_T]], kind: type[_T]) -> npt.NDArray[_T]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)
