"""match_sql in DuckDB's SQL: from the author's text, with every type written out."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.witness.translate import Translation, translate
from kalla_runner.matching.witness.typed import NotPossibleError

LEFT = TableInfo(
    "inv",
    pa.schema(
        [
            ("id", pa.int64()),
            ("ref", pa.string()),
            ("amount", pa.decimal128(18, 2)),
            ("wide", pa.decimal128(38, 10)),
            ("day", pa.date32()),
            ("Ref", pa.large_string()),
        ]
    ),
    ("id",),
)
RIGHT = TableInfo(
    "pay", pa.schema([("pid", pa.string()), ("ref", pa.string()), ("paid", pa.decimal128(12, 3))]), ("pid",)
)
_JOIN = "SELECT l.id, r.pid FROM inv l JOIN pay r ON "


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def _translated(sql: str, connection: duckdb.DuckDBPyConnection) -> Translation:
    return translate(sql, LEFT, RIGHT, [], connection)


def _condition(condition: str, connection: duckdb.DuckDBPyConnection) -> str:
    sql = _translated(_JOIN + condition, connection).sql
    return sql.partition(" ON ")[2].partition(") AS q ")[0]


@pytest.mark.parametrize(
    ("condition", "duck"),
    [
        ('l."ref" = r.ref', "(r1.c1 = r2.c1)"),
        ('l."Ref" = r.ref', "(r1.c5 = r2.c1)"),
        ("l.amount = r.paid", "(CAST(r1.c2 AS DECIMAL(19,3)) = CAST(r2.c2 AS DECIMAL(19,3)))"),
        ("l.id = 7", "(r1.c0 = (7))"),
        ("l.amount = 0.5", "(r1.c2 = CAST('0.5' AS DECIMAL(18,2)))"),
        ("l.id * 2 > 1", "((CAST(r1.c0 AS HUGEINT) * CAST((2) AS HUGEINT)) > (1))"),
        ("l.amount / 100 = 1.5", "((CAST(r1.c2 AS DECIMAL(38,2)) * CAST('0.01' AS DECIMAL(2,2))) = "),
        (  # braces within an argument are its own
            "array_has(make_array(CAST('2024-02-29' AS DATE), l.day), l.day)",
            r"(list_contains((([(CAST(regexp_extract('2024-02-29', '^[0-9]{4}-[0-9]{2}-[0-9]{2}\z') AS DATE)",
        ),
        (
            "tolerance_match(l.amount, r.paid, 0.02)",
            "({0} >= {1} - {2} AND {0} <= {1} + {2})".format(
                *(f"CAST({value} AS DECIMAL(20,3))" for value in ("r1.c2", "r2.c2", "'0.02'"))
            ),
        ),
        ('l."ref" IS NOT DISTINCT FROM r.ref', "(r1.c1 IS NOT DISTINCT FROM r2.c1)"),
        ("l.\"ref\" LIKE 'a''%'", "(r1.c1 LIKE 'a''%' ESCAPE '\\')"),
        ("l.day + INTERVAL '1' MONTH > DATE '2024-02-01'", "(CAST(r1.c4 + INTERVAL (1) MONTH AS DATE) > "),
    ],
)
def test_a_condition_is_written_with_its_types(
    condition: str, duck: str, connection: duckdb.DuckDBPyConnection
) -> None:
    assert _condition(condition, connection).startswith(duck)


def test_only_the_keys_are_selected_and_both_must_be_there(connection: duckdb.DuckDBPyConnection) -> None:
    translation = _translated('SELECT l.amount / 7 AS a FROM inv l JOIN pay r ON l."ref" = r.ref', connection)
    assert translation.sql == (
        "SELECT q.c0 AS l0, q.c1 AS r0 FROM (SELECT r1.c0 AS c0, r2.c0 AS c1 FROM t0 AS r1 JOIN t1 AS r2 "
        "ON (r1.c1 = r2.c1)) AS q WHERE (q.c0 IS NOT NULL) AND (q.c1 IS NOT NULL)"
    )
    assert translation.columns == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert translation.lists == ((False,), (False,))


def test_lists_of_keys_must_hold_a_whole_key(connection: duckdb.DuckDBPyConnection) -> None:
    sql = 'SELECT l.id, array_agg(r.pid) AS pids FROM inv l JOIN pay r ON l."ref" = r.ref GROUP BY l.id'
    translation = _translated(sql, connection)
    assert translation.lists == ((False,), (True,))
    assert "len(list_filter(list_zip(q.c1, q.c1), lambda z: z[1] IS NOT NULL AND z[2] IS NOT NULL)) > 0" in (
        translation.sql
    )


def test_what_a_translation_depends_on_is_noted(connection: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "WITH f AS (SELECT pid, upper(ref) AS k, row_number() OVER (PARTITION BY ref ORDER BY pid) AS n "
        "FROM pay) "
        'SELECT l.id, f.pid FROM inv l JOIN f ON f.k = l."ref" AND f.n = 1'
    )
    translation = _translated(sql, connection)
    assert translation.plain == {(1, 1): "upper"}
    assert translation.unique == {1: "row_number"}


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("l.amount / 3 > 1", "a quotient may be rounded"),
        ("l.wide * l.wide * l.wide * l.wide > 1", "more than 38 digits"),
        ("l.wide = 1.000000000000000000000000000000000000001", "has more than 38 digits"),
        ("(l.id, r.pid) = (1, 'a')", "tuples are compared by ="),
        ('l."ref" LIKE r.ref', "LIKE has a pattern that is not written out"),
        ("CAST(l.amount AS BIGINT) = 1", "a CAST from decimal to integer"),
        ("CAST(l.day AS TIMESTAMP) > r.pid", "a comparison meets"),
        ("soundex(r.pid) = 'a'", "no certain translation of soundex"),
        ("l.day - INTERVAL '1 day 2 hours' > l.day", "an interval is not a whole number of one unit"),
    ],
)
def test_what_is_not_certain_is_not_translated(
    condition: str, reason: str, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(NotPossibleError, match=reason.replace("(", "\\(")):
        _translated(_JOIN + condition, connection)


def test_syntax_that_nobody_thought_of_is_not_translated(connection: duckdb.DuckDBPyConnection) -> None:
    sql = 'SELECT l.id, min(r.pid) AS pid FROM inv l JOIN pay r ON l."ref" = r.ref GROUP BY ROLLUP (l.id)'
    with pytest.raises(NotPossibleError, match="ROLLUP"):
        _translated(sql, connection)
