"""Bad input: a documented status or a failed run, one sentence, a code, and nothing half written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.callbacks import callback_receiver
from tests.e2e.support import Answer, Kalla, is_root, recipe

SQL = "SELECT a.id, b.id FROM a JOIN b ON a.id = b.id"
_NOBODY = "5f0c2b1e-7d3a-4c7e-9b1f-2a4d6e8f0a1c"


@pytest.fixture
def sides(data: Path) -> tuple[Path, Path]:
    """Two CSV files that reconcile well."""
    (data / "a.csv").write_text("id,amount,name\n1,1.00,x\n2,2.00,y\n")
    (data / "b.csv").write_text("id,amount,name\n2,2.00,y\n3,3.00,z\n")
    return data / "a.csv", data / "b.csv"


def of(sides: tuple[Path | str, Path | str], match_sql: str = SQL, **more: Any) -> dict[str, Any]:
    return recipe(match_sql, ("a", sides[0], ["id"]), ("b", sides[1], ["id"]), **more)


def preview(kalla: Kalla, uri: str | Path) -> Answer:
    alias = f"s-{uuid4()}"
    kalla.register(alias, uri)
    return kalla.get(f"/api/sources/{alias}/preview")


def is_one_sentence(message: str) -> bool:
    return "\n" not in message and message.endswith((".", "?")) and "Traceback" not in message


@pytest.mark.parametrize("path", ["/api/sources", "/api/recipes", "/api/runs"])
@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b'{"alias": }', b"\xff\xfe", b'{"a": NaN}'])
def test_wrong_json_is_400(kalla: Kalla, path: str, body: bytes) -> None:
    response = kalla.http.post(path, content=body, headers={"content-type": "application/json"})
    answer = response.json()
    assert (response.status_code, answer["code"]) == (400, "INVALID_REQUEST")
    assert is_one_sentence(answer["error"])


def test_a_callback_that_is_not_signed_is_401(kalla: Kalla) -> None:
    answer = kalla.post("/api/worker/error", {"run_id": str(uuid4()), "error": "made up"})
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


def test_wrong_json_is_400_at_the_runner_too(kalla: Kalla) -> None:
    for body in (b"{", b"[]", b"{}"):
        response = kalla.runner_http.post(
            "/api/jobs", content=body, headers={"content-type": "application/json"}
        )
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/sources/nobody/preview", "SOURCE_NOT_FOUND"),
        ("POST", "/api/sources/nobody/load-scoped", "SOURCE_NOT_FOUND"),
        ("GET", "/api/recipes/nobody", "RECIPE_NOT_FOUND"),
        ("GET", f"/api/runs/{_NOBODY}", "RUN_NOT_FOUND"),
        ("GET", "/api/runs/no-uuid", "RUN_NOT_FOUND"),
        ("POST", f"/api/runs/{_NOBODY}/cancel", "RUN_NOT_FOUND"),
        ("GET", f"/api/runs/{_NOBODY}/events", "RUN_NOT_FOUND"),
        ("GET", f"/api/runs/{_NOBODY}/results/matched", "RUN_NOT_FOUND"),
    ],
)
def test_what_is_unknown_is_404(kalla: Kalla, method: str, path: str, code: str) -> None:
    answer = kalla.get(path) if method == "GET" else kalla.post(path, {})
    assert (answer.status, answer.code) == (404, code)
    assert is_one_sentence(answer.message)


def test_a_run_of_an_unknown_recipe_is_404_and_of_none_400(kalla: Kalla) -> None:
    answer = kalla.post("/api/runs", {"recipe_id": "nobody"})
    assert (answer.status, answer.code) == (404, "RECIPE_NOT_FOUND")
    answer = kalla.post("/api/runs", {})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_an_alias_that_is_not_registered_is_400_and_named(kalla: Kalla) -> None:
    body = recipe(SQL, ("nobody-here", None, ["id"]), ("b", None, ["id"]))
    answer = kalla.post("/api/runs", {"recipe": body})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "nobody-here" in answer.message


def test_an_unreachable_database_is_502_and_fails_the_run_without_its_password(
    kalla: Kalla, sides: tuple[Path, Path]
) -> None:
    uri = "postgres://reader:hidden-word@127.0.0.1:1/sales?table=invoices"
    answer = preview(kalla, uri)
    assert (answer.status, answer.code) == (502, "SOURCE_UNREACHABLE")
    assert "127.0.0.1" in answer.message
    code, message = kalla.failure(of((uri, sides[1])))
    assert code == "SOURCE_UNREACHABLE"
    assert "hidden-word" not in answer.message + message + str(kalla.get("/api/sources").body)


def test_a_wrong_password_is_502_access_denied(kalla: Kalla, database_url: str) -> None:
    head, _, tail = database_url.rpartition("@")
    uri = head.rpartition(":")[0] + ":wrong-word@" + tail + "?table=t"
    answer = preview(kalla, uri)
    assert (answer.status, answer.code) == (502, "ACCESS_DENIED")
    assert "wrong-word" not in answer.message


def test_a_missing_table_is_404_and_named(kalla: Kalla, sides: tuple[Path, Path], database_url: str) -> None:
    uri = f"{database_url}?table=not_there"
    answer = preview(kalla, uri)
    assert (answer.status, answer.code) == (404, "DATA_NOT_FOUND")
    code, message = kalla.failure(of((uri, sides[1])))
    assert code == "DATA_NOT_FOUND"
    assert "not_there" in answer.message
    assert "not_there" in message


def test_a_postgres_uri_without_a_table_is_400(kalla: Kalla) -> None:
    body = {"alias": "no-table", "uri": "postgres://localhost/db", "source_type": "postgres"}
    answer = kalla.post("/api/sources", body)
    assert (answer.status, answer.code) == (400, "INVALID_URI")


def test_a_missing_file_is_404(kalla: Kalla, sides: tuple[Path, Path], data: Path) -> None:
    answer = preview(kalla, data / "not-there.csv")
    assert (answer.status, answer.code) == (404, "DATA_NOT_FOUND")
    assert kalla.failure(of((sides[0], data / "not-there.parquet")))[0] == "DATA_NOT_FOUND"


@pytest.mark.parametrize("way", ["plain", "dots", "link"])
def test_a_file_outside_the_allowed_roots_is_403_however_it_is_reached(
    kalla: Kalla, sides: tuple[Path, Path], data: Path, tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("id\n1\n")
    uri = outside
    if way == "dots":
        uri = data / ("../" * len(data.parts)) / str(outside).lstrip("/")
    elif way == "link":
        uri = data / "link.csv"
        uri.symlink_to(outside)
    answer = preview(kalla, uri)
    assert (answer.status, answer.code) == (403, "PATH_NOT_ALLOWED")
    assert kalla.failure(of((uri, sides[1])))[0] == "PATH_NOT_ALLOWED"


def test_a_file_that_is_no_parquet_is_422(kalla: Kalla, sides: tuple[Path, Path], data: Path) -> None:
    (data / "text.parquet").write_text("id\n1\n")
    whole = data / "whole.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), whole)
    (data / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    for name in ("text.parquet", "cut.parquet"):
        answer = preview(kalla, data / name)
        assert (answer.status, answer.code) == (422, "INVALID_DATA"), name
        assert kalla.failure(of((data / name, sides[1])))[0] == "INVALID_DATA"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"id,name\n1,a\n2\n3,c\n", "3"),
        (b"id,name\n1,a\n2,b,c\n", "3"),
        (b'id,name\n1,"two\nlines"\n2\n', "4"),
        (b"id,name\n1,a\n2,\xff\n", "3"),
    ],
)
def test_a_ragged_or_undecodable_csv_is_422_with_the_line(
    kalla: Kalla, sides: tuple[Path, Path], data: Path, content: bytes, line: str
) -> None:
    (data / "ragged.csv").write_bytes(content)
    answer = preview(kalla, data / "ragged.csv")
    assert (answer.status, answer.code) == (422, "INVALID_DATA")
    code, message = kalla.failure(of((data / "ragged.csv", sides[1])))
    assert code == "INVALID_DATA"
    assert f"Line {line} " in answer.message
    assert f"Line {line} " in message


@pytest.mark.parametrize(
    ("match_sql", "code"),
    [
        ("SELECT a.id FROM", "INVALID_SQL"),
        ("SELECT a.nothing, b.id FROM a JOIN b ON a.id = b.id", "INVALID_SQL"),
        ("SELECT a.id, c.id FROM a JOIN c ON a.id = c.id", "INVALID_SQL"),
        ("SELECT a.id, b.id FROM a JOIN b ON no_function(a.id) = b.id", "INVALID_SQL"),
        ("DROP TABLE a", "FORBIDDEN_SQL"),
        ("INSERT INTO a VALUES (1)", "FORBIDDEN_SQL"),
        ("COPY a TO '/tmp/stolen.csv'", "FORBIDDEN_SQL"),
        (f"{SQL}; {SQL}", "FORBIDDEN_SQL"),
        ("SET datafusion.execution.batch_size = 1", "FORBIDDEN_SQL"),
        ("SELECT * FROM '/etc/passwd'", "INVALID_SQL"),
        ("SELECT * FROM information_schema.tables", "FORBIDDEN_SQL"),
        ("SELECT a.id, b.id FROM a JOIN b ON a.id = b.id, generate_series(1, 1000000)", "FORBIDDEN_SQL"),
        ("SELECT a.id, b.id FROM a JOIN b ON a.id = b.name", "TYPE_MISMATCH"),
        ("SELECT DISTINCT a.name FROM a JOIN b ON a.id = b.id", "KEYS_NOT_SELECTED"),
    ],
)
def test_sql_that_cannot_or_may_not_run_is_refused(
    kalla: Kalla, sides: tuple[Path, Path], match_sql: str, code: str
) -> None:
    found, message = kalla.failure(of(sides, match_sql))
    assert found == code, message
    assert is_one_sentence(message), message


def test_a_primary_key_that_is_no_column_is_named(kalla: Kalla, sides: tuple[Path, Path]) -> None:
    body = recipe(SQL, ("a", sides[0], ["id"]), ("b", sides[1], ["payment_id"]))
    code, message = kalla.failure(body)
    assert code == "INVALID_PRIMARY_KEY"
    assert "payment_id" in message


def test_a_column_that_the_recipe_expects_and_the_file_lacks_is_named(
    kalla: Kalla, sides: tuple[Path, Path]
) -> None:
    body = of(sides)
    body["sources"]["right"]["schema"] = ["id", "iban"]
    code, message = kalla.failure(body)
    assert code == "SCHEMA_MISMATCH"
    assert "iban" in message


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "nothing", "op": "eq", "value": 1},
        {"column": "id", "op": "almost", "value": 1},
        {"column": "id", "op": "eq", "value": "x"},
        {"column": "amount", "op": "gt", "value": "much"},
        {"column": "id", "op": "between", "value": [1]},
        {"column": "id", "op": "in", "value": []},
        {"column": "id", "op": "eq"},
    ],
)
def test_a_filter_that_does_not_fit_is_400(
    kalla: Kalla, sides: tuple[Path, Path], condition: dict[str, Any]
) -> None:
    alias = f"s-{uuid4()}"
    kalla.register(alias, sides[0])
    answer = kalla.post(f"/api/sources/{alias}/load-scoped", {"conditions": [condition]})
    assert (answer.status, answer.code) == (400, "INVALID_FILTER")
    assert is_one_sentence(answer.message)


def submit(kalla: Kalla, sides: tuple[Path, Path], output_path: Path, callback_url: str) -> str:
    """A job for the runner itself, which lets its caller choose the output path."""
    run_id = str(uuid4())
    job = {
        "run_id": run_id,
        "callback_url": callback_url,
        "match_sql": SQL,
        "sources": [{"alias": "a", "uri": str(sides[0])}, {"alias": "b", "uri": str(sides[1])}],
        "output_path": str(output_path),
        "primary_keys": {"a": ["id"], "b": ["id"]},
    }
    response = kalla.runner_http.post("/api/jobs", json=job)
    assert (response.status_code, response.json()) == (200, {"run_id": run_id, "status": "accepted"})
    return run_id


def test_an_output_path_that_cannot_be_written_fails_the_job(
    kalla: Kalla, sides: tuple[Path, Path], data: Path
) -> None:
    (data / "file").write_text("in the way")
    with callback_receiver() as callbacks:
        run_id = submit(kalla, sides, data / "file" / "out", callbacks.url)
        kind, body = callbacks.end_of(run_id)
    assert (kind, body["code"]) == ("error", "OUTPUT_NOT_WRITABLE")
    assert is_one_sentence(body["error"])
    assert (data / "file").read_text() == "in the way"


def test_an_output_path_outside_the_allowed_roots_is_refused(
    kalla: Kalla, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    with callback_receiver() as callbacks:
        run_id = submit(kalla, sides, tmp_path / "out", callbacks.url)
        kind, body = callbacks.end_of(run_id)
    assert (kind, body["code"]) == ("error", "PATH_NOT_ALLOWED")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(data: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if not is_root():
        pytest.skip("only root can mount a small file system")
    folder = data / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"this root may not mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_fails_the_job_and_leaves_nothing_half_written(
    kalla: Kalla, data: Path, small_disk: Path
) -> None:
    for name in ("a", "b"):
        lines = (f"{number},{os.urandom(16).hex()}" for number in range(50_000))
        (data / f"{name}.csv").write_text("id,text\n" + "\n".join(lines) + "\n")
    with callback_receiver() as callbacks:
        run_id = submit(kalla, (data / "a.csv", data / "b.csv"), small_disk / "out", callbacks.url)
        kind, body = callbacks.end_of(run_id)
    assert (kind, body["code"]) == ("error", "STORAGE_FULL")
    assert is_one_sentence(body["error"])
    assert not list(small_disk.rglob("*.parquet"))
    assert not (small_disk / "out").exists()


def test_nan_in_postgres_is_an_error_that_names_the_row(
    kalla: Kalla, sides: tuple[Path, Path], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE t (id bigint PRIMARY KEY, amount numeric)")
        connection.execute("INSERT INTO t VALUES (1, 1.5), (4711, 'NaN')")
    code, message = kalla.failure(of((f"{database_url}?table=t", sides[1])))
    assert code == "INVALID_DATA"
    assert "4711" in message
