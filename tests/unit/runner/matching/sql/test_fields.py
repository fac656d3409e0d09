"""A field of a struct column is named by dots or in brackets, whatever stands before it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kalla_common.errors import Code
from kalla_runner.matching.plan import TableInfo

from tests.unit.runner.matching.sql.tables import plan, refused, run

META = pa.struct([("Ref", pa.string()), ("inner", pa.struct([("n", pa.int64())])), ("odd name", pa.string())])
ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "meta": pa.array(
            [
                {"Ref": "a", "inner": {"n": 7}, "odd name": "x"},
                {"Ref": "b", "inner": None, "odd name": None},
                None,
            ],
            META,
        ),
    }
)
OTHERS = pa.table({"id": [11, 12], "ref": ["a", "b"], "n": [7, 9], "meta": ["own", "own"]})
LEFT = TableInfo("l", ROWS.schema, ("id",))
RIGHT = TableInfo("r", OTHERS.schema, ("id",))


@pytest.mark.parametrize(
    ("condition", "pairs"),
    [
        ("l.meta.Ref = r.ref", [(1, 11), (2, 12)]),
        ("l.meta.ref = r.ref", [(1, 11), (2, 12)]),
        ("l.META.REF = r.ref", [(1, 11), (2, 12)]),
        ("l.meta['Ref'] = r.ref", [(1, 11), (2, 12)]),
        ("l.meta.inner.n = r.n", [(1, 11)]),
        ("l.meta['inner']['n'] = r.n", [(1, 11)]),
        ("l.meta.\"odd name\" = 'x' AND l.id < r.id", [(1, 11), (1, 12)]),
        ("upper(l.meta.ref) = upper(r.ref) AND l.meta.inner.n IS NULL", [(2, 12)]),
    ],
)
def test_fields_join(condition: str, pairs: list[tuple[int, int]]) -> None:
    _, rows = run(f"SELECT l.id, r.id FROM l JOIN r ON {condition}", ROWS, OTHERS)
    assert sorted((row["left_id"], row["right_id"]) for row in rows) == pairs


def test_a_struct_needs_no_qualifier_where_its_column_has_one_meaning() -> None:
    others = OTHERS.drop_columns(["meta"])
    _, rows = run("SELECT l.id, r.id FROM l JOIN r ON meta.ref = r.ref WHERE meta.inner.n = 7", ROWS, others)
    assert [(row["left_id"], row["right_id"]) for row in rows] == [(1, 11)]


def test_a_selected_field_has_its_own_name() -> None:
    made = plan(
        "SELECT l.id, r.id, l.meta.ref, l.meta.inner.n AS k FROM l JOIN r ON l.id < r.id", LEFT, RIGHT
    )
    assert made.output_columns == ("left_id", "right_id", "Ref", "k")


def test_fields_pass_through_ctes_and_grouping() -> None:
    sql = (
        "WITH c AS (SELECT id, meta.inner AS part, meta.ref AS ref FROM l) "
        "SELECT c.part.n, array_agg(c.id) AS lefts, array_agg(r.id) AS rights "
        "FROM c JOIN r ON c.ref = r.ref GROUP BY c.part.n ORDER BY c.part.n"
    )
    _, rows = run(sql, ROWS, OTHERS)
    assert [(row["n"], row["lefts"], row["rights"]) for row in rows] == [(7, [1], [11]), (None, [2], [12])]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("l.meta.reff = r.ref", "There is no field reff in l.meta; its fields are Ref, inner, odd name."),
        ("l.meta.inner.x = r.n", "There is no field x in l.meta.inner; its fields are n."),
        ("l.id.x = r.ref", "l.id is no struct"),
        ("l.meta.ref.x = r.ref", "l.meta.Ref is no struct"),
        ("a.b.c = r.ref", "a.b.c is qualified too deeply"),
        ("a.b = r.ref", "There is no table a"),
        ("l.nothing.x = r.ref", "There is no column nothing in l"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_what_there_is(condition: str, words: str) -> None:
    error = refused(f"SELECT l.id, r.id FROM l JOIN r ON {condition}", LEFT, RIGHT)
    assert error.code is Code.INVALID_SQL
    assert words in error.message
    assert error.details["line"] == "1"


def test_two_fields_of_one_name_but_for_case_need_quotes() -> None:
    both = pa.schema([("id", pa.int64()), ("m", pa.struct([("a", pa.string()), ("A", pa.string())]))])
    left = TableInfo("l", both, ("id",))
    assert "ambiguous" in refused("SELECT l.id, r.id FROM l JOIN r ON l.m.a = r.ref", left, RIGHT).message
    assert plan('SELECT l.id, r.id FROM l JOIN r ON l.m."A" = r.ref', left, RIGHT).path == "one_pass"
