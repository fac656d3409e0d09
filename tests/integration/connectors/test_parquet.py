"""Parquet files: exact types, declared types, folders, changes and damage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_common.domain import FilterCondition, FilterOp, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.registry import open_source

D = Decimal


@contextmanager
def opened(
    path: Path, *filters: FilterCondition, schema: Sequence[str] = (), root: Path | None = None
) -> Generator[OpenSource]:
    with ReadSession(((root or path.parent).resolve(),)) as session:
        yield open_source(SourceSpec("t", str(path), filters, tuple(schema)), session)


def read(source: OpenSource, limit: int | None = None, offset: int = 0) -> pa.Table:
    return pa.Table.from_batches(list(source.rows(limit, offset)), source.schema())


def written(path: Path, table: dict[str, Any] | pa.Table, **options: Any) -> Path:
    pq.write_table(pa.table(table) if isinstance(table, dict) else table, path, **options)
    return path


def instants(*micros: int) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us"))


LAYOUTS: list[tuple[pa.Array, pa.DataType]] = [
    (pa.array(["a", None], pa.string_view()), pa.string()),
    (pa.array(["a", None], pa.large_string()), pa.string()),
    (pa.array(["a", None]).dictionary_encode(), pa.string()),
    (pa.array([b"a", None], pa.large_binary()), pa.binary()),
    (pa.array([["a"], None], pa.list_(pa.large_string())), pa.list_(pa.string())),
    (pa.array([{"x": "a"}, None], pa.struct([("x", pa.large_string())])), pa.struct([("x", pa.string())])),
    (pa.array([D("1.50"), None], pa.decimal128(5, 2)), pa.decimal128(5, 2)),
    (pa.array([D("1.50"), None], pa.decimal256(50, 2)), pa.decimal256(50, 2)),
    (pa.array([D("1.50"), None], pa.decimal32(5, 2)), pa.decimal128(5, 2)),
    (pa.array([1, None], pa.uint64()), pa.uint64()),
    (pa.array([1.5, None], pa.float32()), pa.float32()),
    (pa.array([date(2024, 1, 1), None], pa.date64()), pa.date32()),
    (pa.array([1, None], pa.timestamp("ms")), pa.timestamp("us")),
    (pa.array([1, None], pa.timestamp("s", "Europe/Berlin")), pa.timestamp("us", "UTC")),
    (pa.array([1000, None], pa.timestamp("ns")), pa.timestamp("us")),
    (pa.array([1001, None], pa.timestamp("ns")), pa.timestamp("ns")),
]


@pytest.mark.parametrize(("values", "wanted"), LAYOUTS, ids=[str(array.type) for array, _ in LAYOUTS])
def test_trap_26_storage_layouts_fall_away_and_values_stay(
    tmp_path: Path, values: pa.Array, wanted: pa.DataType
) -> None:
    path = written(tmp_path / "x.parquet", {"v": values})
    with opened(path) as source:
        table = read(source)
        assert table.schema.field("v").type == wanted
        staged = source.stage(tmp_path / "s", lambda _: None)
        assert (staged.format, staged.files) == ("parquet", (path,))
        assert staged.schema == source.schema()
    assert table.column("v").to_pylist() == pa.array(values).cast(wanted).to_pylist()
    assert table.column("v")[1].as_py() is None


def test_96_bit_timestamps_are_microseconds_where_exact_in_any_year(tmp_path: Path) -> None:
    wide = instants(-62_135_596_800_000_000, 0, 253_402_300_799_999_999)
    path = written(tmp_path / "x.parquet", {"v": wide}, use_deprecated_int96_timestamps=True)
    with opened(path) as source:
        assert source.schema().field("v").type == pa.timestamp("us")
        assert read(source).column("v").combine_chunks() == wide
        staged = source.stage(tmp_path / "s", lambda _: None)
        with pa.memory_map(str(staged.files[0])) as file:
            assert pa.ipc.open_file(file).read_all().column("v").combine_chunks() == wide


def test_96_bit_timestamps_with_nanoseconds_keep_them_or_are_refused(tmp_path: Path) -> None:
    fine = pa.array([1, 1000], pa.timestamp("ns"))
    path = written(tmp_path / "x.parquet", {"v": fine}, use_deprecated_int96_timestamps=True)
    with opened(path) as source:
        assert source.schema().field("v").type == pa.timestamp("ns")
        assert read(source).column("v").combine_chunks() == fine
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(path, folder / "a.parquet")
    far = instants(253_402_300_799_999_999)
    written(folder / "b.parquet", {"v": far}, use_deprecated_int96_timestamps=True)
    with opened(folder) as source, pytest.raises(KallaError, match="96-bit") as caught:
        source.schema()
    assert caught.value.code is Code.INVALID_DATA


def test_declared_types_are_read_exactly_and_staged_as_declared(tmp_path: Path) -> None:
    table = {
        "a": pa.array([1, None], pa.int32()),
        "b": ["12.30", None],
        "c": pa.array([D("5.00"), None], pa.decimal128(9, 2)),
        "d": pa.array([date(2024, 1, 1), None]),
        "e": pa.array([1.5, None], pa.float32()),
        "f": pa.array([D("5.50"), None], pa.decimal128(9, 2)),
    }
    declared = ["a:decimal(18,2)", "b:decimal(18,2)", "c:integer", "d:timestamp", "e:float", "f:text"]
    wanted = [D("1.00"), D("12.30"), 5, datetime(2024, 1, 1), 1.5, "5.50"]  # noqa: DTZ001
    keep = FilterCondition("b", FilterOp.EQ, (D("12.3"),))
    with opened(written(tmp_path / "x.parquet", table), keep, schema=declared) as source:
        assert list(read(source).to_pylist()[0].values()) == wanted
        staged = source.stage(tmp_path / "s", lambda _: None)
        assert (staged.format, staged.filters, staged.row_count) == ("arrow", (keep,), 2)
        with pa.memory_map(str(staged.files[0])) as file:
            rows = pa.ipc.open_file(file).read_all()
        assert rows.schema == staged.schema == source.schema()
        assert list(rows.to_pylist()[0].values()) == wanted


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (pa.array([D("1.00"), D("1.005")], pa.decimal128(9, 3)), "decimal(18,2)"),
        (pa.array([D("1.00"), D("1.50")], pa.decimal128(9, 2)), "integer"),
        (pa.array([9, 1000]), "decimal(3,0)"),
        (pa.array(["1", "x"]), "integer"),
        (pa.array([1, 2**63], pa.uint64()), "integer"),
    ],
)
def test_a_value_that_does_not_fit_its_declared_type_is_named_with_its_row(
    tmp_path: Path, values: pa.Array, declared: str
) -> None:
    path = written(tmp_path / "x.parquet", {"v": values})
    with (
        opened(path, schema=[f"v:{declared}"]) as source,
        pytest.raises(KallaError, match="in row 2") as caught,
    ):
        source.stage(tmp_path / "s", lambda _: None)
    assert caught.value.code is Code.SCHEMA_MISMATCH


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (pa.array([1.5]), "decimal(18,2)"),
        (pa.array([1], pa.timestamp("us")), "date"),
        (pa.array([1], pa.timestamp("us")), "timestamp with time zone"),
        (pa.array([[1]]), "text"),
    ],
)
def test_a_declared_type_that_could_lose_something_is_refused(
    tmp_path: Path, values: pa.Array, declared: str
) -> None:
    path = written(tmp_path / "x.parquet", {"v": values})
    with (
        opened(path, schema=[f"v:{declared}"]) as source,
        pytest.raises(KallaError, match="without loss") as caught,
    ):
        source.schema()
    assert caught.value.code is Code.SCHEMA_MISMATCH


def test_pages_of_rows_fit_together_across_files_and_row_groups(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(3):
        start = number * 1000
        written(folder / f"{number}.parquet", {"v": range(start, start + 1000)}, row_group_size=300)
    with opened(folder) as source:
        assert source.count() == 3000
        for limit, offset in [(10, 0), (700, 250), (5, 2998), (None, 1300), (0, 10), (10, 5000)]:
            end = 3000 if limit is None else min(offset + limit, 3000)
            assert read(source, limit, offset).column("v").to_pylist() == list(range(offset, end))
    keep = FilterCondition("v", FilterOp.GTE, (1500,))
    with opened(folder, keep) as source:
        assert source.count() == 1500
        assert read(source, 3, 600).column("v").to_pylist() == [2100, 2101, 2102]


def test_files_of_a_folder_may_differ_in_layout(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    written(folder / "a.parquet", {"v": ["x"], "w": [1]})
    written(folder / "b.parquet", {"v": pa.array(["y"]).dictionary_encode(), "w": [2]})
    with opened(folder) as source:
        assert read(source).to_pylist() == [{"v": "x", "w": 1}, {"v": "y", "w": 2}]


STRUCT = pa.struct([("ref", pa.string())])
WIDER = pa.struct([("ref", pa.string()), ("n", pa.int64())])


@pytest.mark.parametrize(
    ("one", "two", "joint"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40], pa.int64()), [1, 2**40]),
        (pa.array([1], pa.int64()), pa.array([D("2.50")], pa.decimal128(5, 2)), [D("1.00"), D("2.50")]),
        (pa.array([D("1.00")], pa.decimal128(10, 2)), pa.array([D("3.0001")]), [D("1.0000"), D("3.0001")]),
        (pa.array([1.5], pa.float32()), pa.array([0.1], pa.float64()), [1.5, 0.1]),
        (pa.nulls(1), pa.array(["x"]), [None, "x"]),
        (pa.array(["x"]), pa.nulls(1), ["x", None]),
        (pa.nulls(1), pa.nulls(1), [None, None]),
        (pa.array([[None]], pa.list_(pa.null())), pa.array([["x"]]), [[None], ["x"]]),
        (
            pa.array([{"ref": "a"}], STRUCT),
            pa.array([{"ref": "b", "n": 1}], WIDER),
            [{"ref": "a", "n": None}, {"ref": "b", "n": 1}],
        ),
        (
            instants(1_000).cast(pa.timestamp("ms")),
            instants(2_001).cast(pa.timestamp("ns")),
            instants(1_000, 2_001).to_pylist(),
        ),
    ],
)
def test_trap_10_a_column_has_the_type_that_holds_the_values_of_all_files(
    tmp_path: Path, one: pa.Array, two: pa.Array, joint: list[object]
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    written(folder / "a.parquet", {"id": [1], "v": one})
    written(folder / "b.parquet", {"v": two, "id": [2]})
    with opened(folder) as source:
        assert read(source).to_pylist() == [{"id": 1, "v": joint[0]}, {"id": 2, "v": joint[1]}]
        staged = source.stage(tmp_path / "staged", lambda _: None)
    with pa.memory_map(str(staged.files[0])) as file:
        assert pa.ipc.open_file(file).read_all().column("v").to_pylist() == joint


def test_a_column_that_older_files_do_not_have_is_null_in_their_rows(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    written(folder / "a.parquet", {"v": ["x"]})
    written(folder / "b.parquet", {"note": ["new"], "w": [1]})
    condition = FilterCondition("w", FilterOp.EQ, (1,))
    with opened(folder) as source:
        assert source.schema().names == ["v", "note", "w"]
        assert [tuple(row.values()) for row in read(source).to_pylist()] == [
            ("x", None, None),
            (None, "new", 1),
        ]
    with opened(folder, condition) as source:
        assert source.count() == 1


@pytest.mark.parametrize(
    ("values", "kind"),
    [([date(2024, 1, 1)], "date"), ([True], "boolean"), ([1], "integer"), ([[1]], "list of integer")],
)
def test_a_column_whose_types_have_nothing_in_common_is_named_with_its_file(
    tmp_path: Path, values: list[object], kind: str
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    written(folder / "a.parquet", {"v": ["x"]})
    written(folder / "b.parquet", {"v": values})
    with (
        pytest.raises(
            KallaError, match=rf"b\.parquet has the column 'v' as {kind}, but a\.parquet"
        ) as caught,
        opened(folder),
    ):
        pass
    assert (caught.value.code, caught.value.details["column"]) == (Code.SCHEMA_MISMATCH, "v")


def test_a_folder_of_csv_files_is_read_as_csv_and_a_mixed_one_refused(tmp_path: Path) -> None:
    folder = tmp_path / "months"
    folder.mkdir()
    (folder / "2024-01.csv").write_text("ref,amount\nA,1.00\n")
    (folder / "2024-02.csv").write_text("ref,amount\nB,2.50\n")
    with ReadSession((tmp_path.resolve(),)) as session:
        source = open_source(SourceSpec("bank", str(folder)), session)
        assert read(source).to_pylist() == [
            {"ref": "A", "amount": D("1.00")},
            {"ref": "B", "amount": D("2.50")},
        ]
        written(folder / "2024-03.parquet", {"ref": ["C"], "amount": [D("1.00")]})
        with pytest.raises(KallaError, match="files of one kind only"):
            open_source(SourceSpec("bank", str(folder)), session)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bank.txt", b"ref,amount\nA,1\n", (".csv",)),
        ("bank.sta", b":20:START\n", (".csv",)),
        ("bank.xlsx", b"PK\x03\x04" + b"\0" * 40, ("spreadsheet", "CSV")),
        ("bank.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 40, ("spreadsheet", "CSV")),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(KallaError) as caught, opened(path):
        pass
    assert caught.value.code is Code.INVALID_DATA
    assert all(word in caught.value.message for word in (name, *words))


@pytest.mark.parametrize("content", [b"", b"id,amount\n1,2\n", b"PAR1", b"PAR1" + b"\0" * 200 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(KallaError, match=r"Parquet file") as caught, opened(path):
        pass
    assert caught.value.code is Code.INVALID_DATA
    assert "\n" not in caught.value.message


def test_damage_in_the_middle_is_an_error_not_fewer_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", {"v": [str(n) for n in range(50_000)]}, compression="zstd")
    data = bytearray(path.read_bytes())
    data[1000:3000] = bytes(2000)
    path.write_bytes(data)
    with opened(path) as source, pytest.raises(KallaError, match="damaged") as caught:
        read(source)
    assert caught.value.code is Code.INVALID_DATA


def test_a_file_that_changes_after_it_was_pinned_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", {"v": [1]})
    with opened(path) as source:
        source.check_unchanged()
        os.utime(path, ns=(1, 1))
        with pytest.raises(KallaError) as caught:
            source.check_unchanged()
        assert caught.value.code is Code.SOURCE_CHANGED
        with pytest.raises(KallaError) as caught:
            read(source)
        assert caught.value.code is Code.SOURCE_CHANGED
        with pytest.raises(KallaError) as caught:
            source.stage(tmp_path, lambda _: None)
        assert caught.value.code is Code.SOURCE_CHANGED
    with opened(path) as source:
        written(path, {"v": [1, 2]})
        with pytest.raises(KallaError) as caught:
            read(source)
        assert caught.value.code is Code.SOURCE_CHANGED
    folder = tmp_path / "f"
    folder.mkdir()
    written(folder / "a.parquet", {"v": [1]})
    with opened(folder) as source:
        written(folder / "b.parquet", {"v": [2]})
        with pytest.raises(KallaError) as caught:
            source.check_unchanged()
        assert caught.value.code is Code.SOURCE_CHANGED


def test_paths_outside_the_roots_empty_and_nested_folders_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "empty").mkdir(parents=True)
    outside = tmp_path / "out"
    outside.mkdir()
    written(outside / "x.parquet", {"v": [1]})
    (inside / "link").mkdir()
    (inside / "link" / "x.parquet").symlink_to(outside / "x.parquet")
    (inside / "nested" / "y=1").mkdir(parents=True)
    cases = [
        (outside, Code.PATH_NOT_ALLOWED),
        (outside / "x.parquet", Code.PATH_NOT_ALLOWED),
        (inside / "link", Code.PATH_NOT_ALLOWED),
        (inside / "empty", Code.DATA_NOT_FOUND),
        (inside / "missing.parquet", Code.DATA_NOT_FOUND),
        (inside / "nested", Code.INVALID_DATA),
    ]
    for path, code in cases:
        with pytest.raises(KallaError) as caught, opened(path, root=inside):
            pass
        assert caught.value.code is code


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", pa.table([[1], [2]], names=["v", "v"]))
    with pytest.raises(KallaError, match="'v' twice") as caught, opened(path):
        pass
    assert caught.value.code is Code.INVALID_DATA


def test_column_names_need_no_special_care(tmp_path: Path) -> None:
    names = ["a.b", 'q"q', "UPPER", "\u00fc\u20ac", " ", "list.element"]
    path = written(tmp_path / "x.parquet", pa.table([[1]] * len(names), names=names))
    filters = [FilterCondition(name, FilterOp.EQ, (1,)) for name in names]
    with opened(path, *filters) as source:
        assert source.count() == 1
        assert read(source).to_pylist() == [dict.fromkeys(names, 1)]


def test_the_pin_holds_size_and_time_of_every_file(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", {"v": [1]})
    with opened(path) as source:
        stat = path.stat()
        assert source.pin["size"] == stat.st_size
        assert source.pin["mtime_ns"] == stat.st_mtime_ns
