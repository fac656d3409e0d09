"""The whole way over REST, for each pair of kinds of sources: exact rows against an oracle."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.support import OUTPUTS, Kalla, Row, text
from tests.e2e.tables import Column, Table

TOLERANCE = Decimal("0.02")
KEY = ("region", "doc")
LEDGER = (
    Column("region", "text"),
    Column("doc", "bigint"),
    Column("amount", "numeric(12,2)"),
    Column("booked_on", "date"),
    Column("note", "text"),
)
BANK = (
    Column("region", "text"),
    Column("doc", "bigint"),
    Column("amount", "numeric(12,2)"),
    Column("text", "text"),
)
NOTES = ("plain", None, "", 'with "quotes"', "comma, and\nnewline", "  spaces  ", "Ünïcödé ✓", "=1+1", "007")
SQL = """
SELECT l.region, l.doc, r.region, r.doc, l.amount AS booked, r.amount AS paid, l.note
FROM ledger l JOIN bank r
  ON l.region = r.region AND l.doc = r.doc AND tolerance_match(l.amount, r.amount, 0.02)
"""


def make_ledger(dice: random.Random) -> Table:
    rows: list[tuple[Any, ...]] = []
    for number in range(300):
        # The same number in two regions: one column of the key alone would match wrongly.
        region = None if number % 60 == 59 else ("north", "south")[number % 2]
        doc = None if number % 70 == 69 else number // 2
        amount = None if number % 50 == 49 else Decimal(dice.randint(-100_000, 5_000_000)).scaleb(-2)
        day = date(2026, 1, 1) + timedelta(days=dice.randrange(60))
        rows.append((region, doc, amount, day, dice.choice(NOTES)))
    rows += dice.sample(rows, 5)
    dice.shuffle(rows)
    return Table(LEDGER, rows)


def make_bank(dice: random.Random, ledger: Table) -> Table:
    rows: list[tuple[Any, ...]] = []
    for region, doc, amount, _, _ in ledger.rows:
        if dice.random() < 0.1:
            continue
        shift = Decimal(dice.choice((0, 0, 0, 1, -2, 2, 3, -3, 500))).scaleb(-2)
        rows.append((region, doc, None if amount is None else amount + shift, dice.choice(NOTES)))
        if dice.random() < 0.05:
            rows.append((region, doc, amount, "again"))
    rows += [("west", number, Decimal("1.00"), None) for number in range(7)]
    dice.shuffle(rows)
    return Table(BANK, rows)


def oracle(left: Table, right: Table) -> dict[str, Counter[Row]]:
    """What must come out, by comparing every row with every row."""
    matched: Counter[Row] = Counter()
    in_result: tuple[set[int], set[int]] = (set(), set())
    for row, a in enumerate(left.dicts()):
        for other, b in enumerate(right.dicts()):
            compared = [a["region"], a["doc"], a["amount"], b["region"], b["doc"], b["amount"]]
            if None in compared or (a["region"], a["doc"]) != (b["region"], b["doc"]):
                continue
            if abs(a["amount"] - b["amount"]) <= TOLERANCE:
                values = (a["region"], a["doc"], b["region"], b["doc"], a["amount"], b["amount"], a["note"])
                matched[tuple(text(value) for value in values)] += 1
                in_result[0].add(row)
                in_result[1].add(other)
    return {
        "matched": matched,
        "unmatched_left": unmatched(left, in_result[0]),
        "unmatched_right": unmatched(right, in_result[1]),
    }


def unmatched(table: Table, matched: set[int]) -> Counter[Row]:
    """The rows that are in no matched row, even where another one has their key."""
    rows = (row for number, row in enumerate(table.rows) if number not in matched)
    return Counter(tuple(text(value) for value in row) for row in rows)


@pytest.mark.parametrize(
    ("left_kind", "right_kind"), [("postgres", "csv"), ("csv", "parquet"), ("parquet", "postgres")]
)
def test_two_sources_are_reconciled_exactly(
    kalla: Kalla, data: Path, database_url: str, left_kind: str, right_kind: str
) -> None:
    dice = random.Random(f"{left_kind} {right_kind}")  # noqa: S311 - test data
    ledger = make_ledger(dice)
    bank = make_bank(dice, ledger)
    expected = oracle(ledger, bank)
    kalla.register("ledger", ledger.store(left_kind, "ledger", data, database_url))
    kalla.register("bank", bank.store(right_kind, "bank", data, database_url))

    preview = kalla.get("/api/sources/ledger/preview", limit=4).body
    assert [column["name"] for column in preview["columns"]] == ledger.names
    assert (preview["total_rows"], preview["preview_rows"], len(preview["rows"])) == (len(ledger.rows), 4, 4)

    saved = {
        "recipe_id": f"{left_kind}-{right_kind}",
        "name": "Ledger and bank",
        "match_sql": SQL,
        "sources": {
            "left": {"alias": "ledger", "type": "file", "primary_key": list(KEY)},
            "right": {"alias": "bank", "type": "file", "primary_key": list(KEY)},
        },
    }
    saved["sources"]["left"]["type"] = "postgres" if left_kind == "postgres" else "file"  # type: ignore[index]
    assert kalla.post("/api/recipes", saved).body == {
        "success": True,
        "message": "Recipe saved",
        "warnings": [],
    }
    submitted = kalla.post("/api/runs", {"recipe_id": saved["recipe_id"]}).body
    assert submitted["status"] == "submitted"
    run = kalla.wait(submitted["run_id"])
    assert run["status"] == "completed", run

    names = ["left_region", "left_doc", "right_region", "right_doc", "booked", "paid", "note"]
    assert kalla.columns(run["run_id"], "matched") == names
    for output in OUTPUTS:
        rows = kalla.rows(run["run_id"], output)
        assert Counter(rows) == expected[output], output
        assert_every_form_is_the_same(kalla, run, output, rows)
    assert_the_report_is_right(run, ledger, bank, expected)


def assert_every_form_is_the_same(kalla: Kalla, run: dict[str, Any], output: str, rows: list[Row]) -> None:
    """JSON pages, CSV, Parquet, the Arrow stream and the file itself hold the same rows in the same order."""
    path = f"/api/runs/{run['run_id']}/results/{output}"

    def download(media_type: str) -> bytes:
        response = kalla.http.get(path, headers={"accept": media_type})
        assert response.status_code == 200, response.text
        return response.content

    parsed = list(csv.reader(io.StringIO(download("text/csv").decode(), newline="")))
    assert parsed[0] == kalla.columns(run["run_id"], output)
    assert [tuple(row) for row in parsed[1:]] == [tuple(cell or "" for cell in row) for row in rows]
    parquet = pq.read_table(io.BytesIO(download("application/vnd.apache.parquet")))
    assert texts(parquet) == rows
    with pa.ipc.open_stream(download("application/vnd.apache.arrow.stream")) as stream:
        assert texts(stream.read_all()) == rows
    assert texts(pq.read_table(run[f"output_{output}"])) == rows
    with duckdb.connect() as other:
        found = other.execute("SELECT * FROM read_parquet(?)", [run[f"output_{output}"]]).fetchall()
    assert [tuple(text(value) for value in row) for row in found] == rows


def texts(table: pa.Table) -> list[Row]:
    assert not [field for field in table.schema if pa.types.is_string_view(field.type)], "trap 26"
    columns = [[text(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True))


def assert_the_report_is_right(
    run: dict[str, Any], left: Table, right: Table, expected: dict[str, Counter[Row]]
) -> None:
    counts = {output: rows.total() for output, rows in expected.items()}
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (
        counts["matched"],
        counts["unmatched_left"],
        counts["unmatched_right"],
    )
    assert counts["matched"] > 100, "the data must show something"
    for side, table in (("left", left), ("right", right)):
        report = run["diagnostics"][side]
        missing = counts[f"unmatched_{side}"]
        keys = Counter((row[0], row[1]) for row in table.rows)
        whole = {key: number for key, number in keys.items() if None not in key}
        assert report["total_rows"] == len(table.rows)
        assert report["unmatched_rows"] == missing
        assert report["matched_rows"] == len(table.rows) - missing
        assert report["null_key_rows"] == sum(number for key, number in keys.items() if None in key)
        gone = Counter((row[0], row[1]) for row in expected[f"unmatched_{side}"].elements())
        kept = {(text(a), text(b)): count for (a, b), count in whole.items()}
        shared = sum(count for key, count in gone.items() if 0 < count < kept.get(key, 0))
        assert report["shared_key_rows"] == shared
        assert report["duplicate_keys"] == sum(1 for number in whole.values() if number > 1)
