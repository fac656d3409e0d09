"""Joins by nearness alone run over buckets and lose or repeat no pair; what stays quadratic is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from time import perf_counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_common.errors import Code
from kalla_runner.matching.check import check_match_sql, plan_match
from kalla_runner.matching.sql.band import BUCKET

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, info, plan, refused, run, session_with

CENT = Decimal("0.01")
MONEY = pa.decimal128(12, 2)
CENTS = st.integers(-60, 60)


def table(values: list[object], data_type: pa.DataType) -> pa.Table:
    return pa.table({"id": list(range(len(values))), "v": pa.array(values, data_type)})


@settings(max_examples=10, deadline=None)
@given(
    st.lists(CENTS | st.none(), max_size=25),
    st.lists(CENTS | st.none(), max_size=25),
    st.integers(0, 9),
    st.booleans(),
)
def test_bands_of_decimals_find_exactly_the_near_pairs(
    a: list[int | None], b: list[int | None], width: int, turned: bool
) -> None:
    left = table([None if n is None else n * CENT for n in a], MONEY)
    right = table([None if n is None else n * CENT for n in b], MONEY)
    arguments = f"r.v, l.v, {width * CENT}" if turned else f"l.v, r.v, {width * CENT}"
    made, rows = run(f"SELECT 1 FROM l JOIN r ON tolerance_match({arguments})", left, right)
    assert BUCKET in made.sql
    wanted = [
        (i, j)
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if x is not None and y is not None and abs(x - y) <= width
    ]
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == wanted


@settings(max_examples=8, deadline=None)
@given(st.lists(CENTS, max_size=20), st.lists(CENTS, max_size=20), st.integers(0, 7), st.integers(0, 7))
def test_bands_of_dates_and_moments_find_exactly_the_near_pairs(
    a: list[int], b: list[int], down: int, up: int
) -> None:
    day = date(1970, 1, 1)
    wanted = [(i, j) for i, x in enumerate(a) for j, y in enumerate(b) if y - down <= x <= y + up]
    condition = f"l.v BETWEEN r.v - INTERVAL '{down}' DAY AND r.v + INTERVAL '{up}' DAY"
    for data_type, start in ((pa.date32(), day), (pa.timestamp("us"), datetime(1970, 1, 1))):  # noqa: DTZ001
        left = table([start + timedelta(days=n) for n in a], data_type)
        right = table([start + timedelta(days=n) for n in b], data_type)
        made, rows = run(f"SELECT 1 FROM l JOIN r ON {condition}", left, right)
        assert BUCKET in made.sql
        assert sorted((r["left_id"], r["right_id"]) for r in rows) == wanted


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        # What is smaller and not 0 may need more digits than there are, which is an error of its own.
        st.floats(-1e6, 1e6).map(lambda x: x if abs(x) >= 1e-20 else 0.0)
        | st.integers(-100, 100).map(lambda n: n / 100)
        | st.sampled_from([1e300, -1e300, 1e17]),
        max_size=20,
    ),
    st.lists(
        st.integers(-100, 100).map(lambda n: n / 100) | st.sampled_from([1e17, 1e17 + 16, -1e308]),
        max_size=20,
    ),
    st.sampled_from(["0.01", "0.05", "3"]),
)
def test_bands_of_floats_find_exactly_the_near_pairs(a: list[float], b: list[float], width: str) -> None:
    left, right = table(list(a), pa.float64()), table(list(b), pa.float64())
    made, rows = run(f"SELECT 1 FROM l JOIN r ON tolerance_match(l.v, r.v, {width})", left, right)
    assert BUCKET in made.sql
    wanted = [
        (i, j)
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if abs(Decimal(repr(x)) - Decimal(repr(y))) <= Decimal(width)
    ]
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == wanted


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.int64(), pa.int64()),
        (pa.int64(), MONEY),
        (pa.decimal128(38, 0), pa.decimal128(38, 10)),
        (pa.decimal128(38, 38), pa.decimal128(38, 38)),
        (pa.uint64(), pa.int8()),
    ],
)
def test_bands_meet_between_types(one: pa.DataType, two: pa.DataType) -> None:
    made, rows = run(
        "SELECT 1 FROM l JOIN r ON tolerance_match(l.v, r.v, 0.5)", table([0, None], one), table([0], two)
    )
    assert BUCKET in made.sql
    assert [(r["left_id"], r["right_id"]) for r in rows] == [(0, 0)]


@pytest.mark.parametrize(
    "condition",
    [
        "tolerance_match(l.v, r.v, 0.02)",
        "abs(l.v - r.v) <= 0.02",
        "l.v BETWEEN r.v - 0.02 AND r.v + 0.02",
        "(tolerance_match(l.v, r.v, 0.02) AND l.id < 3)",
    ],
)
@pytest.mark.parametrize("join", ["JOIN r ON", "LEFT JOIN r ON", "FULL JOIN r ON", ", r WHERE"])
def test_every_way_to_write_a_band_is_found(condition: str, join: str) -> None:
    left, right = table([CENT, 5 * CENT], MONEY), table([3 * CENT, None], MONEY)
    made, rows = run(f"SELECT l.id, r.id FROM l {join} {condition}", left, right)
    assert BUCKET in made.sql
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == [(0, 0), (1, 0)]


@pytest.mark.parametrize(
    ("one", "two", "threshold"),
    [("1584.7", "1584.7", "0.000001"), ("8856733", "8856734", "1"), ("-2333.24", "-2333.24", "0.000000001")],
)
@pytest.mark.parametrize("other", [pa.float32(), pa.float64(), pa.decimal128(28, 4)])
def test_trap_01_narrow_floats_meet_at_their_decimal_form_however_narrow_the_band(
    one: str, two: str, threshold: str, other: pa.DataType
) -> None:
    right: list[object] = [Decimal(two)] if pa.types.is_decimal(other) else [float(two)]
    made, rows = run(
        f"SELECT 1 FROM l JOIN r ON tolerance_match(l.v, r.v, {threshold})",
        table([float(one)], pa.float32()),
        table(right, other),
    )
    assert BUCKET in made.sql
    assert [(r["left_id"], r["right_id"]) for r in rows] == [(0, 0)]


@pytest.mark.parametrize("value", [1e-30, 1e-7, 1e22])
def test_floats_of_any_size_are_compared_without_an_equality_too(value: float) -> None:
    side = table([value, 1.5], pa.float64())
    _, rows = run("SELECT 1 FROM l JOIN r ON tolerance_match(l.v, r.v, 0)", side, side)
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == [(0, 0), (1, 1)]


def test_an_equality_beside_the_band_needs_no_buckets() -> None:
    made = plan(
        "SELECT 1 FROM invoices l JOIN payments r ON l.id = r.id AND tolerance_match(l.amount, r.amount, 1)"
    )
    assert BUCKET not in made.sql


def test_a_band_leaves_look_ups_and_conditions_as_they_are() -> None:
    sql = (
        "SELECT l.invoice_id, k.rate FROM invoices l "
        "JOIN payments r ON tolerance_match(l.amount, r.amount, 1) "
        "LEFT JOIN rates k ON k.id = l.id WHERE l.paid AND EXISTS (SELECT 1 FROM rates q WHERE q.id = r.id)"
    )
    made = plan(sql)
    assert BUCKET in made.sql
    assert not [n for n in made.output_columns if n.startswith("__kalla")]


def test_a_hundred_thousand_by_a_hundred_thousand_is_quick() -> None:
    n = 100_000
    values = [((i * 7_919) % 10_000_019) * CENT for i in range(n)]
    left = pa.table({"id": pa.array(range(n)), "v": pa.array(values, MONEY)})
    right = pa.table({"id": pa.array(range(n)), "v": pa.array([v + CENT for v in values], MONEY)})
    made = plan_match(
        "SELECT 1 FROM l JOIN r ON tolerance_match(l.v, r.v, 0.02)",
        info("l", left, "id"),
        info("r", right, "id"),
    )
    session = session_with({"l": left, "r": right})
    start = perf_counter()
    found = session.sql(made.sql).count()
    seconds = perf_counter() - start
    assert found >= n
    assert seconds < 5, "a nested loop takes more than forty"  # far above what buckets take, far below a loop


EQUAL = "SELECT l.id FROM invoices l JOIN payments r ON l.id = r.id"
BIG_LEFT, BIG_RIGHT = replace(INVOICES, row_count=100_000), replace(PAYMENTS, row_count=100_000)


@pytest.mark.parametrize(
    "condition",
    [
        "l.id < r.id",
        "l.invoice_id LIKE r.reference",
        "true",
        "l.id = r.id OR l.due = r.due",
        "NOT tolerance_match(l.amount, r.amount, 1)",
        "tolerance_match(l.amount, r.amount, l.amount * 0.01)",
    ],
)
def test_a_large_quadratic_plan_is_refused_with_what_to_add(condition: str) -> None:
    sql = f"SELECT l.id FROM invoices l JOIN payments r ON {condition}"
    error = refused(sql, BIG_LEFT, BIG_RIGHT)
    assert error.code is Code.QUADRATIC_PLAN
    assert "10,000,000,000 pairs" in error.message
    plan(sql, BIG_LEFT, BIG_RIGHT, allow_quadratic=True)
    plan(sql, replace(BIG_LEFT, row_count=1_000), BIG_RIGHT)
    assert check_match_sql(sql, INVOICES, PAYMENTS).ok


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT l.id FROM invoices l JOIN payments r ON l.id = r.id",
        "SELECT l.id FROM invoices l, payments r WHERE l.id = r.id AND l.due < r.due",
        "SELECT l.id FROM invoices l JOIN payments r ON tolerance_match(l.amount, r.amount, 1)",
        f"{EQUAL} WHERE l.id > (SELECT max(id) FROM payments)",
        (
            "SELECT l.id FROM invoices l JOIN payments r ON l.id = r.id "
            "WHERE EXISTS (SELECT 1 FROM payments q WHERE q.reference = l.invoice_id)"
        ),
        f"{EQUAL} CROSS JOIN (SELECT max(rate) AS m FROM rates) k",
    ],
)
def test_plans_with_an_equality_are_not_taken_for_quadratic(sql: str) -> None:
    plan(sql, BIG_LEFT, BIG_RIGHT)


def test_a_quadratic_join_in_a_nested_query_is_seen() -> None:
    sql = (
        "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id = r.id "
        "WHERE NOT EXISTS (SELECT 1 FROM payments q WHERE q.id > l.id)"
    )
    assert refused(sql, BIG_LEFT, BIG_RIGHT).code is Code.QUADRATIC_PLAN
