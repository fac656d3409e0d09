"""Every name in a match query has one meaning, whatever its case, or is refused with the candidates."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kalla_common.errors import Code
from kalla_runner.matching.check import check_match_sql
from kalla_runner.matching.plan import TableInfo

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, RATES, plan, refused

TWINS = TableInfo("Twins", pa.schema([("Id", pa.int64()), ("ID", pa.int64()), ("k", pa.string())]), ("k",))


@pytest.mark.parametrize(
    "name", ["amount", "AMOUNT", "Amount", '"Amount"', "l.amount", "L.AmOuNt", 'l."Amount"']
)
def test_an_unquoted_name_finds_its_column_whatever_its_case(name: str) -> None:
    made = plan(
        f"SELECT {name} AS a FROM INVOICES l JOIN rates k ON l.id = k.id "
        "JOIN (SELECT id AS i, payment_id FROM payments) r ON r.i = l.id"
    )
    assert '"l"."Amount" AS "a"' in made.sql


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ('"amount"', "its columns are Amount"),
        ("l.amuont", "There is no column amuont in l; its columns are Amount,"),
        ("nope", "There is no column nope; the columns are"),
        ("x.id", "There is no table x in this FROM; the tables here are l, r."),
        ("invoices.id", "There is no table invoices in this FROM; write l, its name here."),
        ("id", "The column id is ambiguous: it may mean l.id, r.id."),
        ("nofn(l.id)", "There is no function nofn"),
    ],
)
def test_a_name_without_one_meaning_is_refused_with_the_candidates(name: str, part: str) -> None:
    name = f"l.{name}" if name.startswith('"') else name
    error = refused(f"SELECT\n {name} FROM invoices l JOIN payments r ON l.id = r.id")
    assert error.code is Code.INVALID_SQL
    assert part in error.message
    assert (error.details["line"], error.details["column"]) == ("2", "2")


def test_columns_that_differ_in_case_alone_must_be_quoted() -> None:
    error = refused("SELECT t.id FROM twins t JOIN payments r ON t.k = r.reference", TWINS)
    assert 'write "Id", "ID", with the quotes' in error.message
    made = plan('SELECT t."ID" FROM twins t JOIN payments r ON t.k = r.reference', TWINS)
    assert made.output_columns == ("ID", "k", "payment_id")


def test_aliases_that_differ_only_in_case_are_refused() -> None:
    error = refused("SELECT 1", replace(INVOICES, alias="Payments"))
    assert error.code is Code.INVALID_REQUEST
    assert "apart from upper and lower case" in error.message


def test_an_alias_with_odd_signs_is_quoted() -> None:
    odd = TableInfo('my "odd" file.csv', pa.schema([("a b", pa.int64()), ("é", pa.string())]), ("a b",))
    made = plan('SELECT x."a b" FROM "my ""odd"" file.csv" x JOIN payments p ON x.É = p.reference', odd)
    assert made.left_key_columns == ("a b",)
    assert made.join_keys == (('"é"', '"reference"'),)


def test_the_sides_answer_to_left_src_and_right_src() -> None:
    made = plan("SELECT * FROM left_src JOIN RIGHT_SRC ON left_src.id = right_src.id")
    assert made.uses_side_names == ("left_src", "right_src")
    assert made.path == "one_pass"


def test_a_source_called_left_src_keeps_its_name() -> None:
    left = TableInfo("left_src", PAYMENTS.schema, ("payment_id",))
    right = TableInfo("right_src", INVOICES.schema, ("invoice_id",))
    made = plan("SELECT r.payment_id FROM left_src r JOIN right_src l ON l.id = r.id", left, right)
    assert made.uses_side_names == ()
    swapped = TableInfo("left_src", INVOICES.schema, ("invoice_id",))
    right_is_left = TableInfo("left_src", PAYMENTS.schema, ("payment_id",))
    made = plan("SELECT * FROM invoices l JOIN left_src r ON l.id = r.id", INVOICES, right_is_left)
    assert made.right_key_columns == ("payment_id",)
    assert plan("SELECT * FROM left_src l JOIN payments r ON l.id = r.id", swapped).uses_side_names == ()


def test_names_inside_nested_queries_mean_the_nearest_table() -> None:
    made = plan(
        "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id = r.id "
        "WHERE EXISTS (SELECT 1 FROM rates WHERE rate > 1 AND rates.id = l.ID) "
        "AND r.amount = (SELECT max(amount) FROM payments q WHERE q.id = l.id)"
    )
    assert '"rates"."id" = "l"."id"' in made.sql
    assert 'max("q"."amount")' in made.sql


def test_a_cte_hides_the_source_of_its_name_and_may_rename_columns() -> None:
    made = plan(
        "WITH payments(a, b) AS (SELECT payment_id, id FROM right_src) "
        "SELECT l.id, a FROM invoices l JOIN payments ON B = l.id"
    )
    assert made.output_columns == ("id", "a", "invoice_id")
    assert made.right_key_columns == ("a",)


def test_a_check_gathers_several_problems_with_their_places() -> None:
    sql = (
        "SELECT l.nope,\n r.nix FROM invoices l JOIN payments r "
        "ON l.invoice_id = r.id AND l.due = '2024-01-01'"
    )
    check = check_match_sql(sql, INVOICES, PAYMENTS, [RATES])
    assert not check.ok
    found = [(p.code, p.line, p.column) for p in check.problems]
    assert found == [
        ("INVALID_SQL", 1, 8),
        ("INVALID_SQL", 2, 2),
        ("TYPE_MISMATCH", 2, sql.splitlines()[1].index("l.invoice_id") + 1),
        ("TYPE_MISMATCH", 2, sql.splitlines()[1].index("l.due") + 1),
    ]


def test_a_check_says_what_the_query_yields() -> None:
    check = check_match_sql(
        "SELECT l.amount, r.due FROM invoices l JOIN payments r ON l.invoice_id = upper(r.reference)",
        INVOICES,
        PAYMENTS,
    )
    assert check.ok
    assert [(c.name, c.data_type) for c in check.output_columns] == [
        ("Amount", "decimal(12,2)"),
        ("due", "date"),
        ("invoice_id", "text"),
        ("payment_id", "text"),
    ]
    assert check.added_columns == ("invoice_id", "payment_id")
    assert check.join_keys == (('"invoice_id"', 'upper("reference")'),)
    assert check.match_path == "one_pass"


@pytest.mark.parametrize("key", [(), ("nope",), ("invoice_id", "nix")])
def test_a_primary_key_must_exist(key: tuple[str, ...]) -> None:
    left = TableInfo("invoices", INVOICES.schema, key)
    error = refused("SELECT * FROM invoices l JOIN payments r ON l.id = r.id", left)
    assert error.code is Code.INVALID_PRIMARY_KEY
    assert "invoices" in error.message
