"""Staged tables as record batches in row order, filters applied, without copying what lies ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.filters import check_filters, filter_batches
from kalla_runner.matching.plan import ROW_COLUMN, numbered_schema
from kalla_runner.matching.struct_nulls import with_null_fields
from kalla_runner.matching.zeros import with_one_zero
from kalla_runner.staging import StagedTable
from kalla_runner.storage import storage_errors

BATCH_ROWS: Final = 1 << 16
"""Rows of a batch at most: large enough to cost nothing each, small enough to report progress."""


class RowStore:
    """Holds batches in memory up to a budget, and from there on in a memory-mapped file.

    Args:
        schema: of the batches.
        path: the file to use beyond the budget.
        budget: bytes that may stay in memory.
        closing: closes the file at the end of the run.
    """

    def __init__(self, schema: pa.Schema, path: Path, budget: int, closing: ExitStack) -> None:
        self._schema = schema
        self._path = path
        self._budget = budget
        self._closing = closing
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if self._writer is not None:
            with storage_errors(self._path):
                self._writer.write_batch(batch)
            return
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > self._budget:
            self._move_to_disk()

    def _move_to_disk(self) -> None:
        with storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            sink = self._closing.enter_context(pa.OSFile(str(self._path), "wb"))
            self._writer = pa.ipc.new_file(sink, self._schema)
            for batch in self._held:
                self._writer.write_batch(batch)
        self._held = []

    def batches(self) -> list[pa.RecordBatch]:
        """All rows in the order they were added; nothing may be added afterwards."""
        if self._writer is None:
            return self._held
        with storage_errors(self._path):
            self._writer.close()
        return _mapped(self._path, self._closing)


class Table:
    """A table's rows after its filters.

    Attributes:
        alias: its name in the query.
        schema: exact, strings utf8.
        batches: the rows in source order, at most BATCH_ROWS each.
        rows: how many there are.
    """

    def __init__(self, alias: str, schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> None:
        self.alias = alias
        self.schema = schema
        self.batches = batches
        self.rows = sum(batch.num_rows for batch in batches)

    @classmethod
    def load(
        cls, staged: StagedTable, scratch: Path, budget: int, closing: ExitStack, *, row_column: str = ""
    ) -> Self:
        """Bring a staged table into reach.

        Args:
            staged: the table.
            scratch: folder for what does not fit in memory; made if needed.
            budget: bytes of decoded rows that may stay in memory.
            closing: closes the files at the end of the run.
            row_column: the column to add, if any: each row's number among those that were read, from 1
                and before the filters, int64.

        Raises:
            KallaError: INVALID_FILTER, INVALID_DATA if a file cannot be read, CONSERVATION_FAILED if the
                files do not hold the stated number of rows, STORAGE_FULL.
        """
        counted = _Counted(_read(staged, closing))
        schema = staged.schema
        rows = with_one_zero(with_null_fields(counted, schema), schema)
        if row_column:
            schema, rows = numbered_schema(schema, row_column), _with_numbers(rows, row_column)
        if staged.format == "arrow" and not staged.filters:
            kept = list(rows)
        else:
            store = RowStore(schema, scratch / f"{staged.files[0].name}.{id(staged)}", budget, closing)
            for batch in filter_batches(rows, check_filters(staged.filters, staged.schema)):
                store.add(batch)
            kept = store.batches()
        if counted.rows != staged.row_count:
            raise KallaError(
                Code.CONSERVATION_FAILED,
                f"The source {staged.alias!r} was staged with {staged.row_count} rows, but its files hold "
                f"{counted.rows}; run the reconciliation again.",
                source=staged.alias,
            )
        return cls(staged.alias, schema, [part for batch in kept for part in _sliced(batch)])

    def plain(self) -> list[pa.RecordBatch]:
        """The batches, at least one; a column without any NULL says so in their schema.

        The engine then leaves out what a query does about NULLs, such as the test that both keys are
        present, which would copy every row.
        """
        batches = self.batches or [pa.RecordBatch.from_pylist([], schema=self.schema)]
        schema = pa.schema(
            [
                field.with_nullable(
                    pt.is_null(field.type) or any(batch.column(index).null_count for batch in batches)
                )
                for index, field in enumerate(self.schema)
            ]
        )
        return [pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches]

    def numbered(self) -> list[pa.RecordBatch]:
        """The batches, at least one, with the row's number from 0 as last column ROW_COLUMN, uint64."""
        numbered: list[pa.RecordBatch] = []
        start = 0
        for batch in self.plain():
            numbers = pa.array(np.arange(start, start + batch.num_rows, dtype=np.uint64))
            numbered.append(batch.append_column(pa.field(ROW_COLUMN, pa.uint64(), nullable=False), numbers))
            start += batch.num_rows
        return numbered


def _with_numbers(batches: Iterator[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    start = 1
    for batch in batches:
        numbers = pa.array(np.arange(start, start + batch.num_rows, dtype=np.int64))
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, numbers], schema=numbered_schema(batch.schema, name)
        )
        start += batch.num_rows


def partitioned(batches: Sequence[pa.RecordBatch], count: int) -> list[list[pa.RecordBatch]]:
    """The batches in at most `count` runs of about equally many."""
    size = -(-len(batches) // count)
    return [list(batches[start : start + size]) for start in range(0, len(batches), size)]


class _Counted:
    """Counts the rows that pass, as the files give them and before any filter."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch


def _read(staged: StagedTable, closing: ExitStack) -> Iterator[pa.RecordBatch]:
    for path in staged.files:
        try:
            batches = (
                iter(_mapped(path, closing)) if staged.format == "arrow" else _decoded(path, staged.schema)
            )
            for batch in batches:
                yield batch if batch.schema.equals(staged.schema) else _as(batch, staged.schema)
        except (OSError, pa.ArrowException) as error:
            raise KallaError(
                Code.INVALID_DATA,
                f"The rows of source {staged.alias!r} that were read for this run cannot be read back; run "
                "the reconciliation again.",
                source=staged.alias,
            ) from error


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of `schema`, cast safely: a value that does not fit is an error."""
    columns = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _mapped(path: Path, closing: ExitStack) -> list[pa.RecordBatch]:
    reader = pa.ipc.open_file(closing.enter_context(pa.memory_map(str(path))))
    return [reader.get_batch(index) for index in range(reader.num_record_batches)]


def _decoded(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=True) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=schema.names, use_threads=True)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= BATCH_ROWS:
        if batch.num_rows:
            yield batch
        return
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)
