"""Filters typed against their columns, and what they keep."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.filters import Comparison, check_filters, filter_batches, like_pattern

D = Decimal
ORDER = [FilterOp.EQ, FilterOp.NEQ, FilterOp.GT, FilterOp.GTE, FilterOp.LT, FilterOp.LTE]


def kept(array: pa.Array, op: FilterOp, *values: FilterScalar) -> list[Any]:
    batch = pa.record_batch({'Odd "name".x': array})
    typed = check_filters([FilterCondition('Odd "name".x', op, values)], batch.schema)
    return [value for part in filter_batches(iter([batch]), typed) for value in part.column(0).to_pylist()]


COMPARE: dict[FilterOp, Callable[[Any, Any], bool]] = {
    FilterOp.EQ: operator.eq,
    FilterOp.NEQ: operator.ne,
    FilterOp.GT: operator.gt,
    FilterOp.GTE: operator.ge,
    FilterOp.LT: operator.lt,
    FilterOp.LTE: operator.le,
}


def by_hand(values: Sequence[Any], op: FilterOp, literal: Decimal) -> list[Any]:
    return [
        value
        for value in values
        if value is not None
        and COMPARE[op](Decimal(repr(value)) if isinstance(value, float) else value, literal)
    ]


LITERALS = st.one_of(
    st.integers(-(10**20), 10**20).map(Decimal),
    st.decimals(-1000, 1000, allow_nan=False, places=4),
    st.sampled_from([D("1e999999999"), D("-1e999999999"), D("1e-999999999"), D("0." + "1" * 5000), D("-0")]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.decimals(-1000, 1000, places=2)), min_size=1, max_size=8),
    st.sampled_from(ORDER),
    LITERALS,
)
def test_trap_01_a_literal_of_any_scale_compares_exactly_with_decimals(
    values: list[Decimal | None], op: FilterOp, literal: Decimal
) -> None:
    assert kept(pa.array(values, pa.decimal128(12, 2)), op, literal) == by_hand(values, op, literal)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.int32()]),
    st.data(),
    st.sampled_from(ORDER),
    LITERALS,
)
def test_trap_01_a_literal_of_any_size_compares_exactly_with_integers(
    data_type: pa.DataType, data: st.DataObject, op: FilterOp, literal: Decimal
) -> None:
    signed = pa.types.is_signed_integer(data_type)
    low, high = (-(2 ** (data_type.bit_width - 1)), 2 ** (data_type.bit_width - 1) - 1)
    if not signed:
        low, high = 0, 2**data_type.bit_width - 1
    values = data.draw(
        st.lists(st.one_of(st.integers(low, high), st.integers(0, 100)), min_size=1, max_size=8)
    )
    near = data.draw(
        st.sampled_from([literal, Decimal(values[0]), Decimal(values[0]) + D("0.5"), D(low), D(high)])
    )
    assert kept(pa.array(values, data_type), op, near) == by_hand(values, op, near)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.sampled_from(ORDER),
    LITERALS,
    st.booleans(),
)
def test_a_float_counts_as_its_shortest_decimal_form(
    values: list[float], op: FilterOp, literal: Decimal, near: bool
) -> None:
    asked = Decimal(repr(values[0])) if near else literal
    assert kept(pa.array(values, pa.float64()), op, asked) == by_hand(values, op, asked)


@pytest.mark.parametrize("data_type", [pa.float32(), pa.float64()])
def test_the_largest_and_the_smallest_float_are_found(data_type: pa.DataType) -> None:
    info = np.finfo(np.float32 if data_type == pa.float32() else np.float64)
    for value in (info.max, info.min, info.smallest_subnormal, -info.smallest_subnormal):
        literal = Decimal(np.format_float_scientific(value, unique=True))
        assert kept(pa.array([value, 1.0], data_type), FilterOp.EQ, literal) == [float(value)]
        greater = [float(value)] if literal < 0 else []
        above_one = [1.0] if literal < 1 else []
        assert kept(pa.array([value, 1.0], data_type), FilterOp.GT, literal * 2) == greater + above_one


def test_a_float_column_of_32_bits_finds_the_literal_that_was_stored() -> None:
    assert (
        len(kept(pa.array([0.1, 0.2, 3e38], pa.float32()), FilterOp.IN, D("0.1"), D("0.2"), D("1e39"))) == 2
    )


def test_no_comparison_keeps_a_null() -> None:
    for op in ORDER:
        assert None not in kept(pa.array([1, None], pa.int64()), op, D("1.5"))


@pytest.mark.parametrize(
    "data_type", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_kind_of_text_column_is_filtered_alike(data_type: pa.DataType) -> None:
    array = pa.array(["a", "b%", None, "A"], pa.string()).cast(data_type)
    assert kept(array, FilterOp.EQ, "a") == ["a"]
    assert kept(array, FilterOp.LIKE, "b\\%") == ["b%"]
    assert kept(array, FilterOp.GTE, "a") == ["a", "b%"]


LETTERS = st.text(st.sampled_from("ab%_\\.*[]()^$|?+{}-&~# \nÜ😀"), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=5), LETTERS)
def test_like_means_the_same_as_a_pattern_matched_letter_by_letter(values: list[str], pattern: str) -> None:
    def matches(text: str, rest: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "%":
            return any(matches(text[start:], rest[1:]) for start in range(len(text) + 1))
        if rest[0] == "\\":
            return text[:1] == rest[1] and matches(text[1:], rest[2:])
        return bool(text) and rest[0] in ("_", text[0]) and matches(text[1:], rest[1:])

    escapes = re.findall(r"\\.?", pattern, re.DOTALL)
    if escapes and escapes[-1] == "\\":
        with pytest.raises(KallaError):
            like_pattern(pattern, "c")
        return
    assert kept(pa.array(values), FilterOp.LIKE, pattern) == [
        text for text in values if matches(text, pattern)
    ]


@pytest.mark.parametrize(
    ("data_type", "literal", "comparison"),
    [
        (pa.timestamp("s"), "2026-01-01T00:00:00.5", Comparison.NEVER),
        (pa.timestamp("ns"), "2026-01-01T00:00:00.000000001", Comparison.EQ),
        (pa.timestamp("ns"), "9999-01-01", Comparison.NEVER),
        (pa.date64(), "2026-01-01", Comparison.EQ),
        (pa.time64("us"), "23:59:59.999999", Comparison.EQ),
        (pa.time32("s"), "12:00:00.5", Comparison.NEVER),
    ],
)
def test_a_time_that_the_unit_cannot_hold_equals_nothing(
    data_type: pa.DataType, literal: str, comparison: Comparison
) -> None:
    schema = pa.schema([("c", data_type)])
    (typed,) = check_filters([FilterCondition("c", FilterOp.EQ, (literal,))], schema)
    assert typed.comparison is comparison


@pytest.mark.parametrize(
    "data_type", [pa.binary(), pa.list_(pa.int64()), pa.struct([("x", pa.int64())]), pa.duration("s")]
)
def test_a_column_that_no_literal_can_stand_for_is_refused(data_type: pa.DataType) -> None:
    with pytest.raises(KallaError) as failure:
        check_filters([FilterCondition("c", FilterOp.EQ, ("x",))], pa.schema([("c", data_type)]))
    assert failure.value.code is Code.INVALID_FILTER


def test_filtered_batches_keep_the_order_and_the_schema() -> None:
    schema = pa.schema([pa.field("c", pa.string(), nullable=False), ("n", pa.int64())])
    batches = [pa.record_batch({"c": [str(n)], "n": [n]}, schema=schema) for n in range(20)]
    typed = check_filters([FilterCondition("n", FilterOp.GT, (9,))], schema)
    out = list(filter_batches(iter(batches), typed))
    assert [batch.column("n").to_pylist() for batch in out] == [[n] for n in range(10, 20)]
    assert all(batch.schema == schema for batch in out)
