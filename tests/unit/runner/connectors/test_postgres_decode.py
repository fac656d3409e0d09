"""What ADBC wraps around, flattens or leaves as text is seen, not passed on."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import KallaError
from kalla_runner.connectors.postgres.catalog import ColumnEntry, Relation
from kalla_runner.connectors.postgres.decode import Decoder, UndecodableError
from kalla_runner.connectors.postgres.slices import split_pages
from kalla_runner.connectors.postgres.types import Column, column, measured_type

VERSION = 180000


def entry(name: str, modifier: int = -1, *, array: bool = False) -> ColumnEntry:
    kind = ("pg_catalog", name)
    return ColumnEntry(
        "v", ("pg_catalog", f"_{name}") if array else kind, kind if array else None, modifier, False
    )


def decoded(col: Column, values: pa.Array, dimensions: pa.Array | None = None) -> list[Any]:
    arrays = [values] if dimensions is None else [values, dimensions]
    batch = pa.RecordBatch.from_arrays(arrays, names=["v", "ndims"][: len(arrays)])
    return Decoder([col]).decode(batch).column("v").to_pylist()


@given(precision=st.integers(1, 1000), scale=st.integers(-1000, 1000))
def test_a_typmod_is_its_precision_and_scale(precision: int, scale: int) -> None:
    col = column(entry("numeric", (precision << 16 | scale & 0x7FF) + 4), nan_as_null=False, version=VERSION)
    whole, fraction = max(precision - scale, 0), max(scale, 0)
    if max(whole + fraction, fraction) > 76:
        assert col.arrow is None
    else:
        assert (col.arrow.precision, col.arrow.scale) == (whole + fraction, fraction)


@given(st.lists(st.none() | st.decimals(-999_999_999, 999_999_999, places=3)))
def test_numbers_keep_every_digit(numbers: list[Decimal | None]) -> None:
    col = column(entry("numeric", (12 << 16 | 3) + 4), nan_as_null=False, version=VERSION)
    texts = pa.array([None if number is None else f"{number:f}" for number in numbers], pa.string())
    assert decoded(col, texts) == numbers


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1.0005", "12345678901.000"])
def test_trap_11_what_is_no_such_decimal_is_an_error(text: str) -> None:
    col = column(entry("numeric", (12 << 16 | 3) + 4), nan_as_null=False, version=VERSION)
    with pytest.raises(UndecodableError):
        decoded(col, pa.array(["1.5", text]))


@pytest.mark.parametrize(
    ("name", "value", "arrow"),
    [
        ("date", -2_147_472_692, pa.date32()),
        ("timestamp", -9_222_425_352_054_775_809, pa.timestamp("us")),
        ("timestamptz", -9_222_425_352_054_775_808, pa.timestamp("us", "UTC")),
        ("time", 86_400_000_000, pa.time64("us")),
    ],
)
@pytest.mark.parametrize("array", [False, True])
def test_trap_10_values_that_were_wrapped_around_are_errors(
    name: str, value: int, arrow: pa.DataType, array: bool
) -> None:
    storage = pa.array([value], pa.int32() if name == "date" else pa.int64()).cast(arrow)
    values = pa.ListArray.from_arrays([0, 1], storage) if array else storage
    col = column(entry(name, array=array), nan_as_null=False, version=VERSION)
    with pytest.raises(UndecodableError):
        decoded(col, values, pa.array([1], pa.int32()) if array else None)


def test_arrays_of_several_dimensions_are_errors() -> None:
    col = column(entry("int4", array=True), nan_as_null=False, version=VERSION)
    values = pa.array([[1, 2]], pa.list_(pa.int32()))
    assert decoded(col, values, pa.array([1], pa.int32())) == [[1, 2]]
    assert decoded(col, values, pa.array([None], pa.int32())) == [[1, 2]]
    with pytest.raises(UndecodableError) as caught:
        decoded(col, values, pa.array([2], pa.int32()))
    assert caught.value.shape


@given(
    scale=st.integers(0, 90), most=st.decimals(0, 10**60, places=0), least=st.decimals(-(10**60), 0, places=0)
)
def test_a_measured_type_holds_what_was_measured_or_is_refused(
    scale: int, most: Decimal, least: Decimal
) -> None:
    col = column(entry("numeric"), nan_as_null=False, version=VERSION)
    digits = max(len(str(abs(int(number)))) if number else 0 for number in (most, least))
    if digits + scale > 76:
        with pytest.raises(KallaError, match=f"{digits + scale} digits"):
            measured_type(col, scale, most, least, "t")
    else:
        found = measured_type(col, scale, most, least, "t")
        assert found.scale == scale
        assert found.precision - scale >= digits


@given(pages=st.integers(0, 100_000), size=st.integers(1, 20_000))
def test_trap_04_page_ranges_touch_and_leave_nothing_out(pages: int, size: int) -> None:
    ranges = split_pages(pages, size)
    assert ranges[0][0] == 0
    assert ranges[-1][1] is None
    assert all(end == start for (_, end), (start, _) in pairwise(ranges))
    widths = [(pages if end is None else end) - start for start, end in ranges]
    assert max(widths) - min(widths) <= 1
    assert max(widths) <= size


def test_a_relation_is_quoted_as_it_is() -> None:
    assert Relation(1, 'a"b', "C d", "r", heap=True).identifier.as_string(None) == '"a""b"."C d"'
