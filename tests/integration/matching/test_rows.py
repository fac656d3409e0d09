"""Where a primary key is that of several rows, those are matched that the query's result contains."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.domain import FilterCondition, FilterOp
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import MatchOutcome
from kalla_runner.matching.plan import TableInfo

from tests.integration.matching.support import Result, run, stage


def _amounts(*amounts: str | None) -> pa.Array:
    return pa.array([None if amount is None else Decimal(amount) for amount in amounts], pa.decimal128(10, 2))


# Three rows have the key A, two the key C. `n` tells the rows apart.
LEDGER = pa.table(
    {
        "id": ["A", "A", "A", "B", "C", "C"],
        "day": ["mon", "mon", "tue", "wed", "thu", "fri"],
        "amount": _amounts("5.00", "5.00", "7.00", "9.00", "1.00", "2.00"),
        "n": [1, 2, 3, 4, 5, 6],
    }
)
BANK = pa.table(
    {
        "ref": ["x", "x", "y", "z", "z"],
        "day": ["mon", "tue", "wed", "thu", "sat"],
        "amount": _amounts("5.00", "7.00", "9.00", "1.00", "3.00"),
        "n": [11, 12, 13, 14, 15],
    }
)
ON = "l.day = b.day AND l.amount = b.amount"
NUMBERED = (
    "WITH l AS (SELECT *, row_number() OVER (PARTITION BY day, amount ORDER BY n) AS place FROM ledger), "
    "b AS (SELECT *, row_number() OVER (PARTITION BY day, amount ORDER BY n) AS place FROM bank) "
)


def reconcile(sql: str, folder: Path, left: pa.Table = LEDGER, right: pa.Table = BANK) -> Result:
    sides = stage(folder, "ledger", left, ("id",), cut=2), stage(folder, "bank", right, ("ref",), cut=2)
    plan = plan_match(sql, sides[0].info, sides[1].info, allow_quadratic=True)
    return run(plan, sides, folder / "out")


def left_over(result: Result) -> tuple[list[int], list[int]]:
    return result.left.column("n").to_pylist(), result.right.column("n").to_pylist()


def shared(outcome: MatchOutcome) -> tuple[int, int]:
    return outcome.left.shared_key_rows, outcome.right.shared_key_rows


# All of these match rows 1, 2, 3, 4, 5 with 11, 12, 13, 14; rows 6 and 15 share a key and match nothing.
SHAPES = {
    "a join": f"SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON}",
    "a CTE for each side": (
        "WITH x AS (SELECT id AS k, day, amount FROM ledger), y(name, day, amount) AS "
        "(SELECT ref, day, amount FROM bank) "
        "SELECT l.k, b.name FROM x l JOIN y b ON l.day = b.day AND l.amount = b.amount"
    ),
    "a CTE of the whole": (
        f"WITH m AS (SELECT l.id, b.ref, l.amount FROM ledger l JOIN bank b ON {ON}) SELECT * FROM m"
    ),
    "queries in FROM, one in the other": (
        "SELECT l.id, b.ref FROM (SELECT * FROM (SELECT * FROM ledger) AS i) AS l "
        f"JOIN (SELECT * FROM bank) AS b(ref, day, amount, m) ON {ON}"
    ),
    "windows in CTEs": (
        "WITH l AS (SELECT *, count(*) OVER (PARTITION BY day) AS c FROM ledger) "
        f"SELECT l.id, b.ref, l.c FROM l JOIN bank b ON {ON}"
    ),
    "a window at the top": (
        "SELECT l.id, b.ref, row_number() OVER (ORDER BY l.n, b.n) AS place "
        f"FROM ledger l JOIN bank b ON {ON}"
    ),
    "DISTINCT": f"SELECT DISTINCT l.id, b.ref FROM ledger l JOIN bank b ON {ON}",
    "DISTINCT in a CTE": (
        f"WITH m AS (SELECT DISTINCT l.id, b.ref FROM ledger l JOIN bank b ON {ON}) SELECT * FROM m"
    ),
    "GROUP BY the keys": f"SELECT l.id, b.ref, sum(l.amount) AS total FROM ledger l JOIN bank b ON {ON} "
    "GROUP BY l.id, b.ref",
    "a list of keys": (
        f"SELECT l.id, array_agg(b.ref) AS refs FROM ledger l JOIN bank b ON {ON} GROUP BY l.id"
    ),
    "a list of keys with FILTER": (
        "SELECT l.id, array_agg(b.ref ORDER BY b.n) FILTER (WHERE b.amount = l.amount) AS refs, l.amount "
        "FROM ledger l JOIN bank b ON l.day = b.day GROUP BY l.id, l.amount HAVING count(*) > 0"
    ),
    "a list of distinct keys": (
        f"SELECT l.id, array_agg(DISTINCT b.ref) AS refs FROM ledger l JOIN bank b ON {ON} GROUP BY l.id"
    ),
    "a grouped CTE": (
        f"WITH g AS (SELECT l.id, array_agg(b.ref) AS refs FROM ledger l JOIN bank b ON {ON} GROUP BY l.id) "
        "SELECT * FROM g"
    ),
    "UNION of two rules": (
        f"SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount < 6 "
        f"UNION SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount > 4"
    ),
    "UNION ALL of three": (
        f"SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount < 2 "
        f"UNION ALL SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount = 5 "
        f"UNION ALL SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount > 6"
    ),
    "UNION in a CTE": (
        f"WITH m AS (SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount < 6 "
        f"UNION SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} AND l.amount > 4) SELECT * FROM m"
    ),
    "UNION of one CTE": (
        f"WITH m AS (SELECT l.id, b.ref, l.amount FROM ledger l JOIN bank b ON {ON}) "
        "SELECT id, ref FROM m WHERE amount < 6 UNION ALL SELECT id, ref FROM m WHERE amount > 6"
    ),
    "left outer": f"SELECT l.id, b.ref FROM ledger l LEFT JOIN bank b ON {ON}",
    "full outer over CTEs": (
        "WITH x AS (SELECT * FROM ledger), y AS (SELECT * FROM bank) "
        "SELECT l.id, b.ref FROM x l FULL JOIN y b ON l.day = b.day AND l.amount = b.amount"
    ),
}


@pytest.mark.parametrize("sql", SHAPES.values(), ids=SHAPES.keys())
def test_a_row_of_a_matched_key_is_matched_only_if_the_result_contains_it(sql: str, tmp_path: Path) -> None:
    result = reconcile(sql, tmp_path)
    assert left_over(result) == ([6], [15])
    assert shared(result.outcome) == (1, 1)
    assert result.outcome.left.shared_key_examples == ("C",)
    assert (result.outcome.left.matched_rows, result.outcome.right.matched_rows) == (5, 4)


@pytest.mark.parametrize(
    ("sql", "path"),
    [
        (SHAPES["a CTE for each side"], "one_pass"),
        (SHAPES["a CTE of the whole"], "one_pass"),
        (SHAPES["queries in FROM, one in the other"], "one_pass"),
        (SHAPES["windows in CTEs"], "one_pass"),
        (SHAPES["DISTINCT"], "general"),
        (SHAPES["a grouped CTE"], "general"),
    ],
)
def test_ctes_and_queries_in_from_take_one_pass_where_each_row_is_one_of_each_side(
    sql: str, path: str, tmp_path: Path
) -> None:
    assert reconcile(sql, tmp_path).outcome.match_path == path


def test_one_of_two_equal_rows_stays_unmatched_where_the_query_pairs_them_one_by_one(tmp_path: Path) -> None:
    result = reconcile(NUMBERED + f"SELECT l.id, b.ref FROM l JOIN b ON {ON} AND l.place = b.place", tmp_path)
    assert left_over(result) == ([2, 6], [15])
    assert shared(result.outcome) == (2, 1)
    assert result.outcome.left.shared_key_examples == ("A", "C")


def test_a_limit_in_a_cte_cuts_rows_off_before_they_match(tmp_path: Path) -> None:
    sql = f"WITH l AS (SELECT * FROM ledger ORDER BY n LIMIT 1) SELECT l.id, b.ref FROM l JOIN bank b ON {ON}"
    assert left_over(reconcile(sql, tmp_path)) == ([2, 3, 4, 5, 6], [12, 13, 14, 15])


# What names a key and not a row: all rows of the key count as matched, and all but one of them are reported.
UNSURE = {
    "INTERSECT": (
        f"SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} "
        "INTERSECT SELECT l.id, b.ref FROM ledger l JOIN bank b ON l.day = b.day"
    ),
    "EXCEPT": (
        f"SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} "
        "EXCEPT SELECT l.id, b.ref FROM ledger l JOIN bank b ON l.day = 'never' AND b.day = 'never'"
    ),
    "the least key": f"SELECT min(l.id) AS id, min(b.ref) AS ref FROM ledger l JOIN bank b ON {ON} "
    "GROUP BY l.id, b.ref",
    "rows counted that DISTINCT made one": (
        f"WITH m AS (SELECT DISTINCT l.id, b.ref FROM ledger l JOIN bank b ON {ON}) "
        "SELECT id, ref, count(*) AS c FROM m GROUP BY id, ref"
    ),
    "a CTE with UNION that is read twice": (
        f"WITH m AS (SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON} "
        f"UNION SELECT l.id, b.ref FROM ledger l JOIN bank b ON {ON}) "
        "SELECT id, ref FROM m WHERE (SELECT count(*) FROM m) = 3"
    ),
}


@pytest.mark.parametrize("sql", UNSURE.values(), ids=UNSURE.keys())
def test_rows_of_a_key_are_reported_where_the_query_does_not_say_which_of_them_matched(
    sql: str, tmp_path: Path
) -> None:
    result = reconcile(sql, tmp_path)
    assert left_over(result) == ([], [])
    # A has three rows and C two; x and z have two each.
    assert shared(result.outcome) == (3, 2)
    assert [text.split()[0] for text in result.outcome.left.shared_key_examples] == ["A", "C"]
    assert "does not say which" in result.outcome.left.shared_key_examples[0]


def test_keys_of_one_row_each_cost_no_second_query_and_share_nothing(tmp_path: Path) -> None:
    left = LEDGER.set_column(0, "id", pa.array(list("ABCDEF")))
    right = BANK.set_column(0, "ref", pa.array(list("uvwxy")))
    result = reconcile(SHAPES["DISTINCT"], tmp_path, left, right)
    assert left_over(result) == ([6], [15])
    assert shared(result.outcome) == (0, 0)


def test_a_null_in_a_duplicated_composite_key_stays_unmatched(tmp_path: Path) -> None:
    left = pa.table({"id": ["A", None, "A"], "day": ["mon"] * 3, "amount": _amounts("5.00", "5.00", "5.00")})
    left = left.append_column("n", pa.array([1, 2, 3]))
    result = reconcile(SHAPES["a CTE for each side"], tmp_path, left)
    assert left_over(result)[0] == [2]
    assert shared(result.outcome)[0] == 0


ROW_KEY = ("@row",)


def by_row(
    sql: str, folder: Path, left: pa.Table = LEDGER, right: pa.Table = BANK, **options: object
) -> Result:
    sides = (
        stage(folder, "ledger", left, ROW_KEY, cut=2, **options),  # pyright: ignore[reportArgumentType]
        stage(folder, "bank", right, ROW_KEY, cut=2, parquet=True),
    )
    infos = [TableInfo.of(s.table.alias, s.table.schema, s.key, s.table.row_count) for s in sides]
    return run(plan_match(sql, infos[0], infos[1], allow_quadratic=True), sides, folder / "out")


@pytest.mark.parametrize("shape", ["a join", "a CTE of the whole", "windows in CTEs", "left outer"])
def test_a_row_is_a_key_by_its_number(shape: str, tmp_path: Path) -> None:
    sql = SHAPES[shape].replace("l.id, b.ref, l.amount", "l.*, b.row_number AS other")
    result = by_row(sql, tmp_path)
    assert left_over(result) == ([6], [15])
    assert result.left.column("row_number").to_pylist() == [6]
    assert result.right.column("row_number").to_pylist() == [5]
    assert shared(result.outcome) == (0, 0)
    assert (result.outcome.left.duplicate_keys, result.outcome.left.null_key_rows) == (0, 0)


def test_row_numbers_of_both_sides_are_told_apart_in_the_matched_rows(tmp_path: Path) -> None:
    result = by_row(SHAPES["a join"], tmp_path)
    assert result.matched.column_names == ["id", "ref", "left_row_number", "right_row_number"]
    pairs = result.matched.select(["left_row_number", "right_row_number"])
    assert sorted(zip(*(c.to_pylist() for c in pairs.columns), strict=True)) == [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 4),
    ]


def test_grouped_rows_may_be_named_by_lists_of_row_numbers(tmp_path: Path) -> None:
    sql = (
        "SELECT array_agg(l.row_number) AS rows, array_agg(b.row_number) AS others, l.day "
        f"FROM ledger l JOIN bank b ON {ON} GROUP BY l.day"
    )
    result = by_row(sql, tmp_path)
    assert result.outcome.match_path == "general"
    assert left_over(result) == ([6], [15])


def test_rows_are_numbered_before_the_filters(tmp_path: Path) -> None:
    filters = (FilterCondition("n", FilterOp.GTE, (3,)),)
    result = by_row(SHAPES["a join"], tmp_path, filters=filters)
    assert sorted(result.matched.column("left_row_number").to_pylist()) == [3, 4, 5]
    assert result.left.column("row_number").to_pylist() == [6]


def test_a_source_with_a_column_of_that_name_keeps_it(tmp_path: Path) -> None:
    named = LEDGER.rename_columns(["Row_Number", "day", "amount", "n"])
    result = by_row(f"SELECT b.ref FROM ledger l JOIN bank b ON {ON}", tmp_path, named)
    assert result.left.column_names == ["Row_Number", "day", "amount", "n", "row_number_2"]
    assert result.left.to_pylist()[0]["row_number_2"] == 6


def test_a_row_number_is_a_key_by_itself() -> None:
    with pytest.raises(KallaError) as raised:
        TableInfo.of("ledger", LEDGER.schema, ("@row", "id"))
    assert raised.value.code is Code.INVALID_PRIMARY_KEY
