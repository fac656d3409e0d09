"""What is written is what every Parquet reader knows, without a change of value."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.outputs.portable import portable_batch, portable_schema


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (pa.array(["a", None, "ü"], pa.string_view()), pa.string()),
        (pa.array(["a", None], pa.large_string()), pa.string()),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), pa.string()),
        (pa.array([b"a", None], pa.binary_view()), pa.binary()),
        (pa.array([None, None]), pa.string()),
        (pa.array([[1, None], None, []], pa.large_list(pa.int32())), pa.list_(pa.int32())),
        (pa.array([["a"], None], pa.list_(pa.large_string())), pa.list_(pa.string())),
        (pa.array([Decimal("1.50"), None], pa.decimal256(60, 2)), pa.decimal256(60, 2)),
        (pa.array([2**64 - 1, None], pa.uint64()), pa.uint64()),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_trap_26_no_views_nor_dictionaries_are_written(values: pa.Array, written: pa.DataType) -> None:
    batch = pa.record_batch({"c": values})
    schema = portable_schema(batch.schema)
    result = portable_batch(batch, schema)
    assert schema.field("c").type == written
    assert result.column(0).type == written
    assert result.column(0).to_pylist() == values.to_pylist()


def test_what_fits_is_not_copied() -> None:
    batch = pa.record_batch({"c": pa.array(["a", "b"])})
    result = portable_batch(batch, portable_schema(batch.schema))
    assert result.column(0).buffers()[2].address == batch.column(0).buffers()[2].address


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_duration_is_kept(unit: Literal["s", "ms", "us", "ns"], tmp_path: Path) -> None:
    batch = pa.record_batch({"lag": pa.array([-1, None, 90], pa.duration(unit))})
    schema = portable_schema(batch.schema)
    pq.write_table(pa.Table.from_batches([portable_batch(batch, schema)]), tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").column("lag").combine_chunks().equals(batch.column(0))


def test_an_interval_is_refused_with_the_cast_to_write() -> None:
    with pytest.raises(KallaError) as caught:
        portable_schema(pa.schema([("lag", pa.month_day_nano_interval())]))
    assert caught.value.code is Code.INVALID_SQL
    assert "CAST(lag AS VARCHAR)" in caught.value.message
