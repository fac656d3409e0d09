"""ROUND is exact, of one type from the plan to the rows, and never silently wrong."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import KallaError
from kalla_runner.matching.sql import resolve, types
from kalla_runner.matching.stable import ContradictionError

from tests.unit.runner.matching.sql.tables import plan, run

WIDE = Context(prec=90)
LEDGER = pa.table(
    {
        "id": [1, 2],
        "k": ["A", "B"],
        "net": pa.array([Decimal("100.00"), Decimal("50.00")], pa.decimal128(18, 2)),
    }
)
BANK = pa.table(
    {
        "id": [11, 12],
        "k": ["A", "B"],
        "gross": pa.array([Decimal("1.19"), Decimal("59.50")], pa.decimal128(18, 2)),
    }
)
ROUND = "ROUND(l.net * 1.19, 2)"


def pairs(sql: str) -> set[tuple[object, object]]:
    made, rows = run(sql, LEDGER, BANK)
    return {(row[made.left_key_columns[0]], row[made.right_key_columns[0]]) for row in rows}


HEAD = "SELECT l.id, b.id FROM l JOIN r b ON "
CONTEXTS = [
    f"{HEAD}{ROUND} = b.gross",
    f"{HEAD}l.k = b.k AND {ROUND} = b.gross",
    f"{HEAD}l.k = b.k WHERE {ROUND} = b.gross",
    f"{HEAD}l.k = b.k WHERE {ROUND} IN (b.gross, 0.001)",
    f"{HEAD}l.k = b.k WHERE {ROUND} BETWEEN b.gross - 0.001 AND b.gross + 0.001",
    f"{HEAD}l.k = b.k WHERE CASE {ROUND} WHEN b.gross THEN true ELSE false END",
    f"{HEAD}l.k = b.k WHERE coalesce({ROUND}, 0.0001) = b.gross",
    f"{HEAD}l.k = b.k WHERE nullif({ROUND}, b.gross) IS NULL",
    f"{HEAD}l.k = b.k WHERE greatest({ROUND}, b.gross) = least({ROUND}, b.gross)",
    f"{HEAD}l.k = b.k WHERE {ROUND} IN (SELECT x.gross FROM r x)",
    f"WITH c AS (SELECT l.id, {ROUND} AS r FROM l) SELECT c.id, b.id FROM c JOIN r b ON c.r = b.gross",
    (
        f"WITH c AS (SELECT l.id, SUM({ROUND}) AS r FROM l GROUP BY l.id) "
        "SELECT c.id, b.id FROM c JOIN r b ON c.r = b.gross"
    ),
    (
        f"WITH c AS (SELECT l.id, MIN(l.net) OVER (PARTITION BY {ROUND}) AS n, {ROUND} AS r FROM l) "
        "SELECT c.id, b.id FROM c JOIN r b ON c.r = b.gross AND c.n = 50"
    ),
    (
        f"WITH c AS (SELECT l.id AS i, {ROUND} AS r FROM l UNION ALL SELECT 0, x.gross * 0 FROM r x) "
        "SELECT c.i, l.id, b.id FROM c JOIN l ON l.id = c.i JOIN r b ON c.r = b.gross"
    ),
]


@pytest.mark.parametrize("sql", CONTEXTS)
def test_a_rounded_amount_matches_the_equal_one_and_not_one_a_hundredth_of_it(sql: str) -> None:
    assert pairs(sql) == {(2, 12)}


@pytest.mark.parametrize("sql", CONTEXTS)
def test_types_that_change_while_the_engine_plans_never_give_wrong_rows(sql: str) -> None:
    """The guard alone, without the casts in place of ROUND."""
    with patch.object(resolve, "make_rounding_exact"):
        assert pairs(sql) == {(2, 12)}


@pytest.mark.parametrize(
    "data_type", [pa.decimal128(9, 3), pa.decimal128(38, 10), pa.decimal256(60, 4), pa.int64()]
)
@given(data=st.data())
def test_round_is_half_away_from_zero_at_any_place(data_type: pa.DataType, data: st.DataObject) -> None:
    places = data.draw(st.integers(-12, 12))
    scale = 0 if pa.types.is_integer(data_type) else data_type.scale
    digits = 18 if pa.types.is_integer(data_type) else data_type.precision
    unscaled = data.draw(
        st.integers(-(10**digits) + 1, 10**digits - 1) | st.sampled_from([5, -5, 15, 25, 50, 0])
    )
    value = Decimal(unscaled).scaleb(-scale, WIDE)
    expected = value if places >= scale else value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, WIDE)
    left = pa.table(
        {"id": [1, 2], "x": pa.array([int(value) if scale == 0 and digits == 18 else value, None], data_type)}
    )
    right = pa.table({"id": [1, 2]})
    _, rows = run(f"SELECT l.id, r.id, ROUND(l.x, {places}) AS v FROM l JOIN r ON l.id = r.id", left, right)
    assert {row["v"] for row in rows} == {expected, None}


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        ("ROUND(l.amount, l.id)", "must be written out"),
        ("ROUND(l.amount, 1.5)", "digits integer"),
    ],
)
def test_a_round_that_cannot_be_exact_is_refused_with_what_to_write(call: str, advice: str) -> None:
    with pytest.raises(KallaError) as raised:
        plan(f"SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON {call} = 1.5")
    assert advice in raised.value.message


def test_a_type_that_the_rows_contradict_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def contradicting(_session: object, _frame: object) -> list[pa.DataType]:
        raise ContradictionError

    monkeypatch.setattr(types, "arriving", contradicting)
    with pytest.raises(KallaError, match="states one type of this expression and gives another"):
        plan("SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id * 7.125 = r.id")
