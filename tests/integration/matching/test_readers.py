"""The outputs are plain Parquet: other readers open them by their path and see the same values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_runner.outputs.writer import GROUP_ROWS, ParquetSink

from tests.integration.matching.support import rows_of

ROWS = pa.table(
    {
        "text": pa.array(["a", "ü", None]),
        "number": pa.array([1, -2, None], pa.int64()),
        "big": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "money": pa.array([Decimal("1.50"), Decimal("-9999999999.99"), None], pa.decimal128(12, 2)),
        "wide": pa.array([Decimal("1.5"), -(Decimal(10) ** 36), None], pa.decimal128(38, 1)),
        "day": pa.array([date(2026, 1, 31), date(1969, 12, 31), None]),
        "at": pa.array([datetime(2026, 1, 1, 12, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
        "flag": pa.array([True, False, None]),
        "keys": pa.array([["p1", "p2"], [], None], pa.list_(pa.string())),
    }
)


def write(path: Path, table: pa.Table) -> None:
    with ParquetSink(path, table.schema) as sink:
        for batch in table.to_batches():
            sink.write(batch)
        sink.finish()


@pytest.fixture(params=[3, 0], ids=["rows", "no rows"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, pa.Table]:
    rows = ROWS.slice(0, request.param)
    write(tmp_path / "matched.parquet", rows)
    return tmp_path / "matched.parquet", rows


def test_trap_26_duckdb_opens_it(output: tuple[Path, pa.Table]) -> None:
    path, rows = output
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.read_parquet(str(path)).to_arrow_table()
    assert found.column_names == rows.column_names
    assert rows_of(found) == rows_of(rows)
    assert found.schema.field("money").type == pa.decimal128(12, 2)


def test_trap_26_polars_opens_it(output: tuple[Path, pa.Table]) -> None:
    path, rows = output
    found = pl.read_parquet(path)
    assert found.schema["money"] == pl.Decimal(12, 2)
    assert found.rows() == rows_of(rows)


def test_trap_26_pandas_opens_it(output: tuple[Path, pa.Table]) -> None:
    path, rows = output
    found = pd.read_parquet(path, columns=["text", "money", "day"], dtype_backend="pyarrow")
    assert found["money"].tolist()[:2] == rows["money"].to_pylist()[:2]
    assert len(found) == rows.num_rows


def test_trap_26_the_file_holds_what_every_reader_knows(output: tuple[Path, pa.Table]) -> None:
    path, _ = output
    columns = {
        c.path: c for c in (pq.ParquetFile(path).schema.column(i) for i in range(len(ROWS.column_names)))
    }
    assert str(columns["text"].logical_type) == "String"
    assert columns["money"].physical_type == "INT64"
    assert str(columns["money"].logical_type) == "Decimal(precision=12, scale=2)"
    assert "keys.list.element" in columns


def test_large_outputs_have_many_row_groups_with_statistics(tmp_path: Path) -> None:
    rows = pa.table({"n": pa.array(range(2 * GROUP_ROWS + 10))})
    write(tmp_path / "many.parquet", rows)
    metadata = pq.read_metadata(tmp_path / "many.parquet")
    assert metadata.num_row_groups == 3
    assert metadata.row_group(1).column(0).statistics.min == GROUP_ROWS
