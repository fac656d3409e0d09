"""The canonical text of Arrow values."""

# Timestamps without a zone are a type of their own.
# ruff: noqa: DTZ001

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.arrow_text import column_text, slices, text_rows


def _texts(values: list[Any], kind: pa.DataType) -> list[str | None]:
    return column_text(pa.array(values, kind)).to_pylist()


@settings(deadline=None)
@given(st.lists(st.none() | st.decimals("-1e15", "1e15", allow_nan=False, places=9)))
def test_decimal_keeps_every_digit_of_its_scale_and_has_no_exponent(values: list[Decimal | None]) -> None:
    texts = _texts(values, pa.decimal128(38, 9))
    assert texts == [None if v is None else format(v.quantize(Decimal("1e-9")), "f") for v in values]


def test_small_decimals_are_written_out() -> None:
    values = [Decimal("0.00000001"), Decimal("0E-8"), Decimal("-0.00000010"), None]
    assert _texts(values, pa.decimal128(12, 8)) == ["0.00000001", "0.00000000", "-0.00000010", None]


def test_wide_decimals_keep_all_digits() -> None:
    value = Decimal("1" * 60)
    assert _texts([value], pa.decimal256(76, 5)) == ["1" * 60 + ".00000"]


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_float_text_reads_back_as_the_same_float(values: list[float | None]) -> None:
    texts = _texts(values, pa.float64())
    assert [None if t is None else float(t) for t in texts] == values


@settings(deadline=None)
@given(
    st.lists(st.none() | st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30)))
)
def test_timestamp_with_zone_is_utc_with_z_and_loses_nothing(values: list[dt.datetime | None]) -> None:
    aware = [None if v is None else v.replace(tzinfo=dt.UTC) for v in values]
    texts = _texts(aware, pa.timestamp("us", "UTC"))
    assert [None if t is None else dt.datetime.fromisoformat(t) for t in texts] == aware
    assert all(t is None or t.endswith("Z") for t in texts)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (dt.datetime(2026, 1, 15, 10), pa.timestamp("us"), "2026-01-15T10:00:00"),
        (dt.datetime(2026, 1, 15, 10, 0, 10), pa.timestamp("s"), "2026-01-15T10:00:10"),
        (dt.datetime(2026, 1, 15, 10, 0, 0, 250_000), pa.timestamp("us"), "2026-01-15T10:00:00.25"),
        (
            dt.datetime(2026, 1, 15, 9, tzinfo=dt.UTC),
            pa.timestamp("us", "Europe/Berlin"),
            "2026-01-15T09:00:00Z",
        ),
        (dt.date(2026, 1, 15), pa.date32(), "2026-01-15"),
        (dt.time(10, 0, 0, 500_000), pa.time64("us"), "10:00:00.5"),
        (dt.time(10, 0, 10), pa.time32("s"), "10:00:10"),
        (True, pa.bool_(), "true"),
        (-12, pa.int64(), "-12"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (b"\x00\xab", pa.binary(), "\\x00ab"),
        (b"\x00\xab", pa.binary_view(), "\\x00ab"),
        ("é\n,", pa.string_view(), "é\n,"),
        ("x", pa.large_string(), "x"),
        ("x", pa.dictionary(pa.int8(), pa.string()), "x"),
        (None, pa.null(), None),
        ([1, None], pa.list_(pa.int64()), "[1,null]"),
        ([], pa.list_(pa.int64()), "[]"),
        (['a"b', None], pa.list_(pa.string()), '["a\\"b",null]'),
        ([Decimal("0.00000001")], pa.list_(pa.decimal128(12, 8)), "[0.00000001]"),
        ([dt.date(2026, 1, 15)], pa.large_list(pa.date32()), '["2026-01-15"]'),
        ([1, 2], pa.list_(pa.int8(), 2), "[1,2]"),
        ([1, 2], pa.list_view(pa.int8()), "[1,2]"),
        ([float("inf"), 1.5], pa.list_(pa.float64()), '["inf",1.5]'),
        ([[True], None], pa.list_(pa.list_(pa.bool_())), "[[true],null]"),
        ({"a": 1, "b": "x"}, pa.struct({"a": pa.int64(), "b": pa.string()}), '{"a":1,"b":"x"}'),
        ([("k", 1)], pa.map_(pa.string(), pa.int64()), '[{"key":"k","value":1}]'),
    ],
)
def test_every_type_has_one_text_and_null_stays_null(
    value: object, kind: pa.DataType, text: str | None
) -> None:
    if pa.types.is_dictionary(kind):
        array = pa.array([value, None]).dictionary_encode()
    else:
        array = pa.array([value, None], kind)
    assert column_text(array).to_pylist() == [text, None]


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.text())))
def test_lists_are_json(values: list[list[str | None] | None]) -> None:
    texts = _texts(values, pa.list_(pa.string()))
    assert [None if t is None else json.loads(t) for t in texts] == values


def test_rows_are_arrays_of_text_cells() -> None:
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "name": ["a", None]})
    assert text_rows(batch) == [["1", "a"], ["2", None]]


def test_sliced_arrays_show_their_own_values() -> None:
    array = pa.array([Decimal("1.10"), None, Decimal("0.00000001")], pa.decimal128(12, 8)).slice(1)
    assert column_text(array).to_pylist() == [None, "0.00000001"]
    nested = pa.array([["a"], ["b"], None]).slice(1)
    assert column_text(nested).to_pylist() == ['["b"]', None]


def test_slices_cover_a_batch_exactly_and_stay_small() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["x" * 100_000] * 300})
    parts = list(slices(batch))
    assert pa.Table.from_batches(parts) == pa.Table.from_batches([batch])
    assert max(part.num_rows for part in parts) * 100_000 <= 8 * 1024 * 1024
