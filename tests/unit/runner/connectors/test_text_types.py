"""Types of text columns: the vectorised rules against the same rules written value by value."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_runner.connectors.text_types import Kind, MisfitError, Shape, convert, fit, shape_of

PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,12})?", fullmatch=True)
INTEGERS = st.integers(-(2**64), 2**64).map(str)
ODD_WORDS = (
    ", - . -0 00 007 +5 1. .5 -.5 1..2 1.2.3 1-2 --1 1e5 0x1F 1_0 ٣ NaN inf 1,5 1/2 / True yes 12:30 -0.0 "
    "2026-02-30 2026-1-1 0000-01-01 2026-01-01T10 2026-01-01T24:00 2026-01-01T10:00:60 "
    "2026-01-01T10:00:00.1234567"
)
ODD = st.sampled_from(["", " 1", "1 ", *ODD_WORDS.split(" ")])
DATES = st.dates().map(str)
STAMPS = st.tuples(st.datetimes(), st.sampled_from("T ")).map(lambda drawn: drawn[0].isoformat(drawn[1]))
INSTANTS = st.tuples(
    st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29)),  # noqa: DTZ001 - the zone is added as text
    st.sampled_from(["Z", "+00:00", "+05:30", "-0800", "+01"]),
).map(lambda drawn: drawn[0].isoformat() + drawn[1])
BOOLEANS = st.sampled_from(["true", "false"])
FAMILIES = [NUMBERS, INTEGERS, ODD, DATES, STAMPS, INSTANTS, BOOLEANS]
COLUMNS = st.one_of(
    *(st.lists(st.one_of(family, st.none()), max_size=20) for family in FAMILIES),
    st.lists(st.one_of(*FAMILIES, st.none(), st.text(max_size=5)), max_size=6),
    st.lists(st.one_of(NUMBERS, INTEGERS, st.none()), max_size=20),
)


def kind_of(value: str) -> Kind:
    """The rules of one value, as matching.md states them."""
    if PLAIN.fullmatch(value) and value != "-0":
        number = "." not in value and -(2**63) <= int(value) < 2**63
        return Kind.INTEGER if number else Kind.DECIMAL
    if value in ("true", "false"):
        return Kind.BOOLEAN
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            dt.date.fromisoformat(value)
            return Kind.DATE
        stamp = re.fullmatch(
            r"[0-9-]{10}[T ]([0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)(Z|[+-][0-9]{2}(:?[0-9]{2})?)?",
            value,
        )
        if stamp and not stamp[4]:
            dt.datetime.fromisoformat(value)
            return Kind.TIMESTAMP
        if stamp:
            dt.datetime.fromisoformat(value).astimezone(dt.UTC)
            return Kind.INSTANT
    except (ValueError, OverflowError):
        return Kind.TEXT
    return Kind.TEXT


def shape_by_hand(values: list[str | None]) -> Shape:
    present = [value for value in values if value is not None]
    kinds = {kind_of(value) for value in present}
    if not kinds:
        return Shape(Kind.NULL)
    if kinds <= {Kind.INTEGER, Kind.DECIMAL}:
        split = [value.lstrip("-").partition(".") for value in present]
        digits = max(0 if whole == "0" else len(whole) for whole, _, _ in split)
        return Shape(
            Kind.INTEGER if kinds == {Kind.INTEGER} else Kind.DECIMAL,
            digits,
            max(len(fraction) for _, _, fraction in split),
        )
    return Shape(kinds.pop() if len(kinds) == 1 else Kind.TEXT)


def value_by_hand(value: str | None, shape: Shape) -> Any:
    if value is None or pa.types.is_string(shape.data_type):
        return value
    match shape.kind:
        case Kind.INTEGER:
            return int(value)
        case Kind.DECIMAL:
            return Decimal(value)
        case Kind.BOOLEAN:
            return value == "true"
        case Kind.DATE:
            return dt.date.fromisoformat(value)
        case Kind.INSTANT:
            return dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        case _:
            return dt.datetime.fromisoformat(value)


@settings(max_examples=250, deadline=None)
@given(COLUMNS)
def test_trap_02_a_column_has_the_narrowest_type_that_every_value_has(values: list[str | None]) -> None:
    array = pa.array(values, pa.string())
    shape = shape_of(array)
    assert shape == shape_by_hand(values)
    converted, seen = convert(array, shape.data_type)
    assert converted.type == shape.data_type
    assert converted.to_pylist() == [value_by_hand(value, shape) for value in values]
    if not pa.types.is_string(shape.data_type):
        assert seen.join(shape) == shape
    converted.validate(full=True)


@settings(max_examples=150, deadline=None)
@given(COLUMNS, st.data())
def test_trap_02_the_type_is_the_same_however_the_rows_are_split(
    values: list[str | None], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    array = pa.array(values, pa.string())
    assert shape_of(array.slice(0, cut)).join(shape_of(array.slice(cut))) == shape_of(array)


WRITTEN = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)


@pytest.mark.parametrize(
    ("text", "target", "value"),
    [
        ("+1234.56", pa.decimal128(12, 2), Decimal("1234.56")),
        ("1.2E+3", pa.decimal128(12, 2), Decimal(1200)),
        ("-1.5e2", pa.decimal128(12, 2), Decimal(-150)),
        ("1.2E-7", pa.decimal128(38, 8), Decimal("0.00000012")),
        ("+7", pa.int64(), 7),
        ("1e3", pa.int64(), 1000),
    ],
)
def test_a_declared_number_may_have_a_plus_sign_or_an_exponent(
    text: str, target: pa.DataType, value: object
) -> None:
    assert fit(pa.array([None, text], pa.string()), target).to_pylist() == [None, value]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("++1", pa.int64()),
        ("1e-3", pa.decimal128(12, 2)),
        ("1e99", pa.decimal128(38, 2)),
        ("1.5e0", pa.int64()),
    ],
)
def test_a_number_that_does_not_fit_its_declared_type_is_a_misfit(text: str, target: pa.DataType) -> None:
    with pytest.raises(MisfitError):
        fit(pa.array([text], pa.string()), target)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(NUMBERS, ODD, st.none()), min_size=1, max_size=20),
    st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))),
)
def test_a_declared_decimal_takes_exactly_the_numbers_that_it_can_hold(
    values: list[str | None], declared: tuple[int, int]
) -> None:
    precision, scale = declared
    target = pa.decimal128(precision, scale)

    def fits(value: str | None) -> bool:
        if value is None:
            return True
        if not WRITTEN.fullmatch(value) or re.fullmatch("-0(e.*)?", value, re.IGNORECASE):
            return False
        units = Decimal(value).scaleb(scale)
        return units == int(units) and abs(int(units)) < 10**precision

    misfit = next((place for place, value in enumerate(values) if not fits(value)), None)
    array = pa.array(values, pa.string())
    if misfit is None:
        assert fit(array, target).to_pylist() == [
            None if value is None else Decimal(value) for value in values
        ]
    else:
        with pytest.raises(MisfitError) as failure:
            fit(array, target)
        assert failure.value.position == misfit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", None, "-9223372036854775808"], pa.int64()),
        (["9223372036854775808"], pa.decimal128(38, 0)),
        (["1", "2.50"], pa.decimal128(18, 2)),
        (["0.05"], pa.decimal128(18, 2)),
        (["-0.00"], pa.decimal128(18, 2)),
        (["1" * 38 + ".5"], pa.decimal256(76, 1)),
        (["1" * 77], pa.string()),
        (["00123", "7"], pa.string()),
        (["-0"], pa.string()),
        (["+5"], pa.string()),
        (["2026-01-31"], pa.date32()),
        (["2026-01-31", "2026-01-31T10:00"], pa.string()),
        (["2026-01-31T10:00:00.5"], pa.timestamp("us")),
        (["2026-01-31T10:00:00Z", "2026-01-31T10:00:00"], pa.string()),
        (["2026-01-31 10:00:00+02"], pa.timestamp("us", tz="UTC")),
        (["true", "false"], pa.bool_()),
        (["TRUE"], pa.string()),
        (["1", ""], pa.string()),
        ([None], pa.string()),
        ([], pa.string()),
    ],
)
def test_trap_02_types_of_columns_stated_one_by_one(values: list[str | None], expected: pa.DataType) -> None:
    assert shape_of(pa.array(values, pa.string())).data_type == expected


def test_trap_22_an_instant_is_kept_in_utc() -> None:
    text = pa.array(["2026-01-31T23:30:00-05:00"])
    assert convert(text, shape_of(text).data_type)[0].to_pylist() == [
        dt.datetime(2026, 2, 1, 4, 30, tzinfo=dt.UTC)
    ]


def test_nulls_that_hide_bytes_change_nothing() -> None:
    bytes_under_null = pa.Array.from_buffers(
        pa.string(),
        3,
        [pa.py_buffer(b"\x05"), pa.py_buffer(b"\0\0\0\0\1\0\0\0\4\0\0\0\5\0\0\0"), pa.py_buffer(b"1abc2")],
    )
    assert bytes_under_null.to_pylist() == ["1", None, "2"]
    assert shape_of(bytes_under_null) == Shape(Kind.INTEGER, 1)


@pytest.mark.parametrize("scale", [1, 2, 6, 12, 14])
@pytest.mark.parametrize("digits", [15, 16, 18])
def test_trap_01_no_digit_is_lost_up_to_the_widest_amounts(digits: int, scale: int) -> None:
    units = [
        *range(10**digits - 3_000, 10**digits),
        *range(-(10**digits) + 1, -(10**digits) + 3_000),
        0,
        1,
        -1,
    ]
    numbers = [Decimal(unit).scaleb(-scale) for unit in units]
    texts = pa.array([f"{number:f}" for number in numbers])
    converted, shape = convert(texts, pa.decimal128(18, scale))
    assert converted.to_pylist() == numbers
    assert shape == Shape(Kind.DECIMAL, digits - scale, scale)
