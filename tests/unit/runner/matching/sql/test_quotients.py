"""Division, averages and medians are decimals, exact to at least 16 digits after the point, everywhere."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runner.matching.sql.tables import run

_EXACT = Context(prec=200, rounding=ROUND_HALF_UP)


def value(expression: str, a: object, a_type: pa.DataType, b: object = 1, b_type: pa.DataType | None = None):
    left = pa.table({"id": [1], "a": pa.array([a], a_type)})
    right = pa.table({"id": [1], "b": pa.array([b], b_type or pa.int64())})
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    return run(query, left, right)[1][0]["v"]


def rounded(one: Decimal | int, two: Decimal | int, scale: int) -> Decimal:
    quotient = Fraction(one) / Fraction(two)
    shifted = abs(quotient) * 10**scale
    whole = (2 * shifted.numerator + shifted.denominator) // (2 * shifted.denominator)
    return _EXACT.scaleb(Decimal(whole if quotient >= 0 else -whole), -scale)


def quotients(pairs: list[tuple[Any, Any]], one: pa.DataType, two: pa.DataType) -> list[Decimal]:
    ids = list(range(len(pairs)))
    left = pa.table({"id": ids, "a": pa.array([a for a, _ in pairs], one)})
    right = pa.table({"id": ids, "b": pa.array([b for _, b in pairs], two)})
    query = "SELECT l.id AS n, r.id AS rid, l.a / r.b AS v FROM l JOIN r ON l.id = r.id"
    rows = run(query, left, right)[1]
    return [row["v"] for row in sorted(rows, key=lambda row: row["n"])]  # pyright: ignore[reportReturnType, reportArgumentType, reportCallIssue]


_BIG = st.integers(-(2**63), 2**63 - 1)
_MONEY = st.decimals("-9999999999.99", "9999999999.99", places=2)
_RATES = st.decimals("-99999.9999", "99999.9999", places=4).filter(bool)


@given(st.lists(st.tuples(_BIG, _BIG.filter(bool)), min_size=30, max_size=60))
@settings(max_examples=4)
def test_integers_are_divided_as_decimals(pairs: list[tuple[int, int]]) -> None:
    assert quotients(pairs, pa.int64(), pa.int64()) == [rounded(a, b, 16) for a, b in pairs]


@given(st.lists(st.tuples(_MONEY, _RATES), min_size=30, max_size=60))
@settings(max_examples=4)
def test_decimals_keep_sixteen_digits_rounded_half_away_from_zero(
    pairs: list[tuple[Decimal, Decimal]],
) -> None:
    found = quotients(pairs, pa.decimal128(12, 2), pa.decimal128(9, 4))
    assert found == [rounded(a, b, 16) for a, b in pairs]


@given(st.decimals("-1e25", "1e25", places=10), st.decimals("-1e9", "1e9", places=20).filter(bool))
@settings(max_examples=6)
def test_long_decimals_are_exact_or_an_error(one: Decimal, two: Decimal) -> None:
    expected = rounded(one, two, 20)
    if abs(expected) >= 10**18:
        with pytest.raises(Exception, match=r"verflow|too large to store"):
            value("l.a / r.b", one, pa.decimal128(38, 10), two, pa.decimal128(38, 20))
        return
    assert value("l.a / r.b", one, pa.decimal128(38, 10), two, pa.decimal128(38, 20)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 / 2", "3.5"),
        ("l.a / 100", "123.45"),
        ("-7 / 2", "-3.5"),
        ("1 / 3 * 3", "0.9999999999999999"),
        ("l.a / 2 / 2", "3086.25"),
        ("(l.a / 7) * (l.a / 7)", None),
        ("avg(l.a / 2) OVER ()", "6172.5"),
        ("sum(l.a) OVER () / count(*) OVER ()", "12345"),
        ("CASE WHEN true THEN l.a / 100 END", "123.45"),
        ("coalesce(l.a / 100, 0)", "123.45"),
        ("median(l.a) OVER ()", "12345"),
    ],
)
def test_division_is_decimal_everywhere(expression: str, expected: str | None) -> None:
    found = value(expression, 12345, pa.int64())
    share = rounded(12345, 7, 16)
    assert found == (Decimal(expected) if expected is not None else _EXACT.multiply(share, share))


def test_division_is_decimal_in_ctes_and_conditions() -> None:
    left = pa.table({"id": [1, 2], "cents": pa.array([12345, 12399], pa.int64())})
    right = pa.table(
        {"id": [1, 2], "amount": pa.array([Decimal("123.45"), Decimal("123.00")], pa.decimal128(9, 2))}
    )
    query = (
        "WITH c AS (SELECT id, cents / 100 AS amount FROM l) "
        "SELECT c.id, r.id AS rid FROM c JOIN r ON c.id = r.id AND c.amount = r.amount"
    )
    assert [row["id"] for row in run(query, left, right)[1]] == [1]


def test_an_average_of_integers_is_exact() -> None:
    left = pa.table({"id": [1, 2, 3], "n": pa.array([2**62, 2**62 + 1, 2**62 + 1], pa.int64())})
    right = pa.table({"id": [1, 2, 3]})
    query = "SELECT l.id, r.id AS rid, avg(l.n) OVER () AS v FROM l JOIN r ON l.id = r.id"
    assert run(query, left, right)[1][0]["v"] == rounded(3 * 2**62 + 2, 3, 16)


def test_a_median_keeps_the_half_of_the_last_digit() -> None:
    left = pa.table({"id": [1, 2], "n": pa.array([Decimal("1.01"), Decimal("1.02")], pa.decimal128(5, 2))})
    right = pa.table({"id": [1, 2]})
    query = "SELECT l.id, r.id AS rid, median(l.n) OVER () AS v FROM l JOIN r ON l.id = r.id"
    assert run(query, left, right)[1][0]["v"] == Decimal("1.015")


def test_division_by_zero_is_an_error() -> None:
    with pytest.raises(Exception, match="Divide by zero"):
        value("l.a / r.b", 1, pa.int64(), 0)
