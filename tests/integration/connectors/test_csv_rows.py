"""Rows of CSV files: the same ones however they are written and however they are split."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.errors import KallaError
from kalla_runner.connectors.csv.passes import CsvFile
from kalla_runner.connectors.csv.records import MalformedError, count_line_ends, records
from kalla_runner.connectors.csv.source import CsvSource

from tests.integration.connectors.csv_files import csv_source, read, stage, write

BOM = "\ufeff"
FIELDS = st.one_of(
    st.text(st.sampled_from('ab,;\t|"\n\r é😀0\ufeff'), max_size=6),
    st.integers(-99, 99).map(str),
    st.decimals(-9, 9, places=2).map(str),
    st.dates().map(str),
    st.just(""),
)


@st.composite
def written_files(draw: st.DrawFn) -> tuple[bytes, list[list[str]], int]:
    """A file in a random dialect, its rows as Python's csv module reads them, and a block size."""
    columns = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(FIELDS, min_size=columns, max_size=columns), max_size=25))
    delimiter = draw(st.sampled_from(",;\t|")) if columns > 1 else ","
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    buffer = io.StringIO(newline="")
    # Minimal quoting leaves a lone \r bare where lines end in \n, which no reader can undo.
    lone = any("\r" in field for row in rows for field in row)
    quote_all = lone or draw(st.booleans())
    writer = csv.writer(
        buffer,
        delimiter=delimiter,
        lineterminator=line_end,
        quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
    )
    writer.writerow([f"c{place}" for place in range(columns)])
    writer.writerows(rows)
    text = buffer.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(line_end)
    if draw(st.booleans()):
        text = BOM + text
    body = text.removeprefix(BOM)
    expected = list(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter))[1:]
    return text.encode(), expected, draw(st.sampled_from([1, 2, 3, 7, 20, 100, 1 << 20]))


@settings(max_examples=120, deadline=None)
@given(written_files())
def test_trap_03_any_dialect_and_any_block_size_give_the_rows_that_python_reads(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[bytes, list[list[str]], int]
) -> None:
    data, expected, block_bytes = case
    folder = tmp_path_factory.mktemp("csv")
    path = write(folder, data)
    names = csv_source(path).schema().names
    source = csv_source(path, schema=[f"{name}:text" for name in names], block_bytes=block_bytes)
    got = [["" if value is None else value for value in row] for row in read(source)]
    assert got == expected
    assert source.count() == len(expected)
    staged = stage(source, folder / "out")
    assert [
        ["" if value is None else value for value in row.values()] for row in staged.to_pylist()
    ] == expected


@settings(max_examples=40, deadline=None)
@given(written_files())
def test_trap_04_types_and_rows_do_not_depend_on_the_split(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[bytes, list[list[str]], int]
) -> None:
    data, _, block_bytes = case
    folder = tmp_path_factory.mktemp("csv")
    plain, packed = write(folder, data), write(folder, gzip.compress(data), "payments.csv.gz")
    whole = stage(csv_source(plain, threads=1), folder / "whole")
    split = stage(csv_source(plain, threads=3, block_bytes=block_bytes), folder / "split")
    unpacked = stage(csv_source(packed, block_bytes=block_bytes), folder / "packed")
    assert split.schema == whole.schema == unpacked.schema
    assert split.to_pylist() == whole.to_pylist() == unpacked.to_pylist()


def test_trap_03_quoted_newlines_at_every_lane_border_lose_and_invent_no_row(tmp_path: Path) -> None:
    lines = [f'{number},"line one\nline two ""{number}""\r\n\r\n,,\n"\n' for number in range(1_000)]
    path = write(tmp_path, "id,note\n" + "".join(lines))
    for block_bytes in (200, 1_000, 4_096, 1 << 20):
        source = csv_source(path, threads=2, block_bytes=block_bytes)
        assert len(lanes(source)) > 1 or block_bytes == 1 << 20
        known = source._look()  # pyright: ignore[reportPrivateUsage] - that the lanes were right is tested
        assert not known.strict
        table = stage(source, tmp_path / f"out-{block_bytes}")
        assert table["id"].to_pylist() == list(range(1_000))
        assert table["note"][999].as_py() == 'line one\nline two "999"\r\n\r\n,,\n'


def lanes(source: CsvSource) -> tuple[object, ...]:
    file: CsvFile = source._files[0]  # pyright: ignore[reportPrivateUsage] - the split is what is tested
    return tuple(file.lanes(2))


def outcome(source: CsvSource) -> list[list[str]] | tuple[str, str]:
    """The rows with NULL as empty text, or the error's message and line."""
    try:
        return [["" if value is None else value for value in row] for row in read(source)]
    except KallaError as error:
        return error.message, error.details["line"]


def strict_outcome(data: bytes, names: int) -> list[list[str]] | str:
    """The same from the strict reader, record by record; of an error only the line."""
    rows: list[list[str]] = []
    position = data.index(b"\n") + 1
    try:
        for record in records(data[position:], b",", blank_lines=names == 1):
            if len(record.fields) != names:
                return str(count_line_ends(data[: position + record.start]) + 1)
            rows.append([value.decode() for value in record.fields])
    except MalformedError as error:
        return str(count_line_ends(data[: position + error.position]) + 1)
    return rows


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('a,"\n\r'), max_size=40), st.sampled_from([1, 2]))
def test_trap_03_any_bytes_at_all_give_the_same_rows_or_the_same_error_for_any_split(
    tmp_path_factory: pytest.TempPathFactory, body: str, columns: int
) -> None:
    names = ["x", "y"][:columns]
    data = (",".join(names) + "\n" + body).encode()
    path = write(tmp_path_factory.mktemp("csv"), data)
    schema = [f"{name}:text" for name in names]
    sizes = (1, 2, 5, 1 << 20)
    found = [outcome(csv_source(path, schema=schema, block_bytes=size)) for size in sizes]
    assert all(one == found[0] for one in found)
    expected = strict_outcome(data, columns)
    assert (found[0] if isinstance(expected, list) else found[0][1]) == expected


def test_trap_04_every_byte_of_the_file_belongs_to_one_lane(tmp_path: Path) -> None:
    path = write(tmp_path, "id\n" + "".join(f"{number}\n" for number in range(20_000)))
    source = csv_source(path, threads=2, block_bytes=1_000)
    assert len(lanes(source)) == 8
    assert stage(source, tmp_path / "out")["id"].to_pylist() == list(range(20_000))


def test_a_quote_within_an_unquoted_field_is_a_letter(tmp_path: Path) -> None:
    text = 'id,size,note\n1,5" pipe,"a ""b"", c\nd"\n2,3"" x"",\n3,x"y"z,"q"\n'
    expected = [(1, '5" pipe', 'a "b", c\nd'), (2, '3"" x""', None), (3, 'x"y"z', "q")]
    for block_bytes in (1, 5, 17, 1 << 20):
        source = csv_source(write(tmp_path, text), block_bytes=block_bytes)
        assert read(source) == expected
        assert [tuple(row.values()) for row in stage(source, tmp_path / "out").to_pylist()] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n\n3,4\n\n", [(1, 2), (3, 4)]),
        ("\n\na,b\n1,2\n", [(1, 2)]),
        ("a\n1\n\n3\n", [(1,), (None,), (3,)]),
        ("a\n\n", [(None,)]),
        ("a\r\n\r\nx", [(None,), ("x",)]),
        ('a\n""\n\n"x"\n', [("",), (None,), ("x",)]),
        ("a\rb\rc\r", [("b",), ("c",)]),
        ("a,b\r1,2\r3,4", [(1, 2), (3, 4)]),
        ("a;b\n1;2,5\n", [(1, "2,5")]),
        ("a;b,c;d\n1;2;3\n", [(1, 2, 3)]),
        ('"a;x";b\n1;2\n', [(1, 2)]),
        ("a\tb\n1\t2\n", [(1, 2)]),
        ("a|b\n1|2\n", [(1, 2)]),
        (BOM + "a,b\n1,2\n", [(1, 2)]),
        (BOM + '"a,x",b\n1,2\n', [(1, 2)]),
        ("a,b\n" + BOM + "1,2\n", [(BOM + "1", 2)]),
        ("a,b\n x , y \n", [(" x ", " y ")]),
        ("a,b\nx\0y,2\n", [("x\0y", 2)]),
        ("a,b", []),
        ("a,b\n", []),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 6, 1 << 20])
def test_ways_of_writing_a_file(
    tmp_path: Path, text: str, expected: list[tuple[object, ...]], block_bytes: int
) -> None:
    source = csv_source(write(tmp_path, text), block_bytes=block_bytes)
    assert read(source) == expected
    assert [tuple(row.values()) for row in stage(source, tmp_path / "out").to_pylist()] == expected
    assert source.count() == len(expected)


def test_a_tab_is_the_likelier_delimiter_of_a_tsv_file(tmp_path: Path) -> None:
    path = write(tmp_path, "last, first\tid\nDoe, Jane\t1\n", "people.tsv")
    assert read(csv_source(path)) == [("Doe, Jane", 1)]


def test_trap_23_a_field_longer_than_many_blocks_is_read_whole(tmp_path: Path) -> None:
    long = "x\n" * 300_000
    path = write(tmp_path, f'id,note\n1,"{long}"\n2,short\n')
    source = csv_source(path, block_bytes=1_000)
    assert read(source) == [(1, long), (2, "short")]
    assert stage(source, tmp_path / "out")["note"].to_pylist() == [long, "short"]


def test_trap_23_thousands_of_columns_are_read(tmp_path: Path) -> None:
    columns = 5_000
    row = ",".join(str(place) for place in range(columns))
    path = write(tmp_path, ",".join(f"c{place}" for place in range(columns)) + f"\n{row}\n{row}\n")
    table = stage(csv_source(path), tmp_path / "out")
    assert (table.num_columns, table.num_rows) == (columns, 2)
    assert set(table.schema.types) == {pa.int64()}
    assert table[columns - 1].to_pylist() == [columns - 1] * 2


def test_a_gzip_file_of_several_members_is_read_whole(tmp_path: Path) -> None:
    data = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n")
    assert read(csv_source(write(tmp_path, data, "payments.csv.gz"))) == [(1, 2), (3, 4)]
