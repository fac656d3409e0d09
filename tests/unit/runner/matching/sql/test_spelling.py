"""What people write elsewhere: accepted where it has one meaning, else refused with what to write."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.errors import KallaError
from kalla_runner.matching.check import check_match_sql
from kalla_runner.matching.sql.catalogue import NAMES
from kalla_runner.matching.sql.catalogue.equivalents import EQUIVALENTS
from kalla_runner.matching.sql.spelling import plain_quotes

from tests.unit.runner.matching.sql.tables import INVOICES, PAYMENTS, RATES, info, refused, run

LEFT = pa.table(
    {
        "id": [1],
        "t": ["INV-1001 paid"],
        "nul": pa.array([None], pa.string()),
        "n": pa.array([7], pa.int64()),
        "d": pa.array([Decimal("2.50")], pa.decimal128(9, 2)),
        "f": pa.array([1.5]),
        "day": pa.array([dt.date(2024, 2, 29)]),
        "ts": pa.array([dt.datetime.fromisoformat("2024-02-29 12:30:00")], pa.timestamp("us")),
        "z": pa.array([dt.datetime.fromisoformat("2024-07-01 22:30:00")], pa.timestamp("us", tz="UTC")),
        "tags": pa.array([["a", "b"]]),
        "two words": ["x"],
        "s": pa.array([{"f": "in"}]),
        "form": ["Mu\u0308ller"],
    }
)
RIGHT = pa.table({"id": [1], "day": pa.array([dt.date(2024, 3, 1)]), "form": ["Müller"]})


def value(expression: str) -> Any:
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    return run(query, LEFT, RIGHT)[1][0]["v"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ISNULL(l.nul, '-')", "-"),
        ("ISNULL(l.nul)", True),
        ("NVL(l.nul, '-')", "-"),
        ("IFNULL(l.nul, '-')", "-"),
        ("NVL2(l.nul, 1, 2)", 2),
        ("IIF(l.n > 5, 'a', 'b')", "a"),
        ("IF(l.n > 5 AND l.nul IS NULL, 'a', 'b')", "a"),
        ("IF(l.n > 8, 'a')", None),
        ("MOD(l.n + 1, 3)", 2),
        ("SIGN(-l.d)", -1),
        ("CEILING(l.d)", 3),
        ("UCASE(l.t)", "INV-1001 PAID"),
        ("MID(l.t, 1, 3)", "INV"),
        ("POSITION('-' IN l.t)", 4),
        ("INSTR(l.t, '-')", 4),
        ("DATEDIFF(day, l.day, r.day)", 1),
        ("DATEDIFF('day', l.ts, r.day)", 1),
        ("DATEDIFF(month, l.day, r.day)", 1),
        ("DATE_DIFF('year', l.day, r.day)", 0),
        ("DATEADD(day, 1, l.day) = r.day", True),
        ("DATEADD(mm, -1, l.ts)", dt.datetime.fromisoformat("2024-01-29 12:30:00")),
        ("DATE_ADD(l.day, INTERVAL 1 DAY) = r.day", True),
        ("DATE_SUB(r.day, INTERVAL '1' DAY) = l.day", True),
        ("EOMONTH(l.ts)", dt.date(2024, 2, 29)),
        ("LAST_DAY(r.day)", dt.date(2024, 3, 31)),
        ("YEAR(l.day) * 100 + MONTH(l.day)", 202402),
        ("DATEFROMPARTS(2024, 2, 29)", dt.date(2024, 2, 29)),
        ("STRPTIME('29.02.2024 12:30', '%d.%m.%Y %H:%M')", dt.datetime.fromisoformat("2024-02-29 12:30:00")),
        ("STRFTIME(l.day, '%d.%m.%Y')", "29.02.2024"),
        ("TO_DATE('29.02.2024', 'DD.MM.YYYY')", dt.date(2024, 2, 29)),
        ("TO_DATE('01.02.69', 'DD.MM.YY')", dt.date(2069, 2, 1)),
        ("TO_DATE('29-Feb-2024', 'DD-Mon-YYYY')", dt.date(2024, 2, 29)),
        ("TO_CHAR(l.ts, 'YYYY-MM-DD HH24:MI')", "2024-02-29 12:30"),
        ("DATE_FORMAT(l.ts, '%Y-%m-%d %H:%i')", "2024-02-29 12:30"),
        ("REGEXP_SUBSTR(l.t, 'INV-([0-9]+)')", "INV-1001"),
        ("REGEXP_EXTRACT(l.t, 'INV-([0-9]+)', 1)", "1001"),
        ("REGEXP_EXTRACT(l.t, 'INV-[0-9]+')", "INV-1001"),
        ("REGEXP_EXTRACT(l.t, 'XYZ')", None),
        ("SUBSTRING(l.t FROM 'INV-[0-9]+')", "INV-1001"),
        ("SUBSTRING(l.t FROM 'INV-([0-9]+)')", "1001"),
        ("SUBSTRING(l.t FROM 1 FOR 3)", "INV"),
        ("REGEXP_REPLACE(l.t, '(INV)', '$1\\1')", "$1INV-1001 paid"),
        ("NORMALIZE(l.form, NFC) = r.form", True),
        ("NORMALIZE(r.form, NFD) = l.form", True),
        ("l.form = r.form", False),
        ("CONVERT(DECIMAL(9,1), l.d)", Decimal("2.5")),
        ("CONVERT(l.d, SIGNED)", 3),
        ("TRY_CONVERT(INT, l.t)", None),
        ("CAST(l.d AS NUMBER(9,1))", Decimal("2.5")),
        ("CAST(l.t AS NVARCHAR(3))", "INV"),
        ("l.t::varchar(3)", "INV"),
        ("CAST(l.n AS VARCHAR2(5))", "7"),
        ("CAST(l.day AS DATETIME)", dt.datetime.fromisoformat("2024-02-29 00:00:00")),
        ("l.[two words]", "x"),
        ("`l`.`two words`", "x"),
        ("[n] + 1", 8),
        ("l.tags[1]", "a"),
        ("'a' = ANY(l.tags)", True),
        ("l.t = ANY(ARRAY['x', 'y'])", False),
        ("ARRAY_CONTAINS(l.tags, 'b')", True),
        ("TIMEZONE('Europe/Berlin', l.z)", dt.datetime.fromisoformat("2024-07-02 00:30:00")),
        ("CAST(l.z AT TIME ZONE 'Europe/Berlin' AS DATE)", dt.date(2024, 7, 2)),
        ("l.ts AT TIME ZONE 'Europe/Berlin'", dt.datetime.fromisoformat("2024-02-29 11:30:00+00:00")),
        ("EVERY(l.n > 1) OVER ()", True),
        ("GET_FIELD(l.s, 'f')", "in"),
    ],
)
def test_what_has_one_meaning_is_accepted(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("LEN(l.t)", "length(rtrim(x))"),
        ("DATEDIFF(l.day, r.day)", "DATEDIFF(day, start, end), or b - a"),
        ("DATEDIFF(hour, l.ts, l.ts)", "INTERVAL '1' HOUR"),
        ("DATEDIFF(day, l.t, r.day)", "CAST(l.t AS DATE)"),
        ("DATEADD(hour, 1, l.day)", "CAST(l.day AS TIMESTAMP)"),
        ("DATEADD(day, l.n, l.day)", "INTERVAL '3' DAY"),
        ("l.day + INTERVAL '5' HOUR", "CAST(l.day AS TIMESTAMP)"),
        ("l.t + INTERVAL '1' DAY", "CAST(l.t AS DATE)"),
        ("REGEXP_EXTRACT(l.t, 'a(b)')", "REGEXP_EXTRACT(text, pattern, 1)"),
        ("CONVERT(VARCHAR(10), l.day, 112)", "TO_DATE"),
        ("CAST(l.d AS MONEY)", "DECIMAL(19,4)"),
        ("CAST(l.t AS CHAR(3))", "VARCHAR"),
        ("TO_NUMBER(l.t)", "CAST(x AS DECIMAL(18,2))"),
        ("TO_CHAR(l.d, '999.99')", "CAST(l.d AS TEXT)"),
        ("TO_CHAR(l.day, 'abc')", "YYYY-MM-DD"),
        ("TO_CHAR(l.day, l.t)", "written out"),
        ("UNNEST(l.tags)", "array_has"),
        ("l.t <> ALL(l.tags)", "array_has"),
        ("l.t ->> 'x'", "JSON"),
        ("l.t -> 'x'", "JSON"),
        ("JSON_VALUE(l.t, '$.x')", "JSON"),
        ("l.t SIMILAR TO 'a%'", "LIKE"),
        ("l.n DIV 2", "(a - a % b) / b"),
        ('l.t COLLATE "C"', "upper"),
        ("CAST(l.t AS DATE FORMAT 'DD.MM.YYYY')", "TO_DATE"),
        ("APPROX_DISTINCT(l.n)", "count(DISTINCT x)"),
        ("COSINE_DISTANCE(l.tags, l.tags)", "There is no function cosine_distance"),
        ("UPER(l.t)", "did you mean upper?"),
        ("LENGTH(l.n)", "CAST(l.n AS TEXT)"),
        ("LENGTH()", "LENGTH(text)"),
        ("ROUND(l.d, l.n)", "written out"),
        ("LPAD(l.t, 1000000000)", "0 to 1,000"),
        ("CONCAT(l.t, l.ts)", "CAST(l.ts AS TEXT)"),
        ("SHA256(l.t) = 'x'", "encode(sha256(l.t), 'hex')"),
        ("ENCODE(l.t, 'base64')", "'hex'"),
        ("ARRAY_HAS(l.tags, 1)", "one type"),
        ("l.t[1]", "substr(text, start, count)"),
        ("LOG(l.d)", "log10"),
        ("EXTRACT(CENTURY FROM l.day)", "'century' is not a unit"),
        ("HOUR(l.day)", "has no hour"),
        ("l.z AT TIME ZONE 'no; zone'", "Europe/Berlin"),
        ("l.n = 1 AND GETDATE() IS NULL", "rerun"),
    ],
)
def test_what_has_none_is_refused_with_what_to_write(expression: str, part: str) -> None:
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    error = refused(query, info("l", LEFT, "id"), info("r", RIGHT, "id"))
    assert part in error.message
    assert "exp." not in error.message
    assert int(error.details["column"]) >= query.index(expression) + 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("SELECT [a b] FROM [t]", 'SELECT "a b" FROM "t"'),
        ("l.[x] = `y`", 'l."x" = "y"'),
        ("tags[i] = x [i]", "tags[i] = x [i]"),
        ("ARRAY[x], f(a)[i], 'it''s [x]', \"[x]\"", "ARRAY[x], f(a)[i], 'it''s [x]', \"[x]\""),
        ("-- [x] `y`\n[x]", '-- [x] `y`\n"x"'),
        ("[true] [null] [1]", "[true] [null] [1]"),
    ],
)
def test_quotes_of_other_databases_keep_every_character_at_its_place(text: str, plain: str) -> None:
    assert plain_quotes(text) == plain
    assert len(plain) == len(text)


def test_no_equivalent_is_given_for_what_is_there() -> None:
    assert not set(EQUIVALENTS) & set(NAMES)


def test_unknown_functions_are_named_together_with_their_places() -> None:
    sql = "SELECT foo1(l.id),\n bar1(r.id) FROM invoices l JOIN payments r ON l.id = r.id"
    problems = check_match_sql(sql, INVOICES, PAYMENTS, [RATES]).problems
    assert [(p.line, p.column) for p in problems] == [(1, 8), (2, 2)]


@pytest.mark.parametrize(
    "expression",
    [
        "l.tags + 1",
        "l.s = l.tags",
        "l.day * 2",
        "NOT l.t",
        "l.t AND true",
        "- l.t",
        "l.tags[l.t]",
        "sum(l.day)",
    ],
)
def test_no_word_of_the_engine_reaches_a_person(expression: str) -> None:
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    error = refused(query, info("l", LEFT, "id"), info("r", RIGHT, "id"))
    for word in (
        "Utf8",
        "Int64",
        "Decimal128",
        "Date32",
        "coerc",
        "Expr",
        "optimizer",
        "__kalla",
        "signature",
    ):
        assert word not in error.message, error.message


def test_a_struct_that_is_null_has_no_fields() -> None:
    structs = pa.StructArray.from_arrays([pa.array([1, 2], pa.int64())], ["f"], mask=pa.array([False, True]))
    left = pa.table({"id": [1, 2], "s": structs})
    query = (
        "SELECT l.id AS n, r.id AS rid, l.s['f'] AS a, get_field(l.s, 'f') AS b FROM l JOIN r ON l.id = r.id"
    )
    rows = run(query, left, pa.table({"id": [1, 2]}))[1]
    assert sorted((row["n"], row["a"], row["b"]) for row in rows if row["a"]) == [(1, 1, 1)]
    assert [row["b"] for row in rows if row["n"] == 2] == [None]


def test_days_added_beyond_the_calendar_are_an_error() -> None:
    left = pa.table(
        {"id": [1], "day": pa.array([dt.date(2024, 1, 1)]), "n": pa.array([-(2**63)], pa.int64())}
    )
    query = "SELECT l.id, r.id AS rid, l.day + l.n AS v FROM l JOIN r ON l.id = r.id"
    with pytest.raises(Exception, match="Can't cast value"):
        run(query, left, pa.table({"id": [1]}))


def test_a_refusal_points_to_the_call() -> None:
    with pytest.raises(KallaError) as caught:
        value("upper(l.t) || upper(l.n)")
    assert "UPPER" in caught.value.message
