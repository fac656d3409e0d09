"""Queries as people write them, checked and run: what only shows on the data is explained too."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.check import plan_match

from tests.integration.matching.support import Staged, run, stage


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Staged, Staged]:
    rows = {
        "id": ["1", "2", "3"],
        "amount": [Decimal("100.00"), Decimal("5.00"), Decimal("7.00")],
        "slack": [Decimal("0.01"), Decimal("0.01"), Decimal("-0.01")],
    }
    others = {"id": ["1", "2", "3"], "amount": [Decimal("100.01"), Decimal("5.02"), Decimal("7.00")]}
    return (
        stage(tmp_path, "invoices", pa.table(rows), ("id",)),
        stage(tmp_path, "payments", pa.table(others), ("id",)),
    )


def test_trap_01_a_difference_of_exactly_the_threshold_matches(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    sql = (
        "SELECT l.amount FROM left_src l JOIN right_src r "
        "ON l.id = r.id AND tolerance_match(l.amount, r.amount, 0.01)"
    )
    plan = plan_match(sql, sides[0].info, sides[1].info, [])
    result = run(plan, sides, tmp_path / "out")
    assert result.outcome.match_path == "one_pass"
    assert result.outcome.matched_count == 2
    assert [row[0] for row in result.rows[1]] == ["2"]


def test_a_threshold_that_turns_out_negative_fails_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    sql = (
        "SELECT l.id AS a, r.id AS b FROM invoices l JOIN payments r "
        "ON l.id = r.id AND tolerance_match(l.amount, r.amount, l.slack)"
    )
    plan = plan_match(sql, sides[0].info, sides[1].info, [])
    with pytest.raises(KallaError) as caught:
        run(plan, sides, tmp_path / "out")
    assert caught.value.code is Code.INVALID_DATA
    assert "threshold" in caught.value.message


def test_trap_05_a_row_whose_lists_hold_no_whole_key_is_no_match(tmp_path: Path) -> None:
    left = stage(tmp_path, "l", pa.table({"id": [1, 2], "ref": ["a", "b"]}), ("id",))
    parts = {"ref": ["a", "a", "b", "b"], "k1": ["x", None, "x", None], "k2": [None, "y", "y", "y"]}
    right = stage(tmp_path, "r", pa.table(parts), ("k1", "k2"))
    sql = (
        "SELECT l.id, array_agg(r.k1) AS k1, array_agg(r.k2) AS k2 "
        "FROM l JOIN r ON l.ref = r.ref GROUP BY l.id"
    )
    result = run(plan_match(sql, left.info, right.info, []), [left, right], tmp_path / "out")
    assert [row[0] for row in result.rows[0]] == [2]
    assert [row[0] for row in result.rows[1]] == [1]
    assert [row[1:] for row in result.rows[2]] == [("x", None), (None, "y"), (None, "y")]


@pytest.mark.parametrize(
    "condition",
    [
        "ROUND(l.net, 2) = 33.33",
        "NOT ROUND(l.net, 2) <> 33.33",
        "ROUND(l.net, 2) IN (33.33, 5)",
        "ROUND(l.net, 2) NOT IN (100.00, 0.01)",
        "ROUND(l.net, 2) BETWEEN 33.33 AND 33.34",
        "ROUND(l.net, 2) IS NOT DISTINCT FROM 33.33",
        "CASE ROUND(l.net, 2) WHEN 33.33 THEN 'a' ELSE 'b' END = 'a'",
        "NULLIF(ROUND(l.net, 2), 33.33) IS NULL",
        "ROUND(l.net, 2) * 1 = 33.33",
        "ROUND(l.net) = 33",
        "ROUND(l.net, -1) BETWEEN 30 AND 40",
        "CAST(l.net AS DECIMAL(5,1)) = 33.3",
        "TRY_CAST(l.net AS DECIMAL(5,1)) = 33.3",
        "CAST(l.net * 2 AS INT) = 67",
        "l.net / 7 = 4.7607142857142857",
        "EXISTS (SELECT 1 FROM r q WHERE q.id = l.id AND ROUND(l.net, 2) = 33.33)",
    ],
)
def test_a_rounded_value_is_compared_with_a_constant_after_it_is_rounded(
    tmp_path: Path, condition: str
) -> None:
    amounts = {"id": [1, 2, 3], "net": [Decimal("33.325"), Decimal("100.000"), Decimal("0.005")]}
    left = stage(tmp_path, "l", pa.table(amounts), ("id",))
    right = stage(tmp_path, "r", pa.table({"id": [1, 2, 3]}), ("id",))
    sql = f"SELECT l.id AS a, r.id AS b FROM l JOIN r ON l.id = r.id WHERE {condition}"
    result = run(plan_match(sql, left.info, right.info, []), [left, right], tmp_path / "out")
    assert result.rows[0] == [(1, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        (
            "WITH c AS (SELECT l.*, ROUND(net, 2) AS gross FROM l), k AS (SELECT 33.33 AS v) "
            "SELECT c.id AS a, r.id AS b FROM c JOIN r ON c.id = r.id CROSS JOIN k WHERE c.gross = k.v"
        ),
        (
            "SELECT l.id AS a, r.id AS b FROM l JOIN r ON l.id = r.id GROUP BY l.id, r.id "
            "HAVING ROUND(SUM(l.net), 2) = 33.33"
        ),
        (
            "SELECT l.id AS a, r.id AS b FROM l JOIN r ON l.id = r.id WHERE ROUND(l.net, 2) = 33.33 "
            "UNION SELECT l.id, r.id FROM l JOIN r ON l.id = r.id WHERE ROUND(l.net, 2) = 7"
        ),
    ],
)
def test_a_rounded_value_meets_constants_of_other_parts_of_the_query(tmp_path: Path, sql: str) -> None:
    amounts = {"id": [1, 2], "net": [Decimal("33.325"), Decimal("100.000")]}
    left = stage(tmp_path, "l", pa.table(amounts), ("id",))
    right = stage(tmp_path, "r", pa.table({"id": [1, 2]}), ("id",))
    plan = plan_match(sql, left.info, right.info, [])
    result = run(plan, [left, right], tmp_path / "out")
    assert [row[:2] for row in result.rows[0]] == [(1, 1)]


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        ("to_timestamp_millis(l.id)", "from_unixtime(CAST(FLOOR(milliseconds / 1000) AS BIGINT))"),
        ("from_unixtime(l.id / 1000)", "CAST(FLOOR(l.id / 1000) AS BIGINT)"),
        ("CAST(l.id AS TEXT) RLIKE '^0'", "text ~ 'pattern'"),
        ("vlookup(l.id, 2)", "JOIN with a look-up source"),
    ],
)
def test_a_refusal_names_what_gives_the_value_that_was_meant(
    tmp_path: Path, expression: str, advice: str
) -> None:
    left = stage(tmp_path, "l", pa.table({"id": [1]}), ("id",))
    right = stage(tmp_path, "r", pa.table({"id": [1]}), ("id",))
    sql = f"SELECT l.id AS a, r.id AS b, {expression} AS x FROM l JOIN r ON l.id = r.id"
    with pytest.raises(KallaError) as caught:
        plan_match(sql, left.info, right.info, [])
    assert advice in caught.value.message
