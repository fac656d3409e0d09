"""Primary keys that occur more than once, found exactly and without a join or a sort of the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from kalla_common.arrow_text import column_text

from kalla_runner.matching.hashes import Hashes, hash_rows
from kalla_runner.matching.tables import Table

EXAMPLES: Final = 5
_LOOK: Final = 200
"""Rows that are looked at for each example."""

_MARK_BITS: Final = 22
_MARK_SHIFT: Final = np.uint64(64 - _MARK_BITS)

Rows = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the primary key of one table is like.

    Attributes:
        null_rows: rows with a NULL in the key.
        duplicated: how many keys occur more than once.
        rows: numbers of all rows whose key is duplicated, ascending.
        labels: for each of `rows` which key it has, 0 to duplicated - 1.
        examples: the first duplicated keys as text, columns joined by a comma.
    """

    null_rows: int
    duplicated: int
    rows: Rows
    labels: Rows
    examples: tuple[str, ...]

    def shares(self, matched: Bits) -> bool:
        """Whether a marked row has the key of another row."""
        return bool(matched[self.rows].any())

    def sharing(self, matched: Bits) -> Rows:
        """The numbers of the rows without a mark whose key is that of a marked row."""
        return self.rows[self._of_keys(matched) & ~matched[self.rows]]

    def narrow(self, matched: Bits, seen: Bits) -> Rows:
        """Leave of the marked rows of a duplicated key only those that are seen, in place.

        Args:
            matched: marks by key: a key has all its rows marked, or none.
            seen: the rows that are known to be in the result.

        Returns:
            Of each marked key none of whose rows is seen, all rows but the first: they keep their marks,
            and which of them are in the result is not known.
        """
        known = self._of_keys(seen)
        matched[self.rows] &= seen[self.rows] | ~known
        unsure = np.flatnonzero(matched[self.rows] & ~known)
        _, firsts = np.unique(self.labels[unsure], return_index=True)
        return self.rows[np.delete(unsure, firsts)]

    def _of_keys(self, marks: Bits) -> Bits:
        """For each of `rows` whether some row of its key has a mark."""
        keys = np.zeros(self.duplicated, dtype=np.bool_)
        keys[self.labels[marks[self.rows]]] = True
        return keys[self.labels]


def key_facts(table: Table, key: Sequence[str]) -> KeyFacts:
    """Find the NULL and the duplicated keys of a table. Exact: hashes only choose what is compared."""
    batches = [[batch.column(name) for name in key] for batch in table.batches]
    none = np.empty(0, dtype=np.int64)
    if _strictly_increasing(batches):
        return KeyFacts(0, 0, none, none, ())
    present, hashes = _hashed(batches)
    null_rows = int(len(present) - np.count_nonzero(present))
    candidates = _repeated(hashes, present)
    if not candidates.size:
        return KeyFacts(null_rows, 0, none, none, ())
    values = _take(table, key, candidates)
    labels, counts = _labels(values)
    kept = counts[labels] > 1
    rows, values = candidates[kept], values.filter(pa.array(kept))
    duplicated, labels = np.unique(labels[kept], return_inverse=True)
    return KeyFacts(null_rows, len(duplicated), rows, labels.astype(np.int64), _examples(values, labels))


def key_examples(table: Table, key: Sequence[str], rows: Rows) -> tuple[str, ...]:
    """The keys of some rows as text, each once: at most EXAMPLES.

    Args:
        table: the rows.
        key: the key's columns.
        rows: numbers of rows, ascending.
    """
    values = _take(table, key, rows[: EXAMPLES * _LOOK])
    return _examples(values, _labels(values)[0]) if values.num_rows else ()


def _strictly_increasing(batches: Sequence[Sequence[pa.Array]]) -> bool:
    """Whether a one-column key rises from row to row, as serial numbers do: then nothing is double."""
    before: pa.Array | None = None
    for columns in batches:
        if len(columns) != 1 or columns[0].null_count or not _is_ordered(columns[0].type):
            return False
        column = columns[0]
        if before is not None and not _rises(before, column[:1]):
            return False
        # A look at the start saves most of the comparisons where keys come in no order.
        for end in (min(len(column), 64), len(column)):
            if not _rises(column[: end - 1], column[1:end]):
                return False
        before = column[-1:]
    return True


def _rises(low: pa.Array, high: pa.Array) -> bool:
    """Whether each value of `low` is less than its neighbour in `high`."""
    return bool(np.all(pc.call_function("less", [low, high]).to_numpy(zero_copy_only=False)))


def _is_ordered(data_type: pa.DataType) -> bool:
    return bool(pt.is_string(data_type) or pt.is_integer(data_type) or pt.is_decimal(data_type)) or bool(
        pt.is_temporal(data_type) and not pt.is_interval(data_type)
    )


def _hashed(batches: Sequence[Sequence[pa.Array]]) -> tuple[Bits, Hashes]:
    """Per row whether no key column is NULL, and the key's hash."""
    present = [_present(columns) for columns in batches]
    hashes = [hash_rows(columns) for columns in batches]
    if not batches:
        return np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.uint64)
    return np.concatenate(present), np.concatenate(hashes)


def _present(columns: Sequence[pa.Array]) -> Bits:
    present = np.ones(len(columns[0]), dtype=np.bool_)
    for column in columns:
        if column.null_count:
            present &= column.is_valid().to_numpy(zero_copy_only=False)
    return present


def _repeated(hashes: Hashes, present: Bits) -> Rows:
    """The numbers of the present rows that share their hash with another one."""
    ordered = np.sort(hashes[present])
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not repeated.size:
        return np.empty(0, dtype=np.int64)
    # By their upper bits first: only few rows are left for the search among the repeated ones.
    marked = np.zeros(1 << _MARK_BITS, dtype=np.bool_)
    marked[repeated >> _MARK_SHIFT] = True
    rows = np.flatnonzero(marked[hashes >> _MARK_SHIFT] & present)
    return rows[np.isin(hashes[rows], repeated)].astype(np.int64)


def _take(table: Table, key: Sequence[str], rows: Rows) -> pa.Table:
    """The key columns of some rows, batch by batch, as a table."""
    parts: list[pa.RecordBatch] = []
    start = 0
    for batch in table.batches:
        low, high = np.searchsorted(rows, (start, start + batch.num_rows))
        if low < high:
            parts.append(batch.select(list(key)).take(pa.array(rows[low:high] - start)))
        start += batch.num_rows
    schema = pa.schema([table.schema.field(name) for name in key])
    return pa.Table.from_batches(parts, schema)


def _labels(values: pa.Table) -> tuple[Rows, Rows]:
    """For each row the number of its key among the distinct ones, and how often each occurs."""
    codes = np.stack([_codes(column) for column in values.columns], axis=1)
    _, labels, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return labels.reshape(-1).astype(np.int64), counts.astype(np.int64)


def _codes(column: pa.ChunkedArray) -> Rows:
    if pt.is_nested(column.type):
        # Arrow cannot number nested values; their text form tells them apart.
        column = _texts(column)
    elif pt.is_floating(column.type):
        # -0.0 equals 0.0, as it does in a query.
        column = pc.call_function("add", [column, pa.scalar(0, column.type)])
    encoded: Any = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64)


def _examples(values: pa.Table, labels: npt.NDArray[np.intp]) -> tuple[str, ...]:
    _, firsts = np.unique(labels, return_index=True)
    chosen = values.take(pa.array(np.sort(firsts)[:EXAMPLES]))
    cells = [_texts(column).to_pylist() for column in chosen.columns]
    return tuple(", ".join(map(str, row)) for row in zip(*cells, strict=True))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The canonical texts of a column: Python's own dates end at the year 9999, a source's do not."""
    return pa.chunked_array([column_text(chunk) for chunk in column.chunks], pa.string())
