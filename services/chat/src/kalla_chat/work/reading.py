"""Rows of a source as Arrow tables and as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as _compute
from kalla_common.arrow_text import column_text, text_rows
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerRows, SourceRows

from kalla_chat.conversation.state import Cells, Column

# Arrow makes its compute functions at import time: no checker knows them.
pc: Any = _compute

MAX_BYTES = 1024 * 1024 * 1024
"""Rows of one side that are held at once, in bytes of Arrow."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of a source after its filters, and how many there are in all."""

    table: pa.Table
    columns: tuple[Column, ...]
    total_rows: int

    def cells(self, number: int) -> Cells:
        """One row as people see it."""
        return self.first(1, number)[0]

    def first(self, count: int, begin: int = 0) -> list[Cells]:
        """Some rows as people see them."""
        return cells_of(self.table.slice(begin, count))


async def read_rows(rows: RunnerRows, source: SourceSpec, limit: int) -> Rows:
    """Read at most `limit` rows of a source.

    Raises:
        KallaError: what reading raises; MEMORY_LIMIT if they are more than MAX_BYTES.
    """
    async with rows.stream(SourceRows(source, limit)) as stream:
        batches: list[pa.RecordBatch] = []
        size = 0
        async for batch in stream.batches:
            size += batch.nbytes
            if size > MAX_BYTES:
                raise KallaError(
                    Code.MEMORY_LIMIT,
                    f"The rows of {source.alias!r} are too wide to look at together; set a filter on it.",
                )
            batches.append(batch)
        table = pa.Table.from_batches([b.replace_schema_metadata() for b in batches], stream.schema)
        columns = tuple(Column(name=c.name, data_type=c.data_type) for c in stream.columns)
        return Rows(table, columns, stream.total_rows)


def cells_of(table: pa.Table) -> list[Cells]:
    """The rows of a small table as people see them."""
    found = [row for batch in table.to_batches() for row in text_rows(batch)]
    return [dict(zip(table.column_names, row, strict=True)) for row in found]


def find_row(table: pa.Table, cells: Cells) -> int | None:
    """The number of the first row with exactly these cells; None if there is none any more."""
    if set(cells) != set(table.column_names):
        return None
    numbers = pa.array(range(table.num_rows), pa.int64())
    for name, value in _telling_first(cells):
        column = pc.take(table.column(name), numbers)
        texts = pa.chunked_array([column_text(chunk) for chunk in column.chunks], pa.string())
        held = pc.is_null(texts) if value is None else pc.fill_null(pc.equal(texts, value), fill_value=False)
        numbers = pc.filter(numbers, pc.fill_null(held, fill_value=False))
        if not len(numbers):
            return None
    return int(numbers[0].as_py())


def _telling_first(cells: Cells) -> Sequence[tuple[str, str | None]]:
    # The longest text leaves the fewest rows for the columns after it.
    return sorted(cells.items(), key=lambda item: -len(item[1] or ""))
