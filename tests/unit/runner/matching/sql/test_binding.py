"""Operators bind as SQL has it, whatever the engine's parser makes of the text."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kalla_common.errors import KallaError
from kalla_runner.matching.sql.dialect import bracket, parse, render
from kalla_runner.matching.sql.guard import check_reading
from kalla_runner.matching.sql.sandbox import read_query
from kalla_runner.matching.sql.scope import tables_of

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, plan, run

JOIN = "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON "


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("a = b AND c OR NOT d", "((a = b) AND c) OR (NOT d)"),
        ("NOT a = b", "NOT (a = b)"),
        ("NOT a IS NULL", "NOT (a IS NULL)"),
        ("a = b IS NULL", "(a = b) IS NULL"),
        ("a IS NULL = b", "(a IS NULL) = b"),
        ("a + b IS NULL", "(a + b) IS NULL"),
        ("a IS NOT DISTINCT FROM b AND c", "(a IS NOT DISTINCT FROM b) AND c"),
        ("a IS DISTINCT FROM b OR c", "(a IS DISTINCT FROM b) OR c"),
        ("NOT a IS DISTINCT FROM b", "NOT (a IS DISTINCT FROM b)"),
        ("a IS DISTINCT FROM b + c", "(a IS DISTINCT FROM (b + c))"),
        ("a IS NOT DISTINCT FROM b = c", "(a IS NOT DISTINCT FROM (b = c))"),
        ("a BETWEEN b + c AND d AND e", "(a BETWEEN (b + c) AND d) AND e"),
        ("a || b LIKE c", "(a || b) LIKE c"),
        ("a IN (b) AND c", "(a IN (b)) AND c"),
        ("a + b * c - d", "a + (b * c) - d"),
        ("- a * b", "(-a) * b"),
        ("a < b OR c >= d", "(a < b) OR (c >= d)"),
    ],
)
def test_operators_bind_as_in_postgresql(text: str, reading: str) -> None:
    (tree,) = parse(f"SELECT {text}")
    bracket(tree)
    assert render(tree).removeprefix("SELECT ") == reading


@pytest.mark.parametrize("operator", ["IS NOT DISTINCT FROM", "IS DISTINCT FROM", "<=>"])
def test_a_null_safe_comparison_needs_no_brackets(operator: str) -> None:
    table = pa.table({"id": [1, 2, 3], "a": ["x", None, None], "b": ["x", None, "y"]})
    same = {"IS DISTINCT FROM": {3}}.get(operator, {1, 2})
    _, rows = run(
        f"SELECT l.id, r.id FROM l JOIN r ON l.id = r.id AND l.a {operator} r.b AND l.id < 9 OR l.id > 9",
        table,
        table,
    )
    assert {row["left_id"] for row in rows} == same


def test_fifty_null_safe_columns_are_compared() -> None:
    names = [f"c{n}" for n in range(50)]
    table = pa.table({"id": [1, 2], **{name: ["x", None] for name in names}})
    on = " AND ".join(f"l.{name} IS NOT DISTINCT FROM r.{name}" for name in names)
    _, rows = run(f"SELECT l.id, r.id FROM l JOIN r ON {on}", table, table)
    assert {(row["left_id"], row["right_id"]) for row in rows} == {(1, 1), (2, 2)}


@pytest.mark.parametrize(
    "condition",
    ["l.paid = l.id IN (1)", "l.paid = l.id BETWEEN 1 AND 2", "l.id | r.id & r.small = 1"],
)
def test_operators_whose_binding_sql_leaves_open_are_refused(condition: str) -> None:
    with pytest.raises(KallaError, match="read in two ways"):
        plan(JOIN + condition)


def test_readings_that_the_engine_prints_alike_are_told_apart() -> None:
    tables = tables_of(INVOICES, PAYMENTS, ())
    texts = [f"{JOIN}{condition} = 1" for condition in ("l.id - r.id - r.id", "l.id - (r.id - r.id)")]
    for mine, theirs in (texts, texts[::-1]):
        check_reading(mine, read_query(mine), tables)
        with pytest.raises(KallaError, match="read in two ways"):
            check_reading(mine, read_query(theirs), tables)


@pytest.mark.parametrize("operator", ["!~", "~", "!~*", "~*"])
def test_patterns_are_read_with_their_negation(operator: str) -> None:
    plan(f"{JOIN}l.id = r.id AND l.invoice_id {operator} '^A' AND l.paid")
