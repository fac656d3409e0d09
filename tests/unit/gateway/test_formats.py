"""Rows as files: CSV, Parquet, Arrow stream."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_gateway.results import formats
from kalla_gateway.results.formats import (
    ArrowEncoder,
    CsvEncoder,
    Encoder,
    ParquetEncoder,
    csv_lines,
    encoded,
)


async def _file(table: pa.Table, make: Callable[[pa.Schema], Encoder], rows: int = 3) -> bytes:
    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for batch in table.to_batches(max_chunksize=rows):
            yield batch

    async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)

    return b"".join([part async for part in encoded(table.schema, batches(), make, in_thread)])


def _table(rows: int = 10) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "amount": pa.array([Decimal(i) / 100 for i in range(rows)], pa.decimal128(12, 2)),
            "note": pa.array([None if i % 3 == 0 else f"n{i}" for i in range(rows)], pa.string()),
        }
    )


def test_csv_tells_null_from_empty_text() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["", None, "x"], "b": [1, 2, None]})
    assert csv_lines(batch) == b'"",1\r\n,2\r\nx,\r\n'


def test_csv_leaves_cells_that_look_like_formulas_as_they_are() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["=1+1", "+1", "-1", "@x"]})
    assert csv_lines(batch) == b"=1+1\r\n+1\r\n-1\r\n@x\r\n"


_CELLS = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1))
def test_csv_of_any_text_reads_back(rows: list[tuple[str, str]]) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([r[i] for r in rows]) for i in (0, 1)], names=["a", "b"])
    text = csv_lines(batch).decode()
    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == rows


async def test_csv_has_a_quoted_header_and_all_rows() -> None:
    table = _table().rename_columns(["id", 'a "quoted", name', "note"])
    lines = (await _file(table, CsvEncoder)).decode().split("\r\n")
    assert lines[0] == 'id,"a ""quoted"", name",note'
    assert lines[1:4] == ["0,0.00,", "1,0.01,n1", "2,0.02,n2"]
    assert len(lines) == 12
    assert lines[-1] == ""


@pytest.mark.parametrize("rows", [0, 10])
async def test_parquet_holds_the_same_table(rows: int) -> None:
    table = _table(rows)
    content = await _file(table, ParquetEncoder)
    assert pq.read_table(pa.BufferReader(content)).equals(table)


@pytest.mark.parametrize("rows", [0, 10])
async def test_arrow_stream_holds_the_same_table(rows: int) -> None:
    table = _table(rows)
    content = await _file(table, ArrowEncoder)
    assert pa.ipc.open_stream(content).read_all().equals(table)


async def test_parquet_gives_away_row_groups_as_they_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "ROW_GROUP_BYTES", 100)
    content = await _file(_table(100), ParquetEncoder, rows=10)
    assert pq.ParquetFile(pa.BufferReader(content)).num_row_groups == 10


async def test_csv_without_rows_is_a_header() -> None:
    assert await _file(_table(0), CsvEncoder) == b"id,amount,note\r\n"
