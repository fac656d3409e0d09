"""Filters keep exact numbers, and a wrong shape is refused with a sentence."""

from __future__ import annotations

from decimal import Decimal

import pytest
from kalla_common.domain import FilterCondition, FilterOp
from kalla_common.errors import Code, KallaError
from kalla_common.filters_json import condition_to_json, load_json, parse_conditions


def test_numbers_in_json_are_exact() -> None:
    assert load_json('{"a": 0.1, "b": 12345678901234567890.12, "c": 9007199254740993}') == {
        "a": Decimal("0.1"),
        "b": Decimal("12345678901234567890.12"),
        "c": 9007199254740993,
    }


@pytest.mark.parametrize("body", ["{", "[1,]", '{"a": NaN}', b"\xff", "[" * 100_000])
def test_wrong_json_is_refused(body: str | bytes) -> None:
    with pytest.raises(KallaError) as caught:
        load_json(body)
    assert caught.value.code is Code.INVALID_REQUEST


def test_all_operators_are_understood_and_rendered_back() -> None:
    conditions: list[object] = [
        {"column": "a", "op": op, "value": 1} for op in ("eq", "neq", "gt", "gte", "lt", "lte")
    ]
    conditions += [
        {"column": "a", "op": "between", "value": [1, Decimal("2.50")]},
        {"column": "a", "op": "in", "value": ["x", "y", "z"]},
        {"column": "a", "op": "like", "value": "x%"},
    ]
    parsed = parse_conditions(conditions)
    assert {condition.op for condition in parsed} == set(FilterOp)
    assert [condition_to_json(condition) for condition in parsed] == conditions
    assert parsed[6] == FilterCondition("a", FilterOp.BETWEEN, (1, Decimal("2.50")))


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ({"op": "eq", "value": 1}, "column"),
        ({"column": "a", "op": "about", "value": 1}, "unknown operator"),
        ({"column": "a", "value": 1}, "unknown operator"),
        ({"column": "a", "op": "eq"}, "value"),
        ({"column": "a", "op": "eq", "value": None}, "neither text nor number"),
        ({"column": "a", "op": "eq", "value": [1]}, "neither text nor number"),
        ({"column": "a", "op": "between", "value": [1]}, "two values"),
        ({"column": "a", "op": "between", "value": 1}, "array"),
        ({"column": "a", "op": "in", "value": []}, "at least one"),
        ("a = 1", "object"),
    ],
)
def test_a_wrong_condition_is_refused_by_its_number(condition: object, word: str) -> None:
    with pytest.raises(KallaError, match=word) as caught:
        parse_conditions([{"column": "x", "op": "eq", "value": 1}, condition])
    assert caught.value.code is Code.INVALID_FILTER
    assert "condition 2" in caught.value.message
