"""The match engine on real files: what is matched, what is unmatched, and in which order."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.domain import FilterCondition, FilterOp

from tests.integration.matching.support import Result, Staged, make_plan, run, stage

PATHS = pytest.mark.parametrize("path", ["one_pass", "general"])

INVOICES = pa.table(
    {
        "id": ["i1", "i2", "i3", None, "i5", "i5", "i6"],
        "ref": ["a", "b", "c", "d", "e", "x", None],
        "amount": pa.array([Decimal(n) for n in ("1.00", "2.00", "3.00", "4.00", "5.00", "6.00", "7.00")]),
    }
)
PAYMENTS = pa.table(
    {
        "id": ["p1", "p2", "p3", "p4", "p5"],
        "ref": ["a", "a", "c", "d", None],
        "amount": pa.array([Decimal(n) for n in ("1.00", "1.02", "9.00", "4.00", "7.00")]),
    }
)


def match(left: Staged, right: Staged, folder: Path, path: str, on: str = "l.ref = r.ref") -> Result:
    plan = make_plan(
        left,
        right,
        (
            "l.id AS left_id, r.id AS right_id, l.amount",
            f"{left.table.alias} l JOIN {right.table.alias} r ON {on}",
        ),
        ("left_id", "right_id", "amount"),
        (("left_id",), ("right_id",)),
        path=path,
        join_keys=(('"ref"', '"ref"'),),
    )
    return run(plan, [left, right], folder / path)


@pytest.fixture(params=["arrow", "parquet"])
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Staged, Staged]:
    parquet = request.param == "parquet"
    return (
        stage(tmp_path, "invoices", INVOICES, ("id",), parquet=parquet, cut=2),
        stage(tmp_path, "payments", PAYMENTS, ("id",), parquet=parquet, cut=2),
    )


@PATHS
def test_rows_are_matched_or_unmatched_and_keep_their_order(
    sides: tuple[Staged, Staged], tmp_path: Path, path: str
) -> None:
    matched, left, right = match(*sides, tmp_path, path).rows
    assert [row[:2] for row in matched] == [("i1", "p1"), ("i1", "p2"), ("i3", "p3")]
    # i4 has no id: it cannot be matched, although its ref d has a partner.
    assert [row[1] for row in left] == ["b", "d", "e", "x", None]
    assert [row[0] for row in right] == ["p4", "p5"]


@PATHS
def test_the_report_counts_rows_and_not_pairs(
    sides: tuple[Staged, Staged], tmp_path: Path, path: str
) -> None:
    outcome = match(*sides, tmp_path, path).outcome
    assert outcome.matched_count == 3
    left, right = outcome.left, outcome.right
    assert (left.total_rows, left.matched_rows, left.unmatched_rows, left.null_key_rows) == (7, 2, 5, 1)
    assert (right.total_rows, right.matched_rows, right.unmatched_rows, right.null_key_rows) == (5, 3, 2, 0)
    assert (left.duplicate_keys, left.duplicate_key_examples) == (1, ("i5",))
    assert outcome.match_path == path


@PATHS
def test_trap_20_a_row_does_not_hide_behind_the_key_of_a_matched_one(
    sides: tuple[Staged, Staged], tmp_path: Path, path: str
) -> None:
    left, _ = sides
    right = stage(
        tmp_path, "more", pa.table({"id": ["p9"], "ref": ["x"], "amount": [Decimal("6.00")]}), ("id",)
    )
    result = match(left, right, tmp_path, path)
    assert [row[:2] for row in result.rows[0]] == [("i5", "p9")]
    assert [row[:2] for row in result.rows[1] if row[0] == "i5"] == [("i5", "e")]
    said = result.outcome.left
    assert (said.matched_rows, said.shared_key_rows, said.shared_key_examples) == (1, 1, ("i5",))
    assert result.outcome.right.shared_key_rows == 0


@PATHS
def test_trap_07_a_null_key_on_one_side_does_not_empty_the_unmatched_rows(tmp_path: Path, path: str) -> None:
    left = stage(
        tmp_path,
        "l0",
        pa.table({"id": ["a", None, "b"], "ref": ["1", "2", "3"], "amount": [1, 2, 3]}),
        ("id",),
    )
    right = stage(tmp_path, "r0", pa.table({"id": [None, "z"], "ref": ["1", "9"], "amount": [1, 9]}), ("id",))
    matched, unmatched_left, unmatched_right = match(left, right, tmp_path, path).rows
    assert matched == []
    assert len(unmatched_left) == 3
    assert len(unmatched_right) == 2


@PATHS
def test_trap_05_all_columns_of_a_composite_key_count(tmp_path: Path, path: str) -> None:
    left = stage(
        tmp_path, "lc", pa.table({"no": ["1", "1", "2"], "line": [1, 2, 1], "v": [7, 8, 9]}), ("no", "line")
    )
    right = stage(
        tmp_path, "rc", pa.table({"no": ["1", "2", "2"], "line": [1, 1, 5], "v": [7, 0, 9]}), ("no", "line")
    )
    plan = make_plan(
        left,
        right,
        (
            "l.no AS left_no, l.line AS left_line, r.no AS right_no, r.line AS right_line",
            "lc l JOIN rc r ON l.v = r.v",
        ),
        ("left_no", "left_line", "right_no", "right_line"),
        (("left_no", "left_line"), ("right_no", "right_line")),
        path=path,
    )
    matched, unmatched_left, unmatched_right = run(plan, [left, right], tmp_path / path).rows
    assert matched == [("1", 1, "1", 1), ("2", 1, "2", 5)]
    assert unmatched_left == [("1", 2, 8)]
    assert unmatched_right == [("2", 1, 0)]


@PATHS
def test_trap_15_filters_come_before_everything(tmp_path: Path, path: str) -> None:
    above = (FilterCondition("amount", FilterOp.GTE, (Decimal("2.00"),)),)
    left = stage(tmp_path, "invoices", INVOICES, ("id",), filters=above, cut=2)
    right = stage(tmp_path, "payments", PAYMENTS, ("id",), filters=above, cut=2, parquet=True)
    result = match(left, right, tmp_path, path)
    assert [row[:2] for row in result.rows[0]] == [("i3", "p3")]
    assert (result.outcome.left.total_rows, result.outcome.right.total_rows) == (6, 3)
    assert [row[0] for row in result.rows[2]] == ["p4", "p5"]


@PATHS
@pytest.mark.parametrize("empty", ["left", "right", "both", "none match"])
def test_zero_rows_give_valid_files_with_all_columns(tmp_path: Path, path: str, empty: str) -> None:
    left = stage(tmp_path, "invoices", INVOICES.slice(0, 0 if empty in ("left", "both") else 7), ("id",))
    right = stage(tmp_path, "payments", PAYMENTS.slice(0, 0 if empty in ("right", "both") else 5), ("id",))
    result = match(left, right, tmp_path, path, on="l.ref = r.ref AND l.amount > 100")
    assert result.matched.num_rows == 0
    assert result.matched.column_names == ["left_id", "right_id", "amount"]
    assert result.left.schema.types == INVOICES.schema.types
    assert result.left.num_rows == left.table.row_count
    assert result.right.num_rows == right.table.row_count


@PATHS
def test_side_names_and_look_up_tables_can_be_used(
    sides: tuple[Staged, Staged], tmp_path: Path, path: str
) -> None:
    left, right = sides
    rates = stage(tmp_path, "rates", pa.table({"ref": ["a", "c"], "rate": [2, 3]}))
    plan = make_plan(
        left,
        right,
        (
            "l.id AS left_id, r.id AS right_id, x.rate AS rate",
            "left_src l JOIN right_src r ON l.ref = r.ref JOIN rates x ON x.ref = l.ref",
        ),
        ("left_id", "right_id", "rate"),
        (("left_id",), ("right_id",)),
        path=path,
        side_names=("left_src", "right_src"),
    )
    result = run(plan, [left, right, rates], tmp_path / path)
    assert result.rows[0] == [("i1", "p1", 2), ("i1", "p2", 2), ("i3", "p3", 3)]


def test_every_key_in_a_list_is_matched_and_a_row_without_partner_is_not(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    plan = make_plan(
        *sides,
        (
            "l.id AS left_id, array_agg(r.id) AS right_ids",
            "invoices l LEFT JOIN payments r ON l.ref = r.ref GROUP BY l.id",
        ),
        ("left_id", "right_ids"),
        (("left_id",), ("right_ids",)),
        path="general",
    )
    result = run(plan, sides, tmp_path / "out")
    assert sorted((row[0], sorted(row[1])) for row in result.rows[0]) == [
        ("i1", ["p1", "p2"]),
        ("i3", ["p3"]),
    ]
    assert [row[1] for row in result.rows[1]] == ["b", "d", "e", "x", None]
    assert [row[0] for row in result.rows[2]] == ["p4", "p5"]


def test_trap_19_unmatched_keys_that_differ_by_spaces_or_case_are_counted(tmp_path: Path) -> None:
    left = pa.table({"id": [1, 2, 3, 4, 5, 6], "ref": ["A", " b", "c ", "D", "D", "z"], "amount": [1] * 6})
    right = pa.table({"id": [1, 2, 3, 4, 5], "ref": ["A", "b", "c", "d", "Z "], "amount": [1] * 5})
    sides = stage(tmp_path, "lt", left, ("id",)), stage(tmp_path, "rt", right, ("id",))
    outcome = match(*sides, tmp_path, "one_pass").outcome
    assert (outcome.left.would_match_trimmed, outcome.left.would_match_case_folded) == (2, 2)
    assert (outcome.right.would_match_trimmed, outcome.right.would_match_case_folded) == (2, 1)


def test_trap_19_a_key_that_is_equal_as_it_is_does_not_count_as_nearly_equal(tmp_path: Path) -> None:
    left = stage(tmp_path, "lt", pa.table({"id": [1, 2], "ref": ["a", "b"], "amount": [1, 1]}), ("id",))
    right = stage(tmp_path, "rt", pa.table({"id": [1, 2], "ref": ["a", "b "], "amount": [5, 5]}), ("id",))
    outcome = match(left, right, tmp_path, "one_pass", on="l.ref = r.ref AND l.amount = r.amount").outcome
    assert (outcome.left.would_match_trimmed, outcome.right.would_match_trimmed) == (1, 1)
    assert outcome.left.would_match_case_folded == 0


@PATHS
def test_progress_rises_to_one_and_ends_with_the_matched_rows(
    sides: tuple[Staged, Staged], tmp_path: Path, path: str
) -> None:
    result = match(*sides, tmp_path, path)
    fractions = [fraction for fraction, _ in result.progress]
    assert fractions == sorted(fractions)
    assert result.progress[-1] == (1.0, 3)


def test_trap_26_text_is_written_as_plain_utf8(sides: tuple[Staged, Staged], tmp_path: Path) -> None:
    result = match(*sides, tmp_path, "one_pass")
    for table in (result.matched, result.left, result.right):
        assert {str(t) for t in table.schema.types} <= {"string", "decimal128(3, 2)"}
