"""Rows that have no key of their own, and files that are not quite what they seem, through REST."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.support import Kalla, recipe
from tests.e2e.test_uploads import presign, preview, uploaded

STATEMENT = "booked,amount,purpose\n2025-05-02,4.20,Tram\n2025-05-02,4.20,Tram\n2025-05-03,61.00,Fuel\n"
BOOKS = "voucher,booked,amount,purpose\nV1,2025-05-02,4.20,Tram\nV2,2025-05-03,61.00,Fuel\n"
KEY = ["booked", "amount", "purpose"]
ONE_BY_ONE = (
    "WITH v AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY booked, amount, purpose ORDER BY voucher) AS k "
    "FROM books), s AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY booked, amount, purpose ORDER BY booked) "
    "AS k FROM statement) SELECT v.voucher, s.amount FROM v JOIN s ON v.booked = s.booked "
    "AND v.amount = s.amount AND v.purpose = s.purpose AND v.k = s.k"
)


def counts(run: dict[str, Any]) -> tuple[int, int, int]:
    return run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]


def test_of_two_equal_payments_the_one_that_is_not_in_the_books_is_unmatched(
    kalla: Kalla, data: Path
) -> None:
    (data / "statement.csv").write_text(STATEMENT)
    (data / "books.csv").write_text(BOOKS)
    books = ("books", data / "books.csv", ["voucher"])
    run = kalla.complete(
        recipe(
            ONE_BY_ONE.replace("s.amount FROM", "s.booked, s.amount, s.purpose FROM"),
            books,
            ("statement", data / "statement.csv", KEY),
        )
    )
    assert counts(run) == (2, 0, 1)
    assert kalla.rows(run["run_id"], "unmatched_right") == [("2025-05-02", "4.20", "Tram")]
    report = run["diagnostics"]["right"]
    assert (report["shared_key_rows"], report["shared_key_examples"]) == (1, ["2025-05-02, 4.20, Tram"])
    assert (report["matched_rows"], report["unmatched_rows"], report["duplicate_keys"]) == (2, 1, 1)
    assert run["diagnostics"]["left"]["shared_key_rows"] == 0
    # The row's number tells them apart, and then no key is shared.
    run = kalla.complete(recipe(ONE_BY_ONE, books, ("statement", data / "statement.csv", ["@row"])))
    assert counts(run) == (2, 0, 1)
    assert kalla.columns(run["run_id"], "matched") == ["voucher", "amount", "row_number"]
    (left_over,) = kalla.rows(run["run_id"], "unmatched_right")
    assert left_over[-1] in ("1", "2")
    report = run["diagnostics"]["right"]
    assert (report["shared_key_rows"], report["duplicate_keys"]) == (0, 0)


def test_a_badly_chosen_key_hides_no_row(kalla: Kalla, data: Path) -> None:
    (data / "a.csv").write_text("id,ref\n1,X\n2,Y\n")
    (data / "b.csv").write_text("branch,ref,amount\nWest,X,5.00\nWest,Q,8888.00\nEast,Y,1.00\n")
    sides = ("a", data / "a.csv", ["id"]), ("b", data / "b.csv", ["branch"])
    for sql in (
        "SELECT a.id, b.branch FROM a JOIN b ON a.ref = b.ref",
        "SELECT DISTINCT a.id, b.branch FROM a JOIN b ON a.ref = b.ref",
        "SELECT a.id, array_agg(b.branch) AS branches FROM a JOIN b ON a.ref = b.ref GROUP BY a.id",
    ):
        run = kalla.complete(recipe(sql, *sides))
        assert counts(run) == (2, 0, 1), sql
        assert kalla.rows(run["run_id"], "unmatched_right") == [("West", "Q", "8888.00")]
        assert run["diagnostics"]["right"]["shared_key_rows"] == 1


@pytest.mark.parametrize("kind", ["csv", "parquet", "postgres"])
def test_every_kind_of_source_has_row_numbers(kalla: Kalla, data: Path, kind: str, database_url: str) -> None:
    rows = [("2025-05-02", "4.20"), ("2025-05-02", "4.20"), ("2025-05-03", "61.00")]
    uri: str | Path = data / f"s.{kind}"
    if kind == "csv":
        Path(uri).write_text("d,a\n" + "".join(f"{day},{amount}\n" for day, amount in rows))
    elif kind == "parquet":
        pq.write_table(pa.table({"d": [r[0] for r in rows], "a": [Decimal(r[1]) for r in rows]}), uri)
    else:
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE TABLE s (d text, a numeric(10,2))")
            connection.cursor().executemany("INSERT INTO s VALUES (%s, %s)", rows)
        uri = database_url.replace("postgresql://", "postgres://") + "?table=s"
    (data / "o.csv").write_text("a\n4.20\n7.00\n")
    sql = "SELECT s.a, o.row_number AS o_row FROM s JOIN o ON s.a = o.a"
    run = kalla.complete(recipe(sql, ("s", uri, ["@row"]), ("o", data / "o.csv", ["@row"])))
    assert counts(run) == (2, 1, 1)
    assert kalla.columns(run["run_id"], "matched") == ["a", "o_row", "row_number"]
    assert sorted(row[1:] for row in kalla.rows(run["run_id"], "matched")) == [("1", "1"), ("1", "2")]
    assert kalla.rows(run["run_id"], "unmatched_left")[0][-1] == "3"
    assert kalla.rows(run["run_id"], "unmatched_right") == [("7.00", "2")]


def test_a_runners_job_takes_row_numbers_and_a_mixed_key_is_refused(kalla: Kalla, data: Path) -> None:
    (data / "o.csv").write_text("a\n4.20\n7.00\n")
    mixed = recipe(
        "SELECT l.a FROM l JOIN r ON l.a = r.a",
        ("l", data / "o.csv", ["@row", "a"]),
        ("r", data / "o.csv", ["@row"]),
    )
    code, message = kalla.failure(mixed)
    assert code == "INVALID_PRIMARY_KEY"
    assert '["@row"]' in message
    job = {
        "run_id": "7a1d2f9e-60f3-4d0e-9a52-0f3f2f0a8c11",
        "callback_url": "http://127.0.0.1:9/",
        "match_sql": "SELECT l.a FROM l JOIN r ON l.a = r.a",
        "sources": [{"alias": alias, "uri": str(data / "o.csv")} for alias in ("l", "r")],
        "output_path": str(data / "out"),
        "primary_keys": {"l": ["@row"], "r": ["@row"]},
    }
    assert kalla.runner_http.post("/api/jobs", json=job).status_code in (200, 202)


HEADERLESS = "2025-05-02,V-1,4.20\n2025-05-03,V-2,61.00\n2025-05-09,V-3,7.00\n"


def test_a_file_without_column_names_loses_no_row(kalla: Kalla, data: Path) -> None:
    path = data / "bare.csv"
    path.write_text(HEADERLESS)
    (data / "books.csv").write_text("voucher\nV-1\nV-2\n")
    kalla.register("bare", path)
    shown = kalla.get("/api/sources/bare/preview")
    assert (shown.status, shown.code) == (422, "INVALID_DATA")
    assert "2025-05-02 | V-1 | 4.20" in shown.message
    sql = 'SELECT b.voucher, r."V-1" FROM books b JOIN bare r ON b.voucher = r."V-1"'
    sides = ("books", data / "books.csv", ["voucher"]), ("bare", path, ["V-1"])
    code, message = kalla.failure(recipe(sql, *sides))
    assert code == "INVALID_DATA"
    assert "header" in message
    # Whoever lists the names knows them for names.
    named = recipe(sql, *sides)
    named["sources"]["right"]["schema"] = ["2025-05-02", "V-1", "4.20"]
    assert counts(kalla.complete(named)) == (1, 1, 1)


def test_an_upload_is_called_by_the_name_of_its_file(kalla: Kalla) -> None:
    for content, code in ((HEADERLESS.encode(), "INVALID_DATA"), (b"a,b\n1,2\n3\n", "INVALID_DATA")):
        answer = preview(kalla, uploaded(kalla, content, "May 2025.csv"))
        assert answer.code == code
        assert "May_2025.csv" in answer.message
        assert "s3://" not in answer.message
    gone = presign(kalla, "May 2025.csv")
    side = ("u", gone["s3_uri"], ["id"])
    code, message = kalla.failure(recipe("SELECT u.id FROM u JOIN w ON u.id = w.id", side, ("w", *side[1:])))
    assert code == "DATA_NOT_FOUND"
    assert "May_2025.csv" in message
    assert gone["upload_id"] not in message


def test_a_folder_of_parquet_files_may_have_grown(kalla: Kalla, data: Path) -> None:
    folder = data / "days"
    folder.mkdir()
    money = pa.decimal128(8, 2)
    pq.write_table(pa.table({"k": ["a"], "v": pa.array([Decimal("1.50")], money)}), folder / "1.parquet")
    pq.write_table(pa.table({"v": [Decimal("2.5000")], "k": ["b"], "by": ["me"]}), folder / "2.parquet")
    nothing = pa.table({"k": ["c"], "by": pa.nulls(1), "v": pa.array([3], pa.int32())})
    pq.write_table(nothing, folder / "3.parquet")
    (data / "o.csv").write_text("k,v\na,1.5\nb,2.5\nc,3\nd,4\n")
    run = kalla.complete(
        recipe(
            "SELECT d.k, d.by FROM days d JOIN o ON d.k = o.k AND d.v = o.v",
            ("days", folder, ["k"]),
            ("o", data / "o.csv", ["k"]),
        )
    )
    assert counts(run) == (3, 0, 1)
    found = sorted(kalla.rows(run["run_id"], "matched"))
    assert [row[:2] for row in found] == [("a", None), ("b", "me"), ("c", None)]


def test_columns_that_no_rule_uses_are_carried_along(kalla: Kalla, data: Path) -> None:
    meta = pa.struct([("ref", pa.string()), ("n", pa.int64())])
    table = pa.table(
        {
            "id": [1, 2, 3],
            "meta": pa.array([{"ref": "R1", "n": 1}, None, {"ref": "R9", "n": 3}], meta),
            "took": pa.array([timedelta(seconds=90), None, timedelta(microseconds=-1)], pa.duration("us")),
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "qty": [5.0, 7.0, 2.5],
        }
    )
    pq.write_table(table, data / "l.parquet")
    (data / "r.csv").write_text("id,ref,qty\n1,R1,5\n2,,7\n3,R3,2\n")
    sides = ("l", data / "l.parquet", ["id"]), ("r", data / "r.csv", ["id"])
    run = kalla.complete(recipe("SELECT l.id, r.id, l.took FROM l JOIN r ON l.meta.ref = r.ref", *sides))
    assert counts(run) == (1, 2, 2)
    assert kalla.rows(run["run_id"], "matched") == [("1", "1", "PT90S")]
    written = pq.read_table(run["output_unmatched_left"])
    assert written.equals(table.slice(1).select(written.column_names).cast(written.schema))
    assert written.schema.field("took").type == pa.duration("us")
    run = kalla.complete(recipe("SELECT l.id, r.id FROM l JOIN r ON l.id = r.id AND l.qty = r.qty", *sides))
    assert counts(run) == (2, 1, 1)


def test_keys_that_differ_in_their_unicode_form_are_reported(kalla: Kalla, data: Path) -> None:
    (data / "l.csv").write_text("name\nJürgen\nZoë\nAnn\n")
    (data / "r.csv").write_text("name\nJu\u0308rgen\nZoe\u0308\nAnn\n")
    sides = ("l", data / "l.csv", ["name"]), ("r", data / "r.csv", ["name"])
    run = kalla.complete(recipe("SELECT l.name, r.name FROM l JOIN r ON l.name = r.name", *sides))
    assert counts(run) == (1, 2, 2)
    assert [run["diagnostics"][side]["would_match_normalized"] for side in ("left", "right")] == [2, 2]
    assert run["diagnostics"]["left"]["would_match_case_folded"] == 0


def test_excels_sep_line_is_no_header(kalla: Kalla, data: Path) -> None:
    (data / "l.csv").write_text("sep=;\nref;paid\nA;1\nB;2\n")
    (data / "r.csv").write_text("ref\nA\nC\n")
    sides = ("l", data / "l.csv", ["ref"]), ("r", data / "r.csv", ["ref"])
    assert counts(kalla.complete(recipe("SELECT l.ref FROM l JOIN r ON l.ref = r.ref", *sides))) == (1, 1, 1)
