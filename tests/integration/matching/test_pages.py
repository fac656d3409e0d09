"""A page of an output is the same rows as a slice of the whole, and decodes only what it touches."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import Code, KallaError
from kalla_runner.outputs.reader import read_output
from kalla_runner.pinned import pin_file

ROWS = pa.table({"n": pa.array(range(1000)), "t": [f"r{n}" for n in range(1000)]})


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "matched.parquet"
    pq.write_table(ROWS, path, row_group_size=64)
    return path


@given(limit=st.one_of(st.none(), st.integers(0, 1200)), offset=st.integers(0, 1200))
def test_a_page_is_a_slice_of_the_whole(output: Path, limit: int | None, offset: int) -> None:
    schema, total, batches = read_output(pin_file(output), limit, offset)
    page = pa.Table.from_batches(list(batches), schema)
    assert total == 1000
    assert page.equals(ROWS.slice(offset, limit))


def test_row_groups_outside_the_page_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "matched.parquet"
    pq.write_table(ROWS, path, row_group_size=100, compression="none", use_dictionary=False)
    # Destroy the pages of every row group but the fifth: whoever reads them fails.
    metadata = pq.read_metadata(path)
    start = metadata.row_group(4).column(0).data_page_offset
    end = metadata.row_group(5).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    last = metadata.row_group(9).column(1)
    content[4:start] = b"\xff" * (start - 4)
    content[end : last.data_page_offset + last.total_compressed_size] = b"\xff" * (
        last.data_page_offset + last.total_compressed_size - end
    )
    path.write_bytes(content)
    schema, total, batches = read_output(pin_file(path), 50, 420)
    assert total == 1000
    assert pa.Table.from_batches(list(batches), schema).equals(ROWS.slice(420, 50))
    with pytest.raises(KallaError) as caught:
        list(read_output(pin_file(path), 50, 480)[2])
    assert caught.value.code is Code.INVALID_DATA


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(KallaError) as caught:
        read_output(pin_file(tmp_path / "none.parquet"))
    assert caught.value.code is Code.DATA_NOT_FOUND


def test_a_file_that_is_no_parquet_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("id,amount\n1,2\n")
    with pytest.raises(KallaError) as caught:
        read_output(pin_file(tmp_path / "x.parquet"))
    assert caught.value.code is Code.INVALID_DATA


@pytest.mark.parametrize(("limit", "offset"), [(-1, 0), (1, -1)])
def test_a_negative_page_is_refused(output: Path, limit: int, offset: int) -> None:
    with pytest.raises(KallaError) as caught:
        read_output(pin_file(output), limit, offset)
    assert caught.value.code is Code.INVALID_REQUEST
