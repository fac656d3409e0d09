"""Columns are read exactly, or not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.chat.inference.columns import column

EPOCH = date(1970, 1, 1)


@given(st.lists(st.none() | st.decimals(-(10**12), 10**12, places=3), min_size=1, max_size=30))
def test_decimals_are_whole_units_and_nulls_stay_nulls(values: list[Decimal | None]) -> None:
    read = column(pa.array(values, pa.decimal128(18, 3))).amounts
    if all(v is None for v in values):
        assert read is None
        return
    assert read is not None
    assert read.scale == 3
    exact = [
        None if not ok else Decimal(int(u)).scaleb(-3) for u, ok in zip(read.units, read.valid, strict=True)
    ]
    assert exact == values


def test_a_slice_is_read_from_where_it_begins() -> None:
    whole = pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("3.00")], pa.decimal128(9, 2))
    read = column(whole.slice(1)).amounts
    assert read is not None
    assert read.units.tolist() == [200, 300]


def test_amounts_that_leave_64_bits_are_left_alone() -> None:
    assert column(pa.array([Decimal(10**30)], pa.decimal128(38, 0))).amounts is None


def test_floats_count_as_their_shortest_decimal_form() -> None:
    read = column(pa.array([0.1, 2.25, None])).amounts
    assert read is not None
    assert (read.scale, read.units.tolist()[:2]) == (2, [10, 225])


@pytest.mark.parametrize(
    ("texts", "units"),
    [(["1.234,50", "7,25", "-12,00"], [123_450, 725, -1_200]), (["1,234.50", "7.25"], [123_450, 725])],
)
def test_amounts_written_with_separators_are_numbers(texts: list[str], units: list[int]) -> None:
    read = column(texts).amounts
    assert read is not None
    assert read.units.tolist() == units
    assert read.sql.endswith("AS DECIMAL(18,2))")


@pytest.mark.parametrize("texts", [["1.234,50", "n/a"], ["INV-1", "7,25"], ["1.2.3", "4,5"]])
def test_texts_that_are_not_all_amounts_are_none(texts: list[str]) -> None:
    assert column(texts).amounts is None


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["31.12.2024", "01.02.2024"], "%d.%m.%Y"),
        (["12/31/2024", "01/02/2024"], "%m/%d/%Y"),
        (["31/12/2024", "01/02/2024"], "%d/%m/%Y"),
        (["20241231", "20240201"], "%Y%m%d"),
    ],
)
def test_the_form_of_dates_is_found(texts: list[str], form: str) -> None:
    read = column(texts).days
    assert read is not None
    assert f"'{form}'" in read.sql
    assert read.note == ""
    assert read.days[0] == (date(2024, 12, 31) - EPOCH).days


def test_dates_whose_day_may_be_the_month_are_read_with_a_note() -> None:
    read = column(["01/02/2024", "03/04/2024"]).days
    assert read is not None
    assert "no value shows" in read.note


def test_a_timestamp_is_the_day_in_utc() -> None:
    read = column(pa.array([datetime(2024, 5, 1, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))).days
    assert read is not None
    assert read.days.tolist() == [(date(2024, 5, 1) - EPOCH).days]


def test_numbers_that_only_look_like_dates_are_none() -> None:
    assert column(["20241301", "20240201"]).days is None


def test_a_running_number_is_no_amount() -> None:
    assert column(list(range(1, 200))).amounts is None
