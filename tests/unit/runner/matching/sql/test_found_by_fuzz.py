"""What the differential fuzz found and no other test had seen."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.resolve import resolve
from kalla_runner.matching.sql.sandbox import read_query
from kalla_runner.matching.sql.scope import tables_of
from kalla_runner.matching.sql.types import Typer
from kalla_runner.matching.sql.types_check import check_types

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, RATES, info, run

ROWS = pa.table(
    {"id": pa.array([1, 2]), "day": pa.array([date(2024, 2, 29), None]), "t": pa.array(["b", "a"])}
)
NO_ROWS = ROWS.slice(0, 0)


def test_a_node_that_stands_for_a_column_outlives_every_rewrite() -> None:
    """The next node at its place in memory would be taken for that column: names got the types of others."""
    sql = (
        "WITH c AS (SELECT *, CASE WHEN amount > 1 THEN amount ELSE amount * 2 END AS x FROM payments) "
        "SELECT l.id, c.id, round(c.x / 3, 2) AS y FROM invoices l JOIN c ON l.id = c.id "
        "WHERE l.id IN (SELECT id FROM rates) AND coalesce(c.reference, 'x') <> upper(l.invoice_id)"
    )
    typer = Typer(new_session())
    query = read_query(sql)
    _, found = resolve(query, tables_of(INVOICES, PAYMENTS, (RATES,)), sql, typer)
    check_types(found, typer)
    assert found.bindings
    assert found.query_types
    assert {*found.bindings, *found.query_types} == {id(node) for node in found.kept}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("TIMESTAMP '2024-02-29 10:30:00'::DATE", date(2024, 2, 29)),
        ("TIMESTAMP '2024-02-29 10:30:00'::DATE + INTERVAL '1 month'", date(2024, 3, 29)),
        ("DATE '2024-02-29'::TIMESTAMP::DATE + 1", date(2024, 3, 1)),
        ("TIMESTAMP '2024-02-29 10:30:00'::DATE::TEXT", "2024-02-29"),
    ],
)
def test_a_cast_after_a_typed_literal_is_of_what_the_literal_says(expression: str, expected: object) -> None:
    _, rows = run(f"SELECT l.id, r.id, {expression} AS x FROM l JOIN r ON l.id = r.id", ROWS, ROWS)
    assert [row["x"] for row in rows] == [expected, expected]


@pytest.mark.parametrize("function", ["array_min", "list_min", "array_max", "list_max"])
def test_extremes_of_lists_come_of_tables_without_rows_too(function: str) -> None:
    sql = f"SELECT l.id, r.id, {function}(make_array(l.t, r.t, 'aa')) AS x FROM l JOIN r ON l.id < r.id"
    assert run(sql, NO_ROWS, ROWS)[1] == []
    (row,) = run(sql, ROWS, ROWS)[1]
    assert row["x"] == ("a" if function.endswith("min") else "b")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("-array_length(make_array(l.t, 'x'))", -2),
        ("-array_position(make_array('x', l.t), l.t)", -2),
        ("gcd(sign(l.id), 3)", 1),
        ("ceil(l.id) % 2", 1),
        ("last_day(TIMESTAMP '2024-02-10 10:30:00') - 28", date(2024, 2, 1)),
        ("date_trunc('month', l.day) + 1", date(2024, 2, 2)),
    ],
)
def test_what_the_engine_types_otherwise_may_be_computed_with(expression: str, expected: object) -> None:
    """Unsigned counts have no opposite in the engine, and its months of dates are timestamps."""
    _, rows = run(f"SELECT l.id, r.id, {expression} AS x FROM l JOIN r ON l.id = r.id", ROWS, ROWS)
    assert rows[0]["x"] == expected


def test_the_place_of_a_row_may_be_computed_with() -> None:
    sql = (
        "WITH n AS (SELECT id, -row_number() OVER (ORDER BY id) AS n, -rank() OVER (ORDER BY t) AS k FROM l) "
        "SELECT n.id, r.id, n.n AS n, n.k AS k FROM n JOIN r ON n.id = r.id"
    )
    rows = sorted((row["n"], row["k"]) for row in run(sql, ROWS, ROWS)[1])
    assert rows == [(-2, -1), (-1, -2)]


LEFT = pa.table({"id": [1, 2, 3], "qty": [10, 20, 30], "code": [5, 6, 9]})
RIGHT = pa.table({"id": [1, 2, 3], "qty": pa.array([20, 10, None], pa.int64()), "code": [5, 6, 7]})


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        ("l RIGHT JOIN r ON l.code = r.code WHERE nullif(l.qty, 20) IS NOT NULL AND r.qty > 0", [(10, 20)]),
        ("l FULL JOIN r ON l.code = r.code WHERE nullif(l.qty, 20) IS NOT NULL AND r.qty > 0", [(10, 20)]),
        ("r RIGHT JOIN l ON l.code = r.code WHERE r.qty IS NULL AND l.qty > 0", [(30, None)]),
        ("r FULL JOIN l ON l.code = r.code WHERE r.qty IS NULL AND l.qty > 0", [(30, None)]),
        (
            (
                "l JOIN l x ON l.id = x.id RIGHT JOIN r ON l.code = r.code AND x.qty < 30 "
                "WHERE nullif(l.qty, 20) IS NOT NULL AND r.qty > 0"
            ),
            [(10, 20)],
        ),
        ("l x, l RIGHT JOIN r ON l.code = r.code WHERE x.qty = 10 AND nullif(l.qty, 20) > 0", [(10, 20)]),
    ],
)
def test_a_filter_over_an_outer_join_stays_with_the_side_that_it_is_about(
    joined: str, expected: list[tuple[int | None, int | None]]
) -> None:
    """The engine took `qty` of one side for that of the other where both are the first column."""
    sql = (
        f"WITH m AS (SELECT l.qty AS lq, r.qty AS rq FROM {joined}) "
        "SELECT a.id AS a, b.id AS b, m.lq AS lq, m.rq AS rq "
        "FROM l a JOIN r b ON a.id = b.id JOIN m ON a.id = 1"
    )
    _, rows = run(sql, LEFT, RIGHT)
    assert sorted((row["lq"], row["rq"]) for row in rows) == expected
    assert "RIGHT JOIN" not in run(sql, LEFT, RIGHT)[0].sql


def test_rounding_to_tens_is_exact_and_may_be_computed_with() -> None:
    values = pa.table(
        {
            "id": [1, 2, 3, 4],
            "m": pa.array(
                [Decimal(t) for t in ("95.00", "-94.99", "5.00", "123456.78")], pa.decimal128(12, 2)
            ),
        }
    )
    rounded = "1.5 + round(l.m, -1) AS t, round(l.m, -2) AS h, round(l.m, -9) AS n"
    sql = f"SELECT l.id, r.id, {rounded} FROM l JOIN r ON l.id = r.id"
    _, rows = run(sql, values, values)
    assert [(row["t"], row["h"], row["n"]) for row in rows] == [
        (Decimal("101.5"), Decimal(100), Decimal(0)),
        (Decimal("-88.5"), Decimal(-100), Decimal(0)),
        (Decimal("11.5"), Decimal(0), Decimal(0)),
        (Decimal("123461.5"), Decimal(123500), Decimal(0)),
    ]


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        (
            "bool_or(l.t = 'a') OVER (ORDER BY l.id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
            "frame that moves",
        ),
        (
            "var_pop(l.id) OVER (ORDER BY l.id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
            "VAR_POP is not available over a frame that moves",
        ),
        (
            "sum(CAST(l.id AS DOUBLE)) OVER (ORDER BY l.id ROWS 1 PRECEDING)",
            "SUM of a float loses digits over a frame that moves",
        ),
        (
            "avg(CAST(l.id AS DOUBLE)) OVER (ORDER BY l.id ROWS 1 PRECEDING)",
            "AVG of a float loses digits over a frame that moves",
        ),
        ("max(l.t) OVER (PARTITION BY ln(l.id) ORDER BY l.id)", "compute it in a CTE"),
        ("first_value(l.t ORDER BY l.t) OVER (ORDER BY l.id)", "write it in OVER"),
    ],
)
def test_what_the_engine_cannot_do_is_refused_before_it_runs(expression: str, advice: str) -> None:
    sql = f"SELECT l.id, r.id, {expression} AS x FROM l JOIN r ON l.id = r.id"
    with pytest.raises(KallaError, match=advice) as refusal:
        plan_match(sql, info("l", ROWS, "id"), info("r", ROWS, "id"))
    assert refusal.value.code is Code.INVALID_SQL
