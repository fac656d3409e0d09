"""Defects of other tools, each seen from outside: over REST, to the rows that come out."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.support import Kalla, recipe

SQL = "SELECT a.id, b.id FROM a JOIN b ON a.id = b.id"


def write(data: Path, left: str, right: str) -> tuple[Path, Path]:
    (data / "a.csv").write_text(left)
    (data / "b.csv").write_text(right)
    return data / "a.csv", data / "b.csv"


def test_trap_01_amounts_that_differ_by_exactly_the_tolerance_match(kalla: Kalla, data: Path) -> None:
    left, right = write(
        data,
        "id,amount\n1,100.00\n2,0.10\n3,90071992547409.91\n4,1.00\n",
        "id,amount\n1,100.01\n2,0.11\n3,90071992547409.92\n4,1.02\n",
    )
    match_sql = "SELECT a.id, b.id FROM a JOIN b ON a.id = b.id AND tolerance_match(a.amount, b.amount, 0.01)"
    run = kalla.complete(recipe(match_sql, ("a", left, ["id"]), ("b", right, ["id"])))
    assert [row[0] for row in sorted(kalla.rows(run["run_id"], "matched"))] == ["1", "2", "3"]
    assert kalla.rows(run["run_id"], "unmatched_left") == [("4", "1.00")]


def test_trap_02_leading_zeros_stay_and_a_late_text_makes_the_column_text(kalla: Kalla, data: Path) -> None:
    numbers = "".join(f"{number}\n" for number in range(6000))
    left, right = write(data, f"id\n00123\n{numbers}", f"id\n{numbers}x-1\n00123\n")
    run = kalla.complete(recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"])))
    assert run["matched_count"] == 6001
    assert kalla.rows(run["run_id"], "unmatched_right") == [("x-1",)]


def test_trap_05_all_columns_of_a_key_count_and_same_names_stay_apart(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id,part\n1,1\n1,2\n2,1\n", "id,part\n1,2\n1,3\n2,1\n")
    match_sql = "SELECT * FROM a JOIN b ON a.id = b.id AND a.part = b.part"
    run = kalla.complete(recipe(match_sql, ("a", left, ["id", "part"]), ("b", right, ["id", "part"])))
    assert kalla.columns(run["run_id"], "matched") == ["left_id", "left_part", "right_id", "right_part"]
    assert kalla.rows(run["run_id"], "unmatched_left") == [("1", "1")]
    assert kalla.rows(run["run_id"], "unmatched_right") == [("1", "3")]


def test_trap_06_keys_that_are_not_selected_are_added(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id,ref\n1,x\n2,y\n", "id,ref\n7,y\n8,z\n")
    match_sql = "SELECT a.ref FROM a JOIN b ON a.ref = b.ref"
    run = kalla.complete(recipe(match_sql, ("a", left, ["id"]), ("b", right, ["id"])))
    assert kalla.rows(run["run_id"], "matched") == [("y", "2", "7")]
    assert kalla.rows(run["run_id"], "unmatched_left") == [("1", "x")]


def test_trap_07_a_null_key_neither_matches_nor_hides_what_is_unmatched(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id,n\n1,a\n,b\n3,c\n", "id,n\n1,a\n,b\n4,d\n")
    run = kalla.complete(recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"])))
    assert kalla.rows(run["run_id"], "matched") == [("1", "1")]
    left_rows, right_rows = (kalla.rows(run["run_id"], f"unmatched_{side}") for side in ("left", "right"))
    assert sorted(left_rows, key=str) == sorted([(None, "b"), ("3", "c")], key=str)
    assert sorted(right_rows, key=str) == sorted([(None, "b"), ("4", "d")], key=str)
    assert run["diagnostics"]["left"]["null_key_rows"] == 1


def test_trap_11_an_unconstrained_numeric_keeps_every_digit(
    kalla: Kalla, data: Path, database_url: str
) -> None:
    digits = ("0.1", "12345678901234567890.123456789012345678", "-7", "0.000000000000000001")
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE t (id bigint PRIMARY KEY, amount numeric)")
        for number, amount in enumerate(digits):
            connection.execute("INSERT INTO t VALUES (%s, %s::numeric)", (number, amount))
    (data / "b.csv").write_text("id\n99\n")
    run = kalla.complete(recipe(SQL, ("a", f"{database_url}?table=t", ["id"]), ("b", data / "b.csv", ["id"])))
    found = {row[0]: row[1] for row in kalla.rows(run["run_id"], "unmatched_left")}
    assert found == {
        "0": "0.100000000000000000",
        "1": "12345678901234567890.123456789012345678",
        "2": "-7.000000000000000000",
        "3": "0.000000000000000001",
    }


def test_trap_12_reported_paths_hold_what_was_reported(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id\n1\n2\n", "id\n2\n3\n4\n")
    run = kalla.complete(recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"])))
    rows = {name: pq.read_metadata(run[f"output_{name}"]).num_rows for name in ("matched", "unmatched_right")}
    assert rows == {"matched": 1, "unmatched_right": 2}


def test_trap_13_a_run_that_ends_at_once_is_never_left_submitted(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id\n1\n", "id\n1\n")
    body = recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"]))
    run_ids = [kalla.post("/api/runs", {"recipe": body}).body["run_id"] for _ in range(10)]
    assert {kalla.wait(run_id)["status"] for run_id in run_ids} == {"completed"}


def test_trap_17_from_inside_an_expression_is_no_from_clause(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id,d\n1,2026-03-01\n2,2025-01-01\n", "id,y\n1,2026\n2,2026\n")
    match_sql = """
    WITH dated AS (SELECT id, EXTRACT(YEAR FROM d) AS y FROM a)
    SELECT dated.id AS a_id, b.id AS b_id FROM dated JOIN b ON dated.id = b.id AND dated.y = b.y
    """
    run = kalla.complete(recipe(match_sql, ("a", left, ["id"]), ("b", right, ["id"])))
    assert run["matched_count"] == 1
    assert [row[0] for row in kalla.rows(run["run_id"], "unmatched_left")] == ["2"]


def test_trap_18_no_answer_and_no_log_shows_a_password(kalla: Kalla, data: Path, database_url: str) -> None:
    password = database_url.split("@", maxsplit=1)[0].rpartition(":")[2]
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1::bigint AS id")
    (data / "b.csv").write_text("id\n1\n")
    uri = f"{database_url}?table=t"
    kalla.register("secret", uri)
    body = recipe(
        "SELECT s.id, b.id FROM secret s JOIN b ON s.id = b.id",
        ("secret", uri, ["id"]),
        ("b", data / "b.csv", ["id"]),
        recipe_id="secret",
    )
    assert kalla.post("/api/recipes", body).status == 200
    run_id = kalla.post("/api/runs", {"recipe_id": "secret"}).body["run_id"]
    assert kalla.wait(run_id)["matched_count"] == 1
    masked = next(source["uri"] for source in kalla.get("/api/sources").body if source["alias"] == "secret")
    assert ":***@" in masked
    # The masked form posted back keeps the secret.
    kalla.register("secret", masked)
    assert kalla.get("/api/sources/secret/preview").body["rows"] == [["1"]]
    seen = [
        kalla.get(path).body for path in ("/api/sources", "/api/recipes", "/api/recipes/secret", "/api/runs")
    ]
    seen += [kalla.get(f"/api/runs/{run_id}").body]
    logs = "".join(log.read_text() for log in (kalla.home / "logs").iterdir())
    manifest = "".join(path.read_text() for path in (kalla.home / "runs" / run_id).glob("*.json"))
    assert password not in str(seen) + logs + manifest


def test_trap_19_a_run_says_how_many_keys_would_match_trimmed_or_in_one_case(
    kalla: Kalla, data: Path
) -> None:
    left, right = write(data, "id\nA-1\nA-2\nA-3\n", 'id\n"A-1 "\na-2\nA-3\n')
    run = kalla.complete(recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"])))
    report = run["diagnostics"]["left"]
    assert (run["matched_count"], report["would_match_trimmed"], report["would_match_case_folded"]) == (
        1,
        1,
        1,
    )


def test_trap_20_duplicate_keys_give_one_answer_on_every_run(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id,n\n1,a\n1,b\n2,c\n", "id,n\n1,x\n1,y\n3,z\n")
    body = recipe(
        "SELECT a.id, a.n, b.id, b.n FROM a JOIN b ON a.id = b.id", ("a", left, ["id"]), ("b", right, ["id"])
    )
    runs = [kalla.complete(body) for _ in range(3)]
    rows = [[kalla.rows(run["run_id"], name) for name in ("matched", "unmatched_left")] for run in runs]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0][0]) == 4
    assert runs[0]["diagnostics"]["left"]["duplicate_keys"] == 1
    assert runs[0]["diagnostics"]["left"]["duplicate_key_examples"] == ["1"]


def test_trap_21_text_and_number_are_not_compared_silently(kalla: Kalla, data: Path) -> None:
    left, right = write(data, "id\n007\n7\n", "id\n7\n8\n")
    code, message = kalla.failure(recipe(SQL, ("a", left, ["id"]), ("b", right, ["id"])))
    assert code == "TYPE_MISMATCH"
    assert "CAST(" in message.upper()


def test_trap_24_all_rows_are_there_not_the_first_fifty(kalla: Kalla, data: Path) -> None:
    pq.write_table(pa.table({"id": list(range(5000))}), data / "a.parquet")
    pq.write_table(pa.table({"id": list(range(5000, 9000))}), data / "b.parquet")
    run = kalla.complete(recipe(SQL, ("a", data / "a.parquet", ["id"]), ("b", data / "b.parquet", ["id"])))
    found = pq.read_table(run["output_unmatched_left"]).column("id").to_pylist()
    assert sorted(found) == list(range(5000))
