"""Groups and aggregates that differ in a cast alone are told apart: the engine's names leave casts out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.unit.runner.matching.sql.tables import run

ROWS = pa.table({"id": pa.array([1, 2, 3]), "q": pa.array([9, 10, None])})
CASES = [
    ("SELECT max(CAST(g.q AS VARCHAR)) AS a, max(g.q) AS b FROM l g", "9", 10),
    ("SELECT max(CAST(g.q AS VARCHAR)) OVER () AS a, max(g.q) OVER () AS b FROM l g", "9", 10),
    ("SELECT max(CAST(g.q AS VARCHAR)) AS a, 1 AS b FROM l g HAVING max(g.q) = 10", "9", 1),
    (
        "SELECT CAST(g.q AS TEXT) AS a, g.q AS b FROM l g WHERE g.q = 9 GROUP BY g.q, CAST(g.q AS TEXT)",
        "9",
        9,
    ),
    (
        "SELECT max(CAST(g.q AS TEXT)) AS a, max(CAST(g.q AS INT)) AS b FROM l g "  # noqa: ISC004
        "HAVING max(CAST(g.q AS DOUBLE)) > 9.5 AND max(CAST(g.q AS DECIMAL(9,1))) > 9.5",
        "9",
        10,
    ),
]


@pytest.mark.parametrize(("inner", "first", "second"), CASES)
def test_what_differs_in_a_cast_alone_is_told_apart(inner: str, first: str, second: int) -> None:
    query = f"SELECT l.id, r.id AS rid, g.a, g.b FROM l JOIN r ON l.id = r.id CROSS JOIN ({inner}) g"
    rows = run(query, ROWS, ROWS)[1]
    assert {(row["a"], row["b"]) for row in rows} == {(first, second)}
