"""A match query is one SELECT over the run's own tables; whatever else it is, it is refused."""

from __future__ import annotations

import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.sql.guard import check_reading
from kalla_runner.matching.sql.sandbox import read_query
from kalla_runner.matching.sql.scope import tables_of

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, plan, refused

JOIN = "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id = r.id"


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE invoices",
        "CREATE TABLE x AS SELECT * FROM invoices",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO invoices SELECT * FROM payments",
        "UPDATE invoices SET id = 1",
        "DELETE FROM invoices",
        "COPY invoices TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "DESCRIBE invoices",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "VALUES (1, 2)",
        "TABLE invoices",
        "FROM invoices SELECT id",
        f"{JOIN}; DROP TABLE invoices",
        f"{JOIN}; {JOIN}",
        "SELECT * FROM generate_series(1, 1000000000)",
        "SELECT * FROM range(1, 10)",
        "SELECT * FROM unnest(make_array(1, 2))",
        "SELECT unnest(l.tags) FROM invoices l JOIN payments r ON l.id = r.id",
        "SELECT * FROM (VALUES (1)) AS v(x)",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM public.invoices",
        "SELECT * FROM datafusion.public.invoices",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * INTO x FROM invoices",
        f"{JOIN} FOR UPDATE",
        "SELECT * FROM invoices TABLESAMPLE (10)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
        "SELECT * FROM invoices l NATURAL JOIN payments r",
        "SELECT * FROM invoices l, LATERAL (SELECT * FROM payments) r",
        f"{JOIN} WHERE l.id = $1",
    ],
)
def test_anything_but_one_select_over_the_sources_is_forbidden(sql: str) -> None:
    error = refused(sql)
    assert error.code is Code.FORBIDDEN_SQL, error.message


@pytest.mark.parametrize(
    "call",
    [
        "now()",
        "current_date",
        "current_date()",
        "CURRENT_TIMESTAMP",
        "today()",
        "current_time",
        "random()",
        "uuid()",
    ],
)
def test_what_changes_on_a_rerun_is_forbidden(call: str) -> None:
    error = refused(f"{JOIN} WHERE {call} IS NOT NULL")
    assert error.code is Code.FORBIDDEN_SQL, error.message
    assert "rerun" in error.message
    assert error.details["column"] == str(len(JOIN) + len(" WHERE ") + 1)


@pytest.mark.parametrize("call", ["input_file_name()", "version()", "file_row_index()", "current_user"])
def test_what_reads_the_surroundings_is_forbidden(call: str) -> None:
    assert refused(f"{JOIN} WHERE {call} IS NOT NULL").code is Code.FORBIDDEN_SQL


@pytest.mark.parametrize(
    "table",
    ['"/etc/passwd"', '"data.csv"', '"s3://bucket/x.parquet"', "nope", '"Invoices"', "information_schema"],
)
def test_a_table_that_is_no_source_is_unknown_and_the_sources_are_named(table: str) -> None:
    error = refused(f"SELECT * FROM {table}")
    assert error.code is Code.INVALID_SQL
    assert "invoices, payments, rates, left_src, right_src" in error.message


def test_a_file_named_as_text_is_no_table() -> None:
    assert refused("SELECT * FROM '/etc/passwd'").code in (Code.INVALID_SQL, Code.FORBIDDEN_SQL)


@pytest.mark.parametrize(
    ("sql", "line", "column"),
    [
        ("SELECT FROM WHERE", 1, 13),
        ("SELECT 1 +", 1, 10),
        ("SELECT (1", 1, 9),
        ("SELECT l.id\nFROM invoices l\nJOIN ON", 3, 6),
        ("", 0, 0),
        ("   -- nothing", 0, 0),
        ("SELECT 'open", 0, 0),
    ],
)
def test_what_cannot_be_parsed_says_where(sql: str, line: int, column: int) -> None:
    error = refused(sql)
    assert error.code is Code.INVALID_SQL
    assert (error.details.get("line"), error.details.get("column")) == (
        (str(line), str(column)) if line else (None, None)
    )


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 3_000 + "1 = 1" + ")" * 3_000,
        " AND ".join(["l.id = r.id"] * 3_000),
        "CASE WHEN true THEN " * 500 + "true" + " END" * 500,
        "l.id = " + " + ".join(["1"] * 5_000),
        "l.id IN (" + ", ".join(["1"] * 30_000) + ")",
        "l.invoice_id = '" + "x" * 300_000 + "'",
        "NOT " * 2_000 + "true",
        "l.id = " + "- " * 2_000 + "1",
    ],
)
def test_bombs_of_nesting_and_length_are_refused_quickly(condition: str) -> None:
    assert refused(f"{JOIN} WHERE {condition}").code is Code.INVALID_SQL


def test_long_but_plain_conditions_are_fine() -> None:
    many = ", ".join(str(n) for n in range(2_000))
    assert plan(f"{JOIN} WHERE l.id IN ({many})").path == "one_pass"
    chain = " OR ".join(f"l.id = {n}" for n in range(150))
    assert plan(f"{JOIN} WHERE {chain}").path == "one_pass"
    brackets = "(" * 15 + "l.id = 1" + ")" * 15
    assert plan(f"{JOIN} WHERE {brackets}").path == "one_pass"


@pytest.mark.parametrize(
    "sql",
    [
        f"{JOIN} WHERE EXTRACT(YEAR FROM l.due) = 2024",
        f"{JOIN} -- FROM payments; DROP TABLE x\n",
        f"{JOIN} WHERE l.invoice_id <> ' FROM x; DROP TABLE y'",
        f"WITH r AS (SELECT * FROM payments) {JOIN.replace('payments r', 'r')}",
        f"/* first */ ({JOIN})",
        f"{JOIN} WHERE substring(l.invoice_id FROM 1 FOR 2) = 'AB' AND trim(both ' ' from r.reference) <> ''",
        f"{JOIN};",
    ],
)
def test_trap_17_words_inside_expressions_texts_and_comments_change_nothing(sql: str) -> None:
    made = plan(sql)
    assert made.left_key_columns == ("invoice_id",)
    assert made.right_key_columns == ("payment_id",)


@pytest.mark.parametrize(
    "sql",
    [
        f"{JOIN} WHERE NOT l.id = 1 AND true",
        "SELECT l.id IS NULL AND r.id = 3 OR NOT l.id = r.id FROM invoices l JOIN payments r USING (due)",
        "SELECT -l.id + 2 * r.id % 3 - 1 FROM invoices l JOIN payments r ON l.due = r.due",
        "SELECT l.invoice_id || r.reference = 'ab' FROM invoices l JOIN payments r ON l.due = r.due",
        "SELECT l.id BETWEEN 1 AND 2 AND r.id IN (1, 2) FROM invoices l JOIN payments r ON l.due = r.due",
        "SELECT l.invoice_id LIKE 'a%' FROM invoices l JOIN payments r ON l.due = r.due",
        (
            "SELECT l.id IS NOT NULL, NOT l.id IS NULL, l.id NOT IN (1, 2), NOT l.id IN (3), "
            "l.paid IS NOT TRUE, "
            "l.id NOT BETWEEN 1 AND 2, l.invoice_id NOT LIKE 'a', l.id IS NOT DISTINCT FROM r.id, 1e5 = l.id "
            "FROM invoices l JOIN payments r ON l.due = r.due"
        ),
        "SELECT l.due::text, CAST(l.id AS DECIMAL(10, 2)) FROM invoices l JOIN payments r ON l.due = r.due",
        (
            "SELECT array_agg(r.payment_id ORDER BY r.id DESC), l.invoice_id FROM invoices l JOIN payments r "
            "ON l.id = r.id GROUP BY l.invoice_id HAVING count(*) > 1 "
            "ORDER BY 2 DESC NULLS LAST LIMIT 3 OFFSET 1"
        ),
        (
            "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id = r.id "
            "QUALIFY row_number() OVER (PARTITION BY l.id ORDER BY r.due DESC) = 1"
        ),
        "SELECT * FROM invoices l LEFT JOIN rates k ON k.id = l.id JOIN payments r USING (due)",
        "SELECT l.* EXCLUDE (tags), r.payment_id FROM invoices l JOIN payments r ON l.id = r.id",
        (
            "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON l.id = r.id "
            "WHERE CASE l.id WHEN 1 THEN true ELSE l.paid END AND l.invoice_id ~ '^A' AND l.tags[1] = 'x'"
        ),
    ],
)
def test_plain_sql_is_read_the_same_way_by_both_parsers(sql: str) -> None:
    plan(sql)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("l.id = 1 OR l.id = 2 AND l.paid", "(l.id = 1 OR l.id = 2) AND l.paid"),
        ("NOT l.paid = l.paid", "(NOT l.paid) = l.paid"),
        ("l.id - 1 - 2 = 3", "l.id - (1 - 2) = 3"),
        ("tolerance_match(l.id, r.id + 1, 2)", "tolerance_match(l.id, r.id, 2)"),
        ("l.paid AND NOT tolerance_match(l.id, 1, 2)", "l.paid AND tolerance_match(l.id, 1, 2)"),
    ],
)
def test_a_query_that_is_read_in_two_ways_is_refused(one: str, other: str) -> None:
    tables = tables_of(INVOICES, PAYMENTS, ())
    for mine, theirs in ((one, one), (other, other)):
        check_reading(f"{JOIN} WHERE {mine}", read_query(f"{JOIN} WHERE {theirs}"), tables)
    with pytest.raises(KallaError, match="read in two ways"):
        check_reading(f"{JOIN} WHERE {one}", read_query(f"{JOIN} WHERE {other}"), tables)


@pytest.mark.parametrize("query", ["SELEC l.id FROM l", "nonsense", "l.id = r.id", "?"])
def test_a_slip_of_the_pen_is_invalid_and_not_forbidden(query: str) -> None:
    error = refused(query)
    assert error.code is Code.INVALID_SQL, error.message


@pytest.mark.parametrize(
    "query",
    [
        f"{JOIN} LIMIT 5",
        f"{JOIN} OFFSET 5",
        "SELECT l.id, r.id FROM (SELECT * FROM l LIMIT 1) l JOIN r ON l.id = r.id",
    ],
)
def test_trap_20_rows_left_to_chance_are_refused(query: str) -> None:
    error = refused(query)
    assert error.code is Code.FORBIDDEN_SQL, error.message
    assert "ORDER BY" in error.message
