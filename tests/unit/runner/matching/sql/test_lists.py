"""Searches in lists find no NULL, and of a list that is NULL they give NULL."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.unit.runner.matching.sql.tables import run

ROWS = pa.table(
    {
        "id": [1, 2],
        "a": pa.array([["x", None], [None]]),
        "b": pa.array([[None], ["x"]]),
        "n": pa.array([None, None], pa.int64()),
        "f": pa.array([214.17, -214.17], pa.float32()),
    }
)
# A list that a CASE computes and leaves out holds values behind its NULL.
NULL_LIST = "CASE WHEN l.n NOT IN (l.id, 7) THEN make_array(3, l.id) END"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("array_has_any(l.a, l.b)", [False, False]),
        ("array_has_any(l.a, l.a)", [True, False]),
        ("array_has_all(l.a, l.a)", [False, False]),
        ("array_has_all(l.a, make_array('x'))", [True, False]),
        (f"array_has_all({NULL_LIST}, {NULL_LIST})", [None, None]),
        (f"array_has_any({NULL_LIST}, {NULL_LIST})", [None, None]),
        (f"NOT array_has_any({NULL_LIST}, make_array(3))", [None, None]),
        (f"array_has({NULL_LIST}, 3)", [None, None]),
        (f"{NULL_LIST} = {NULL_LIST}", [None, None]),
        ("round(ln(exp(l.f)), 3)", [214.17, -214.17]),
    ],
)
def test_a_search_in_a_list_finds_no_null(expression: str, expected: list[object]) -> None:
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id ORDER BY l.id"
    rows = run(query, ROWS, ROWS)[1]
    assert [row["v"] for row in rows] == expected
