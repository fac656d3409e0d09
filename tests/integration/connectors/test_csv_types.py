"""Types of CSV columns, decided over the whole file."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError

from tests.integration.connectors.csv_files import csv_source, read, stage, write


def test_trap_02_ids_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    source = csv_source(write(tmp_path, "id,n\n00123,1\n00124,2\n"))
    assert source.schema() == pa.schema([("id", pa.string()), ("n", pa.int64())])
    assert read(source) == [("00123", 1), ("00124", 2)]


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ("x7", pa.string()),
        ("0.125", pa.decimal128(18, 3)),
        ("9223372036854775808", pa.decimal128(38, 0)),
        ("-0", pa.string()),
        ("", pa.int64()),
    ],
)
@pytest.mark.parametrize("position", [70_000, 99_999])
def test_trap_02_a_late_value_decides_the_type_of_the_whole_column(
    tmp_path: Path, late: str, expected: pa.DataType, position: int
) -> None:
    values = [str(number) for number in range(100_000)]
    values[position] = late
    text = "a,b\n" + "".join(f"{value},{number}\n" for number, value in enumerate(values))
    table = stage(csv_source(write(tmp_path, text), block_bytes=1 << 16), tmp_path / "out")
    assert table.schema == pa.schema([("a", expected), ("b", pa.int64())])
    assert table.num_rows == len(values)
    whole = pa.array([value or None for value in values])
    assert table["a"].combine_chunks().equals(whole.cast(expected))
    assert table["b"].to_pylist() == list(range(len(values)))


def test_trap_02_the_scale_is_the_largest_that_any_row_has(tmp_path: Path) -> None:
    source = csv_source(write(tmp_path, "a\n1\n1.5\n-0.001\n"))
    assert source.schema().field("a").type == pa.decimal128(18, 3)
    assert read(source) == [(Decimal("1.000"),), (Decimal("1.500"),), (Decimal("-0.001"),)]


def test_trap_10_a_column_without_values_is_text(tmp_path: Path) -> None:
    source = csv_source(write(tmp_path, "a,b\n,1\n,2\n"))
    assert source.schema().field("a").type == pa.string()
    assert read(source) == [(None, 1), (None, 2)]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("before", ["z", '"z"', '"z;"'])
def test_an_empty_last_field_is_null_also_at_the_very_end_of_a_file(
    tmp_path: Path, before: str, end: str
) -> None:
    source = csv_source(write(tmp_path, f"a;b\n{before};{end}"))
    assert read(source) == [(before.strip('"'), None)]


def test_an_empty_field_is_null_and_an_empty_quoted_field_is_empty_text(tmp_path: Path) -> None:
    assert read(csv_source(write(tmp_path, 'a,b\n"",x\n,y\n'))) == [("", "x"), (None, "y")]


def test_a_declared_type_wins_over_what_the_values_look_like(tmp_path: Path) -> None:
    path = write(tmp_path, "payment_id,amount\n7,5\n8,1.50\n9,2.500\n")
    source = csv_source(path, schema=("payment_id:text", "amount:decimal(12,2)"))
    assert source.schema() == pa.schema([("payment_id", pa.string()), ("amount", pa.decimal128(12, 2))])
    expected = [("7", Decimal("5.00")), ("8", Decimal("1.50")), ("9", Decimal("2.50"))]
    assert read(source) == expected
    assert stage(source, tmp_path / "out").to_pylist() == [
        {"payment_id": number, "amount": amount} for number, amount in expected
    ]


@pytest.mark.parametrize("block_bytes", [16, 1 << 23])
def test_a_value_that_does_not_fit_its_declared_type_is_named_with_row_and_line(
    tmp_path: Path, block_bytes: int
) -> None:
    text = 'id,amount\n1,"1\n.5"\n2,1.50\n\n3,1.505\n4,x\n'.replace('"1\n.5"', "7.25")
    source = csv_source(write(tmp_path, text), schema=("amount:decimal(12,2)",), block_bytes=block_bytes)
    with pytest.raises(KallaError) as failure:
        source.stage(tmp_path / "out", lambda _: None)
    assert failure.value.code is Code.SCHEMA_MISMATCH
    assert failure.value.details == {"column": "amount", "row": "3", "line": "5"}
    for part in ("'amount'", "'1.505'", "row 3", "line 5", "decimal(12,2)"):
        assert part in failure.value.message
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("schema", "hint"),
    [
        (("id", "amount"), "'Amount'"),
        (("id:integr",), "integr"),
        (("id:integer", "id:text"), "twice"),
        (("Amount:float",), "decimal"),
        (("nobody:text",), "'id'"),
    ],
)
def test_a_schema_that_does_not_fit_the_file_is_refused_when_it_is_opened(
    tmp_path: Path, schema: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(KallaError) as failure:
        csv_source(write(tmp_path, "id,Amount\n1,2\n"), schema=schema)
    assert failure.value.code is Code.SCHEMA_MISMATCH
    assert hint in failure.value.message


def test_a_column_name_may_hold_a_colon(tmp_path: Path) -> None:
    path = write(tmp_path, "ns:id,b\n1,2\n")
    assert csv_source(path, schema=("ns:id", "b")).schema().types == [pa.int64(), pa.int64()]
    assert csv_source(path, schema=("ns:id:text",)).schema().types == [pa.string(), pa.int64()]


def test_progress_is_the_share_of_the_file_that_was_read_also_over_two_passes(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{number * 2654435761 % 2**32},x\n" for number in range(120_000)) + "late,x\n"
    packed = gzip.compress(text.encode())
    for path in (write(tmp_path, text), write(tmp_path, packed, "payments.csv.gz")):
        told: list[float] = []
        csv_source(path, threads=1, block_bytes=1 << 14).stage(tmp_path / "out", told.append)
        assert told == sorted(told)
        assert len({round(share, 1) for share in told}) > 4
        assert told[-1] == 1.0
