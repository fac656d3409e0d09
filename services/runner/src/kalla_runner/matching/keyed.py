"""The general path: run any query, then find the rows whose primary key is in what was written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from datafusion import SessionContext
from kalla_common.errors import Code, KallaError

from kalla_runner.matching.duplicates import Bits, KeyFacts, Rows
from kalla_runner.matching.matched import Marks, MatchedRows, MatchQuery, quoted, row_numbers
from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, ROW_COLUMN, TableInfo
from kalla_runner.matching.tables import Table, partitioned
from kalla_runner.outputs.writer import ParquetSink

_KEYS: Final = "__kalla_keys"
_SIDE: Final = "__kalla_side"
_PARTITIONS: Final = 2


def match_by_keys(
    query: MatchQuery,
    sink: ParquetSink,
    finish: Callable[[], Path],
    facts: Callable[[], tuple[KeyFacts, KeyFacts]],
) -> MatchedRows:
    """Run a query, then mark the rows of both sides whose primary key is in its output.

    Where such a key is that of several rows, the query runs once more with the numbers of its rows.

    Args:
        query: the query.
        sink: where the matched rows go.
        finish: completes the sink's file and returns its path.
        facts: what the keys of the left and of the right side are like.

    Raises:
        KallaError: KEYS_NOT_SELECTED if a key column of the output cannot be compared with the key.
    """
    plan = query.plan
    left = _WrittenKey(query.left, plan.left, plan.left_key_columns, sink.schema)
    right = _WrittenKey(query.right, plan.right, plan.right_key_columns, sink.schema)
    counting = threading.Lock()
    rows = 0

    def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal rows
        kept = right.present(left.present(batch.rename_columns(list(plan.output_columns))))
        with counting:
            rows += kept.num_rows
        return kept

    query.run(sink, keep)
    query.session.register_parquet(_KEYS, finish())
    try:
        by_key = left.marks(query.session), right.marks(query.session)
    finally:
        query.session.deregister_table(_KEYS)
    shared = [one.shares(marks) for one, marks in zip(facts(), by_key, strict=True)]
    seen = _seen_rows(query, (left, right), shared)
    marks = [
        Marks(matched, one.narrow(matched, numbers))
        for one, matched, numbers in zip(facts(), by_key, seen, strict=True)
    ]
    return MatchedRows(rows, marks[0], marks[1])


def _seen_rows(
    query: MatchQuery, keys: tuple[_WrittenKey, _WrittenKey], shared: Sequence[bool]
) -> tuple[Bits, Bits]:
    """Mark the rows that the query's rows come from, on the sides where it is asked for and can be told."""
    seen = np.zeros(query.left.rows, dtype=np.bool_), np.zeros(query.right.rows, dtype=np.bool_)
    plan = query.plan
    wanted = [
        (name, marks)
        for name, marks, can, needed in zip((LEFT_ROW, RIGHT_ROW), seen, plan.numbered, shared, strict=True)
        if can and needed
    ]
    if not wanted:
        return seen
    for found in query.with_numbers().execute_stream():
        batch = found.to_pyarrow()
        names = [*plan.output_columns, *batch.schema.names[len(plan.output_columns) :]]
        kept = keys[1].present(keys[0].present(batch.rename_columns(names)))
        for name, marks in wanted:
            marks[_numbers(kept.column(name))] = True
    return seen


def _numbers(column: pa.Array) -> Rows:
    """Row numbers out of a column of them, or of lists of them."""
    while pt.is_list(column.type) or pt.is_large_list(column.type):
        column = pc.call_function("list_flatten", [column])
    return column.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)


class _WrittenKey:
    """One side's primary key as the output's columns hold it: plain, or as lists of keys (array_agg).

    Args:
        table: the side's rows.
        side: its key.
        columns: the output columns of the key, in its order.
        schema: of the output.
    """

    def __init__(self, table: Table, side: TableInfo, columns: tuple[str, ...], schema: pa.Schema) -> None:
        self._table = table
        self._key = side.primary_key
        self._columns = columns
        self._lists: set[str] = set()
        for name, output in zip(side.primary_key, columns, strict=True):
            kind, key_type = schema.field(output).type, side.schema.field(name).type
            if pt.is_list(kind) and not pt.is_nested(key_type):
                self._lists.add(output)
                kind = kind.value_type
            if pt.is_string(kind) != pt.is_string(key_type):
                raise KallaError(
                    Code.KEYS_NOT_SELECTED,
                    f"The output column {output!r} is {kind}, but the key {name!r} of {side.alias!r} is "
                    f"{key_type}; select the key as it is.",
                    column=output,
                )

    def present(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows whose lists name at least one key: array_agg over no partner gives [NULL]."""
        lists = [batch.column(name) for name in self._columns if name in self._lists]
        if not lists:
            return batch
        # Lists of one key are gathered alike: what stands in one place of them is the key of one row.
        named = np.logical_and.reduce([_valid(column) for column in lists])
        parents = pc.call_function("list_parent_indices", [lists[0]]).to_numpy()
        present = np.zeros(batch.num_rows, dtype=np.bool_)
        present[parents[named]] = True
        return batch.filter(pa.array(present))

    def marks(self, session: SessionContext) -> Bits:
        """Mark the rows whose key was written: an equality, so a key with a NULL never is."""
        marks = np.zeros(self._table.rows, dtype=np.bool_)
        if not self._table.rows:
            return marks
        names = [f"k{position}" for position in range(len(self._key))]
        batches = [
            pa.RecordBatch.from_arrays(
                [*(batch.column(name) for name in self._key), batch.column(ROW_COLUMN)],
                names=[*names, ROW_COLUMN],
            )
            for batch in self._table.numbered()
        ]
        session.register_record_batches(_SIDE, partitioned(batches, _PARTITIONS))
        try:
            for batch in session.sql(self._semi_join(names)).execute_stream():
                marks[row_numbers(batch.to_pyarrow(), ROW_COLUMN)] = True
        finally:
            session.deregister_table(_SIDE)
        return marks

    def _semi_join(self, names: list[str]) -> str:
        values = ", ".join(
            f"unnest({quoted(column)}) AS {name}" if column in self._lists else f"{quoted(column)} AS {name}"
            for name, column in zip(names, self._columns, strict=True)
        )
        equal = " AND ".join(f"s.{name} = m.{name}" for name in names)
        # Distinct keys, or keys that are double on both sides would be compared n times m.
        distinct = f"SELECT DISTINCT {', '.join(names)} FROM (SELECT {values} FROM {_KEYS})"  # noqa: S608 - quoted
        return f"SELECT s.{ROW_COLUMN} FROM {_SIDE} s LEFT SEMI JOIN ({distinct}) m ON {equal}"  # noqa: S608


def _valid(lists: pa.Array) -> Bits:
    """For each element of all lists in turn whether it is no NULL."""
    return pc.call_function("list_flatten", [lists]).is_valid().to_numpy(zero_copy_only=False)
