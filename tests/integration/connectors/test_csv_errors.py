"""CSV files that cannot be read exactly: an error that says where and what to do."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner import storage
from kalla_runner.connectors.csv.passes import BLOCK_BYTES
from kalla_runner.connectors.csv.source import CsvSource

from tests.integration.connectors.csv_files import csv_source, read, write


def failure_of(action: Callable[[], object]) -> KallaError:
    with pytest.raises(KallaError) as failure:
        action()
    return failure.value


@pytest.mark.parametrize(
    ("data", "line", "hint"),
    [
        (b"a,b\n1,2\n3\n", 3, "1 field where the header has 2"),
        (b"a,b\n1,2\n\n\n3,4,5\n", 5, "3 fields"),
        (b'a,b\n"x\r\ny",2\n"z\n",2,3\n', 4, "3 fields"),
        (b"a,b\r\n1,2\r\n3,4\r\n5\r\n", 4, "1 field"),
        (b"a,b\r1,2\r3\r", 3, "1 field"),
        (b"a,b\n1,2\n   \n", 3, "1 field"),
        (b'a,b\n1,2\n3,"x\n4,5\n', 3, "never closed"),
        (b'a,b\n"x"y,2\n', 2, "closing quote"),
        (b'a,b\n1,"x" \n', 2, "closing quote"),
        (b'a,b\n1,5" pipe\n"x"y,2\n', 3, "closing quote"),
        (b"a,b\n1,M\xfcller\n", 2, "0xfc"),
        (b'a,b\n"line\nM\xfcller",1\n', 3, "0xfc"),
        (b'a,"b\n1,2\n', 1, "never closed"),
        (b"a,b,a\n1,2,3\n", 1, "'a' twice"),
        (b"a,,c\n1,2,3\n", 1, "Column 2"),
        (b"a, \n1,2\n", 1, "Column 2"),
        (b"\n\na,\n", 3, "Column 2"),
        (b"n\xe4me,b\n1,2\n", 1, "UTF-8"),
    ],
)
@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, data: bytes, line: int, hint: str, block_bytes: int
) -> None:
    path = write(tmp_path, data)
    error = failure_of(lambda: csv_source(path, block_bytes=block_bytes).count())
    assert error.code is Code.INVALID_DATA
    assert error.details["line"] == str(line)
    assert f"line {line}" in error.message.lower()
    assert hint in error.message


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_spreadsheet_under_the_name_of_a_csv_file_is_called_one(tmp_path: Path, start: bytes) -> None:
    error = failure_of(lambda: csv_source(write(tmp_path, start + b"\0" * 30 + b",b\n1,2\n")))
    assert error.code is Code.INVALID_DATA
    assert "spreadsheet" in error.message
    assert "CSV" in error.message


def test_a_ragged_row_names_the_columns_that_were_taken_for_the_header(tmp_path: Path) -> None:
    path = write(tmp_path, b"Account:;DE00 1234\nFrom:;01.03.2024\n\nday;ref;amount\n01.03.2024;A;1,00\n")
    error = failure_of(lambda: csv_source(path).count())
    assert (
        "Line 4 of payments.csv has 3 fields where the header has 2 (Account: | DE00 1234)" in error.message
    )
    assert "lines above the column names" in error.message


def test_trap_16_a_ragged_row_deep_in_a_large_file_is_found(tmp_path: Path) -> None:
    rows = [f"{number},x" for number in range(300_000)]
    rows[250_000] = "250000"
    path = write(tmp_path, "a,b\n" + "\n".join(rows))
    error = failure_of(lambda: csv_source(path, block_bytes=1 << 18).count())
    assert (error.code, error.details["line"]) == (Code.INVALID_DATA, "250002")


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_trap_16_a_file_without_a_header_is_an_error_not_an_empty_source(tmp_path: Path, data: bytes) -> None:
    error = failure_of(lambda: csv_source(write(tmp_path, data)))
    assert error.code is Code.EMPTY_FILE
    assert "empty" in error.message


def test_a_header_with_zero_characters_is_no_csv(tmp_path: Path) -> None:
    error = failure_of(lambda: csv_source(write(tmp_path, b"PQ\x03\x04\x00\x00,b\n1,2\n")))
    assert error.code is Code.INVALID_DATA
    assert "U+0000" in error.message


def test_utf_16_is_named(tmp_path: Path) -> None:
    error = failure_of(lambda: csv_source(write(tmp_path, "a,b\n1,2\n".encode("utf-16"))))
    assert "UTF-16" in error.message


PACKED = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)


@pytest.mark.parametrize("data", [PACKED[:-20], PACKED[:-8] + bytes(8), b"a,b\n1,2\n", PACKED + b"more"])
def test_trap_16_a_gzip_file_that_is_not_whole_is_an_error(tmp_path: Path, data: bytes) -> None:
    error = failure_of(lambda: csv_source(write(tmp_path, data, "payments.csv.gz")).count())
    assert error.code is Code.INVALID_DATA
    assert "gzip" in error.message


def test_a_full_disk_is_told_and_leaves_no_partial_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n" + "".join(f"{number}\n" for number in range(100_000)))
    out = tmp_path / "out"
    out.mkdir()
    # The device that is always full takes the place of the part that will be written.
    (out / "part-00000.arrow").symlink_to("/dev/full")
    error = failure_of(lambda: csv_source(path).stage(out, lambda _: None))
    assert error.code is Code.STORAGE_FULL
    assert list(out.iterdir()) == []


def test_a_staging_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n1\n")
    error = failure_of(lambda: csv_source(path).stage(path / "out", lambda _: None))
    assert error.code is Code.OUTPUT_NOT_WRITABLE


def test_a_file_that_changes_after_it_was_opened_is_never_mixed(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n" + "1\n" * 1000)
    for change in ("a\n" + "2\n" * 1000, "a\n1\n", "b,c\nx,y\n", ""):
        source = csv_source(path)
        path.write_text(change)
        os.utime(path, ns=(1, 1))
        actions: list[Callable[[], object]] = [
            source.schema,
            source.count,
            lambda opened=source: read(opened),
        ]
        for action in actions:
            assert failure_of(action).code in (Code.SOURCE_CHANGED, Code.INVALID_DATA)
        assert failure_of(source.check_unchanged).code is Code.SOURCE_CHANGED
        assert failure_of(lambda opened=source: opened.stage(tmp_path / "out", lambda _: None)).code in (
            Code.SOURCE_CHANGED,
            Code.INVALID_DATA,
        )
        assert list((tmp_path / "out").glob("*")) == []
        write(tmp_path, "a\n" + "1\n" * 1000)


def test_a_file_that_changes_between_two_batches_stops_the_reader(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n" + "1\n" * 100_000)
    source = csv_source(path, block_bytes=1 << 12)
    batches = source.rows()
    assert next(batches).num_rows > 0
    with path.open("a") as file:
        file.write("2\n")
    assert failure_of(lambda: sum(batch.num_rows for batch in batches)).code is Code.SOURCE_CHANGED


def test_a_file_that_vanishes_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n1\n")
    source = csv_source(path)
    path.unlink()
    assert failure_of(source.check_unchanged).code is Code.SOURCE_CHANGED
    assert failure_of(source.schema).code in (Code.DATA_NOT_FOUND, Code.SOURCE_CHANGED)


def test_a_second_look_does_not_read_the_file_again(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n" + "1\n" * 10)
    os.utime(path, ns=(1, 1))
    assert csv_source(path).count() == 10
    # Same size and time of change: only a source that reads again could tell the difference.
    with path.open("r+b") as file:
        file.seek(2)
        file.write(b"x")
    os.utime(path, ns=(1, 1))
    assert str(csv_source(path).schema().field("a").type) == "int64"


def test_the_block_size_in_use_bounds_the_memory() -> None:
    assert BLOCK_BYTES <= 32 << 20


LONG = 65 << 20


@pytest.mark.parametrize("row", [b"1," + b"a" * LONG, b'1,"' + b"a" * LONG, b"," * LONG])
def test_a_row_of_more_than_64_mb_is_refused_with_its_line(tmp_path: Path, row: bytes) -> None:
    path = write(tmp_path, b"id,ref\n0,x\n" + row)
    failure = failure_of(csv_source(path).count)
    assert failure.code is Code.INVALID_DATA
    assert "Line 3 of payments.csv begins a row of more than 64 MB or opens a quote" in failure.message or (
        "Line 3 of payments.csv opens a quote that is never closed" in failure.message
    )


def test_a_quote_within_a_field_leaves_a_file_larger_than_a_row_may_be_readable(tmp_path: Path) -> None:
    rows = 4 << 20
    path = write(tmp_path, b'id,ref\n0,5" pipe\n' + b"1,aaaaaaaaaaa\n" * rows)
    source = csv_source(path)
    assert source.count() == rows + 1
    assert read_some(source) == (0, '5" pipe')


def read_some(source: CsvSource) -> tuple[object, ...]:
    first = next(source.rows(1))
    return tuple(first.to_pylist()[0].values())


def test_a_long_row_that_holds_many_quotes_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'id,ref\n1,"' + b'""' * (5 << 20) + b'"\n2,x\n')
    rows = read(csv_source(path))
    assert [(number, len(text)) for number, text in rows] == [(1, 5 << 20), (2, 1)]


def test_staging_leaves_the_last_of_the_disk_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, b"id,ref\n" + b"1,a\n" * 1000)
    free = os.statvfs(tmp_path)
    nearly_full = os.statvfs_result((*free[:4], 1, *free[5:]))
    monkeypatch.setattr(storage, "os", Mock(wraps=os, statvfs=Mock(return_value=nearly_full)))
    failure = failure_of(lambda: csv_source(path).stage(tmp_path / "staged", lambda _: None))
    assert failure.code is Code.STORAGE_FULL
    assert list((tmp_path / "staged").iterdir()) == []
