"""A second engine answers the same question on the same rows, or says why its answer is not certain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.domain import FilterCondition, FilterOp, WitnessReport

from tests.integration.matching.support import Staged, stage
from tests.integration.matching.witnessed import witnessed

_JOIN = "SELECT l.id, r.pid FROM inv l JOIN pay r ON "
_WHERE = _JOIN + "l.ref = r.ref WHERE "
_ON_REF = _JOIN + "l.ref = r.ref AND "


def _moments(texts: list[str]) -> pa.Array:
    return pa.array([datetime.fromisoformat(text) for text in texts], pa.timestamp("us"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Staged]:
    """Invoices, payments and rates with NULLs, double references, odd letters and numbers of many kinds."""
    folder = tmp_path_factory.mktemp("staged")
    n = 40
    invoices = pa.table(
        {
            "id": pa.array([None if i == 13 else i for i in range(n)], pa.int64()),
            "ref": pa.array([None if i % 11 == 5 else f"R{i // 2:03d}" for i in range(n)]),
            "amount": pa.array([Decimal(i * 7 % 50).scaleb(-2) for i in range(n)], pa.decimal128(18, 2)),
            "wide": pa.array([Decimal(i).scaleb(-4) for i in range(n)], pa.decimal128(38, 4)),
            "rate": pa.array([i / 8 + 0.1 for i in range(n)], pa.float64()),
            "day": pa.array([date(2024, 1 + i % 12, 28) for i in range(n)]),
            "at": _moments([f"2024-01-{1 + i % 28:02d}T{i % 24:02d}:30" for i in range(n)]),
            "zoned": pa.array(
                [datetime(2024, 1, 1 + i % 28, i % 24, tzinfo=UTC) for i in range(n)],
                pa.timestamp("ns", "UTC"),
            ),
            "open": pa.array([None if i % 7 == 0 else i % 2 == 0 for i in range(n)]),
            "name": pa.array([f"Größe Nº{i}" if i % 3 else f" Acme {i} " for i in range(n)]),
            "small": pa.array([i % 5 for i in range(n)], pa.int16()),
            "huge": pa.array([2**63 - 1 - i for i in range(n)], pa.int64()),
            "tags": pa.array([["a", str(i)] for i in range(n)], pa.list_(pa.string())),
        }
    )
    payments = pa.table(
        {
            "pid": pa.array([f"P{i}" for i in range(n)]),
            "ref": pa.array([None if i % 13 == 5 else f"R{i // 3:03d}" for i in range(n)]),
            "amount": pa.array(
                [Decimal(i * 7 % 50 + i % 3).scaleb(-2) for i in range(n)], pa.decimal128(12, 2)
            ),
            "cents": pa.array([i * 7 % 50 for i in range(n)], pa.int32()),
            "rate": pa.array([i / 8 + 0.1 for i in range(n)], pa.float32()),
            "day": pa.array([date(2024, 1 + i % 12, 25) for i in range(n)]),
            "said": pa.array([f"2024-{1 + i % 12:02d}-25" for i in range(n)]),
            "number": pa.array([str(i) for i in range(n)]),
            "at": _moments([f"2024-01-{1 + i % 28:02d}T12:30" for i in range(n)]),
            "name": pa.array([f"GRÖßE Nº{i}" if i % 2 else f"acme {i}" for i in range(n)]),
        }
    )
    rates = pa.table({"ref": [f"R{i:03d}" for i in range(0, 30, 2)], "factor": [i % 3 for i in range(15)]})
    return [
        stage(folder, "inv", invoices, ("id",), cut=7),
        stage(folder, "pay", payments, ("pid",), parquet=True, cut=9),
        stage(folder, "rates", rates),
    ]


CERTAIN = {
    "an equality": _JOIN + "l.ref = r.ref",
    "side names": "SELECT left_src.id, right_src.pid FROM left_src JOIN right_src USING (ref)",
    "names in any case": 'SELECT L.ID, R."pid" FROM INV l, Pay R WHERE l.REF = r.Ref',
    "keys that are added": "SELECT l.name AS who FROM inv l JOIN pay r ON l.ref = r.ref",
    "all columns": "SELECT * FROM inv l JOIN pay r ON l.ref = r.ref",
    "a tolerance": _ON_REF + "tolerance_match(l.amount, r.amount, 0.02)",
    "a tolerance alone": _JOIN + "tolerance_match(l.amount, r.amount, 0.01)",
    "a tolerance of integers and decimals": _ON_REF + "tolerance_match(l.wide, r.cents, 1.50)",
    "a tolerance of floats": _ON_REF + "tolerance_match(l.rate, l.amount, 4)",
    "a tolerance by a column": _ON_REF + "tolerance_match(l.amount, r.amount, l.amount)",
    "arithmetic": _ON_REF + "abs(l.amount - r.amount) * 2 <= 0.10 + r.cents * 0.01",
    "integers beyond 64 bits": _ON_REF + "CAST(l.huge AS DECIMAL(38,0)) + 10 > 9223372036854775807",
    "hundredths by division": _ON_REF + "l.amount / 100 < 0.003",
    "a remainder": _ON_REF + "l.id % 3 = r.cents % 3",
    "a remainder of decimals": _ON_REF + "l.amount % 0.03 = 0",
    "signs": _ON_REF + "-l.amount <= -0.05 AND -l.id < 0",
    "IS NOT DISTINCT FROM": _JOIN + "(l.ref IS NOT DISTINCT FROM r.ref)",
    "IS DISTINCT FROM": _ON_REF + "(l.amount IS DISTINCT FROM r.amount)",
    "NOT IN": _ON_REF + "l.id NOT IN (1, 2, 3)",
    "IN over a query": _ON_REF + "l.ref IN (SELECT ref FROM rates)",
    "NOT IN over a query with other types": _ON_REF + "l.amount NOT IN (SELECT factor FROM rates)",
    "BETWEEN": _ON_REF + "l.amount BETWEEN r.amount - 0.05 AND r.amount + 0.05",
    "NOT BETWEEN": _ON_REF + "l.id NOT BETWEEN 3 AND 9",
    "OR": _ON_REF + "(l.id < 10 OR r.cents > 20)",
    "NOT": _ON_REF + "NOT (l.id < 10 OR r.cents > 20)",
    "truth": _ON_REF + "l.open IS NOT FALSE",
    "a condition as value": _ON_REF + "(l.id > 5) = (r.cents > 5)",
    "LIKE": _ON_REF + "l.name LIKE 'Gr__e%'",
    "NOT LIKE with an escape": _ON_REF + "l.name NOT LIKE 'Gr\\_%'",
    "ILIKE": _ON_REF + "l.name ILIKE '%ACME%'",
    "a regular expression": _ON_REF + "l.name ~ '^ ?Acme [0-9]+ ?$'",
    "a regular expression in any case": _ON_REF + "l.name ~* 'größe'",
    "upper": _ON_REF + "upper(trim(l.name)) = upper(trim(r.name))",
    "lower": _ON_REF + "lower(l.name) <> lower(r.name)",
    "text functions": _ON_REF + "substr(l.ref, 2, 3) = right(r.ref, 3) AND length(l.name) > 3",
    "joined texts": _JOIN + "'R' || lpad(CAST(l.small AS TEXT), 3, '0') = r.ref",
    "concat": _ON_REF + "concat(l.ref, '-', l.small) LIKE 'R%-3'",
    "coalesce": _ON_REF + "coalesce(l.amount, 0) >= coalesce(r.cents, 1) * 0.01",
    "nullif": _ON_REF + "nullif(l.small, 3) IS NULL",
    "greatest": _ON_REF + "greatest(l.amount, r.amount, 0.10) = l.amount",
    "CASE": _ON_REF + "CASE WHEN l.amount > r.amount THEN l.amount - r.amount ELSE 0 END < 0.02",
    "CASE with an operand": _ON_REF + "CASE l.small WHEN 1 THEN 'a' WHEN 2 THEN 'b' END IS NOT NULL",
    "trunc": _ON_REF + "trunc(l.amount) = trunc(r.amount)",
    "floor and ceil": _ON_REF + "floor(l.amount) <= ceil(r.amount)",
    "casts of numbers": _ON_REF + "CAST(l.amount AS DECIMAL(10,1)) = CAST(r.amount AS DECIMAL(10,1))",
    "a text as number": _ON_REF + "l.id <= CAST(r.number AS BIGINT)",
    "a text as decimal": _ON_REF + "l.amount <= CAST(r.number AS DECIMAL(12,2))",
    "a text as date": _ON_REF + "CAST(r.said AS DATE) = r.day",
    "a text that is no number": _ON_REF + "TRY_CAST(nullif(r.number, '7') AS INT) > 3",
    "days": _ON_REF + "l.day BETWEEN r.day - INTERVAL '40' DAY AND r.day + INTERVAL '40' DAY",
    "months": _ON_REF + "l.day - INTERVAL '1' MONTH < r.day",
    "days between": _ON_REF + "abs(l.day - r.day) <= 35",
    "a date literal": _ON_REF + "l.day >= DATE '2024-03-28'",
    "a timestamp literal": _ON_REF + "l.at < TIMESTAMP '2024-01-15 12:00:00'",
    "a moment in another zone": _ON_REF + "l.zoned >= CAST('2024-01-10T02:00:00+02:00' AS TIMESTAMPTZ)",
    "the day of a moment": _ON_REF + "CAST(l.zoned AS DATE) = CAST(l.at AS DATE)",
    "hours": _ON_REF + "l.at + INTERVAL '5' HOUR > r.at",
    "parts of dates": _ON_REF + "extract(month FROM l.day) = extract(month FROM r.day)",
    "the month of a date": _ON_REF + "date_trunc('month', l.day) = date_trunc('month', r.day)",
    "a left join": "SELECT l.id, r.pid FROM inv l LEFT JOIN pay r ON l.ref = r.ref",
    "a full join": "SELECT l.id, r.pid FROM inv l FULL OUTER JOIN pay r ON l.ref = r.ref "
    "WHERE l.id IS NULL OR 1 = 1",
    "a semi join": _JOIN + "l.ref = r.ref LEFT SEMI JOIN rates x ON x.ref = l.ref",
    "an anti join": _JOIN + "l.ref = r.ref LEFT ANTI JOIN rates x ON x.ref = l.ref",
    "EXISTS": _WHERE + "EXISTS (SELECT 1 FROM rates x WHERE x.ref = l.ref AND x.factor < l.small)",
    "NOT EXISTS": _WHERE + "NOT EXISTS (SELECT * FROM pay p WHERE p.ref = l.ref AND p.cents > r.cents)",
    "a query as value": _WHERE + "l.amount >= (SELECT min(p.amount) FROM pay p WHERE p.ref = l.ref)",
    "a look-up": _JOIN + "l.ref = r.ref JOIN rates x ON x.ref = l.ref AND x.factor > 0",
    "a CTE": "WITH p AS (SELECT pid, ref, amount * 2 AS twice FROM pay WHERE cents > 3) "
    "SELECT l.id, p.pid FROM inv l JOIN p ON p.ref = l.ref AND p.twice > l.amount",
    "a query in FROM": "SELECT l.id, p.pid FROM inv l JOIN "
    "(SELECT pid AS pid, ref AS k FROM pay) p ON p.k = l.ref",
    "columns that are not used": "WITH p AS (SELECT *, 1.00 / 3 AS third FROM pay) "
    "SELECT l.id, p.pid FROM inv l JOIN p ON p.ref = l.ref",
    "DISTINCT": "SELECT DISTINCT l.id, r.pid FROM inv l JOIN pay r ON l.ref = r.ref",
    "UNION": _JOIN + "l.ref = r.ref UNION SELECT l.id, r.pid FROM inv l JOIN pay r ON l.amount = r.amount",
    "UNION ALL": _JOIN
    + "l.ref = r.ref UNION ALL SELECT l.id, r.pid FROM inv l JOIN pay r ON l.amount = r.amount",
    "EXCEPT": _JOIN + "l.ref = r.ref EXCEPT SELECT l.id, r.pid FROM inv l JOIN pay r ON l.amount = r.amount",
    "groups": "SELECT l.id, array_agg(r.pid) AS pids FROM inv l JOIN pay r ON l.ref = r.ref GROUP BY l.id "
    "HAVING sum(r.amount) >= 0.10",
    "groups of groups": "SELECT min(l.id) AS id, max(r.pid) AS pid, count(*) AS n FROM inv l JOIN pay r "
    "ON l.ref = r.ref GROUP BY l.ref HAVING count(DISTINCT r.amount) > 1",
    "a filtered list": "SELECT l.id, array_agg(r.pid) FILTER (WHERE r.cents > 9) AS pids "
    "FROM inv l JOIN pay r ON l.ref = r.ref GROUP BY 1",
    "sums in a CTE": "WITH s AS (SELECT ref, sum(amount) AS total, array_agg(pid) AS pids FROM pay "
    "GROUP BY ref) SELECT l.id, s.pids FROM inv l JOIN s ON s.ref = l.ref "
    "AND tolerance_match(l.amount, s.total, 0.30)",
    "the first by its key": "WITH p AS (SELECT pid, ref, row_number() OVER (PARTITION BY ref "
    "ORDER BY amount DESC, pid) AS n FROM pay) SELECT l.id, p.pid FROM inv l "
    "JOIN p ON p.ref = l.ref AND p.n = 1",
    "ranks": "SELECT l.id, r.pid FROM inv l JOIN pay r ON l.ref = r.ref "
    "QUALIFY rank() OVER (PARTITION BY l.id ORDER BY r.amount) = 1",
    "sums over a window": "SELECT l.id, r.pid FROM inv l JOIN pay r ON l.ref = r.ref "
    "QUALIFY sum(r.amount) OVER (PARTITION BY l.id) > 0.50",
    "the first rows": "WITH p AS (SELECT pid, ref FROM pay ORDER BY cents DESC, pid LIMIT 20) "
    "SELECT l.id, p.pid FROM inv l JOIN p ON p.ref = l.ref",
    "an order": _JOIN + "l.ref = r.ref ORDER BY l.name",
    "other outputs that are uncertain": "SELECT l.id, r.pid, l.amount / 3 AS third, l.tags "
    "FROM inv l JOIN pay r ON l.ref = r.ref",
}


@pytest.mark.parametrize("sql", CERTAIN.values(), ids=CERTAIN.keys())
def test_the_second_engine_agrees_on_every_kind_of_query(
    sql: str, tables: list[Staged], tmp_path: Path
) -> None:
    report = witnessed(sql, tables, tmp_path / "out")
    assert report.status == "agreed", report.reason
    assert report.engine.startswith("duckdb 2.")
    assert report.matched_count is not None
    assert len(report.matched_hash or "") == 32


UNCERTAIN = {
    "a quotient": (_ON_REF + "l.amount / 3 < 1", "A quotient may be rounded"),
    "float arithmetic": (_ON_REF + "l.rate * l.rate < 1", "binary fractions"),
    "tags": (_ON_REF + "l.tags = l.tags", "The column tags has a type"),
    "ties": (
        _JOIN + "l.ref = r.ref QUALIFY row_number() OVER (PARTITION BY l.id ORDER BY r.amount) = 1",
        "row_number depends on the order of rows that may tie",
    ),
    "limits": (_JOIN + "l.ref = r.ref ORDER BY l.id LIMIT 5", "LIMIT depends on the order of rows"),
    "a pattern": (_ON_REF + "r.ref ~ 'R\\d+'", "A regular expression may mean different things"),
    "a pattern from a column": (_ON_REF + "r.ref LIKE l.name", "LIKE has a pattern that is not written out"),
    "reversed": (_ON_REF + "reverse(r.ref) <> 'a'", "no certain translation of reverse"),
    "a text in another form": (_ON_REF + "CAST(concat('+', r.number) AS INT) >= 0", "may read differently"),
    "any value": (
        "SELECT l.id, any_value(r.pid) AS pid FROM inv l JOIN pay r ON l.ref = r.ref GROUP BY l.id",
        "any_value depends on the order",
    ),
}


@pytest.mark.parametrize(("sql", "reason"), UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_what_is_not_certain_says_why(sql: str, reason: str, tables: list[Staged], tmp_path: Path) -> None:
    report = witnessed(sql, tables, tmp_path / "out")
    assert report.status == "not_possible"
    assert reason.lower() in (report.reason or "").lower()
    assert report.matched_count is None


@pytest.mark.parametrize(
    "condition",
    [
        FilterCondition("amount", FilterOp.EQ, (Decimal("0.07"),)),
        FilterCondition("amount", FilterOp.NEQ, (Decimal("0.075"),)),
        FilterCondition("amount", FilterOp.GT, (Decimal("0.075"),)),
        FilterCondition("id", FilterOp.GTE, (7,)),
        FilterCondition("day", FilterOp.LT, ("2024-05-28",)),
        FilterCondition("at", FilterOp.LTE, ("2024-01-15T10:30:00",)),
        FilterCondition("zoned", FilterOp.BETWEEN, ("2024-01-05T00:00:00Z", "2024-01-20T00:00:00Z")),
        FilterCondition("ref", FilterOp.IN, ("R001", "R002", "R00'3")),
        FilterCondition("name", FilterOp.LIKE, ("Gr_\\ße%",)),
        FilterCondition("open", FilterOp.EQ, (True,)),
        FilterCondition("id", FilterOp.EQ, (Decimal("1.5"),)),
        FilterCondition("rate", FilterOp.GT, (Decimal("1.5"),)),
    ],
    ids=lambda condition: f"{condition.column}-{condition.op}",
)
def test_filters_are_applied_by_the_second_engine_itself(
    condition: FilterCondition, tables: list[Staged], tmp_path: Path
) -> None:
    left = replace(tables[0], table=replace(tables[0].table, filters=(condition,)))
    report = witnessed(_JOIN + "l.ref = r.ref", [left, tables[1]], tmp_path / "out")
    assert report.status == ("not_possible" if condition.column == "rate" else "agreed"), report.reason


@pytest.mark.parametrize("parquet", [False, True])
def test_empty_tables_have_a_witness(parquet: bool, tmp_path: Path) -> None:
    rows = pa.table({"id": pa.array([], pa.int64()), "k": pa.array([], pa.string())})
    tables = [stage(tmp_path, alias, rows, ("id",), parquet=parquet) for alias in ("a", "b")]
    report = witnessed("SELECT a.id, b.id AS other FROM a JOIN b ON a.k = b.k", tables, tmp_path / "out")
    assert (report.status, report.matched_count, report.unmatched_left_count) == ("agreed", 0, 0)


def test_columns_that_differ_only_in_case_have_a_witness(tmp_path: Path) -> None:
    left = stage(tmp_path, "a", pa.table({"Id": [1, 2], "id": ["x", "y"], 'q"q': [3, 4]}), ("Id",))
    right = stage(tmp_path, "b", pa.table({"id": [1, 2], "k": ["y", "x"]}), ("id",))
    sql = 'SELECT a."Id" AS one, b.id AS two FROM a JOIN b ON a."id" = b.k AND a."q""q" > 3'
    assert witnessed(sql, [left, right], tmp_path / "out").status == "agreed"


def test_numbers_with_more_digits_than_duckdb_has_are_taken_where_they_fit(tmp_path: Path) -> None:
    def answer(values: list[Decimal], folder: str) -> WitnessReport:
        rows = pa.table({"id": [1, 2], "x": pa.array(values, pa.decimal256(60, 2))})
        tables = [stage(tmp_path / folder, alias, rows, ("id",)) for alias in ("a", "b")]
        sql = "SELECT a.id, b.id AS other FROM a JOIN b ON a.x = b.x"
        return witnessed(sql, tables, tmp_path / folder / "out")

    assert answer([Decimal("1.00"), Decimal("2.00")], "narrow").status == "agreed"
    wide = answer([Decimal("1.00"), Decimal(10**50)], "wide")
    assert wide.status == "not_possible"
    assert wide.reason == "The column x of a holds a value too long for DuckDB's types."


@pytest.mark.parametrize("value", [float("nan"), -0.0])
def test_floats_that_the_engines_may_order_differently_make_it_uncertain(
    value: float, tmp_path: Path
) -> None:
    rows = pa.table({"id": [1, 2], "x": [value, 1.5]})
    tables = [stage(tmp_path, alias, rows, ("id",)) for alias in ("a", "b")]
    report = witnessed("SELECT a.id, b.id AS other FROM a JOIN b ON a.x = b.x", tables, tmp_path / "out")
    assert report.reason == "The column x of a holds NaN or a negative zero."


def test_letters_whose_case_differs_between_editions_of_unicode_make_it_uncertain(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 2], "x": ["İstanbul", "ἈΘΗΝΑΣ"]})
    tables = [stage(tmp_path, alias, rows, ("id",)) for alias in ("a", "b")]
    sql = "SELECT a.id, b.id AS other FROM a JOIN b ON {} = {}"
    plain = witnessed(sql.format("a.x", "b.x"), tables, tmp_path / "plain")
    folded = witnessed(sql.format("lower(a.x)", "lower(b.x)"), tables, tmp_path / "folded")
    assert plain.status == "agreed"
    assert (folded.reason or "").startswith("Lower looks at the column x of ")


def test_a_key_that_is_double_is_matched_by_the_first_of_an_order_only_if_that_is_certain(
    tmp_path: Path,
) -> None:
    left = stage(tmp_path, "a", pa.table({"id": [1, 2], "k": ["x", "y"]}), ("id",))
    right = stage(tmp_path, "b", pa.table({"id": [1, 1, 2], "k": ["x", "y", "x"]}), ("id",))
    sql = (
        "WITH f AS (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY id) AS n FROM b) "
        "SELECT a.id, f.id AS other FROM a JOIN f ON a.k = f.k AND f.n = 1"
    )
    report = witnessed(sql, [left, right], tmp_path / "out")
    assert report.reason == "Row_number depends on the order of rows, and primary keys of b come twice."
