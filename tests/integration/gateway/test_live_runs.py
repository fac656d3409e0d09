"""Runs over a real gateway and a real runner."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.gateway.conftest import Live
from tests.integration.gateway.processes import Api, events_of, gateway_process

SQL = "SELECT l.id AS left_id, r.id AS right_id FROM invoices l JOIN payments r ON l.ref = r.ref"
OUTPUTS = {"matched": "left_id", "unmatched_left": "id", "unmatched_right": "id"}


@pytest.fixture(scope="module")
def table(live: Live) -> str:
    """URI of an invoices table of 2500 rows: refs R0..R2499, every tenth amount NULL."""
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE invoices (id bigint PRIMARY KEY, ref text, amount numeric(12,2))",
        )
        connection.execute(
            "INSERT INTO invoices SELECT g, 'R' || g, CASE WHEN g % 10 <> 0 THEN g / 100.0 END"
            " FROM generate_series(0, 2499) g"
        )
    return f"{live.database_url}?table=invoices"


@pytest.fixture(scope="module")
def payments(live: Live) -> Path:
    """A CSV file of 2000 payments: refs R500..R2499, notes that need care."""
    path = live.folder / "payments.csv"
    notes = ["", '""', "=1+1", '"a,""b"""']
    lines = [f"{i},R{i},{i / 100:.2f},{notes[i % 4]}" for i in range(500, 2500)]
    path.write_text("id,ref,paid,note\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def recipe(live: Live, table: str, payments: Path) -> dict[str, Any]:
    """A saved recipe over both, whose sources are registered under their aliases."""
    sources = {"invoices": ("postgres", table), "payments": ("file", str(payments))}
    for alias, (source_type, uri) in sources.items():
        live.api.post("/api/sources", {"alias": alias, "uri": uri, "source_type": source_type})
    sides = [
        {"alias": alias, "type": source_type, "primary_key": ["id"]}
        for alias, (source_type, _) in sources.items()
    ]
    body = {"recipe_id": "live", "name": "Live", "match_sql": SQL}
    recipe: dict[str, Any] = body | {"sources": {"left": sides[0], "right": sides[1]}}
    live.api.post("/api/recipes", recipe)
    return recipe


@pytest.fixture(scope="module")
def run(live: Live, recipe: dict[str, Any]) -> dict[str, Any]:
    """A completed run of the recipe."""
    created = live.api.post("/api/runs", {"recipe_id": recipe["recipe_id"]})
    assert created["status"] == "submitted"
    run = live.api.ended(created["run_id"])
    assert run["status"] == "completed", run
    return run


def _status_of(live: Live, alias: str, wanted: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        (source,) = [s for s in live.api.get("/api/sources").json() if s["alias"] == alias]
        if source["status"] == wanted or time.monotonic() > deadline:
            return source["status"]
        time.sleep(0.05)


def test_a_run_ends_completed_with_exact_counts_and_diagnostics(run: dict[str, Any]) -> None:
    counts = [run[k] for k in ("matched_count", "unmatched_left_count", "unmatched_right_count")]
    assert counts == [2000, 500, 0]
    assert run["diagnostics"]["left"]["total_rows"] == 2500
    assert run["diagnostics"]["right"]["matched_rows"] == 2000
    assert run["diagnostics"]["match_path"] in ("one_pass", "general")
    assert all(Path(run[f"output_{name}"]).is_file() for name in OUTPUTS)


def test_preview_shows_exact_texts_types_and_totals(live: Live, recipe: dict[str, Any]) -> None:
    preview = live.api.get("/api/sources/invoices/preview?limit=2").json()
    assert preview == {
        "alias": "invoices",
        "columns": [
            {"name": "id", "data_type": "integer", "nullable": False},
            {"name": "ref", "data_type": "text", "nullable": True},
            {"name": "amount", "data_type": "decimal(12,2)", "nullable": True},
        ],
        "rows": [["0", "R0", None], ["1", "R1", "0.01"]],
        "total_rows": 2500,
        "preview_rows": 2,
    }


@pytest.mark.parametrize(
    ("query", "rows"), [("", 10), ("?limit=100", 100), ("?limit=5000", 100), ("?limit=1", 1)]
)
def test_a_preview_has_ten_rows_by_default_and_a_hundred_at_most(
    live: Live, recipe: dict[str, Any], query: str, rows: int
) -> None:
    preview = live.api.get(f"/api/sources/payments/preview{query}").json()
    assert (len(preview["rows"]), preview["preview_rows"], preview["total_rows"]) == (rows, rows, 2000)


@pytest.mark.parametrize(("body", "rows"), [({}, 200), ({"limit": 1000}, 1000), ({"limit": 9999}, 1000)])
def test_a_load_has_two_hundred_rows_by_default_and_a_thousand_at_most(
    live: Live, recipe: dict[str, Any], body: dict[str, Any], rows: int
) -> None:
    load = live.api.post("/api/sources/invoices/load-scoped", body)
    assert (len(load["rows"]), load["preview_rows"], load["total_rows"]) == (rows, rows, 2500)


@pytest.mark.parametrize("alias", ["invoices", "payments"])
def test_a_load_returns_only_what_fulfils_all_conditions(
    live: Live, recipe: dict[str, Any], alias: str
) -> None:
    column = "amount" if alias == "invoices" else "paid"
    conditions = [
        {"column": column, "op": "between", "value": [20.01, 20.05]},
        {"column": "ref", "op": "neq", "value": "R2003"},
    ]
    load = live.api.post(f"/api/sources/{alias}/load-scoped", {"conditions": conditions})
    assert [row[1] for row in load["rows"]] == ["R2001", "R2002", "R2004", "R2005"]
    assert (load["total_rows"], load["preview_rows"]) == (4, 4)


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "nope", "op": "eq", "value": 1},
        {"column": "amount", "op": "eq", "value": "many"},
        {"column": "ref", "op": "almost", "value": "R1"},
    ],
)
def test_a_condition_that_does_not_fit_the_source_is_a_400(
    live: Live, recipe: dict[str, Any], condition: dict[str, Any]
) -> None:
    error = live.api.post("/api/sources/invoices/load-scoped", {"conditions": [condition]}, status=400)
    assert error["code"] == "INVALID_FILTER"


def test_the_status_of_a_source_is_what_its_last_contact_showed(live: Live, recipe: dict[str, Any]) -> None:
    assert _status_of(live, "payments", "connected") == "connected"
    assert _status_of(live, "invoices", "connected") == "connected"
    missing = {"alias": "missing", "uri": str(live.folder / "nope.csv"), "source_type": "file"}
    live.api.post("/api/sources", missing)
    assert _status_of(live, "missing", "unreachable") == "unreachable"
    error = live.api.get("/api/sources/missing/preview", status=404).json()
    assert error["code"] == "DATA_NOT_FOUND"


def test_a_table_that_does_not_exist_is_a_404(live: Live) -> None:
    uri = f"{live.database_url}?table=nope"
    live.api.post("/api/sources", {"alias": "no-table", "uri": uri, "source_type": "postgres"})
    error = live.api.get("/api/sources/no-table/preview", status=404).json()
    assert error["code"] == "DATA_NOT_FOUND"


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_trap_24_pages_of_a_result_hold_every_row_once(live: Live, run: dict[str, Any], name: str) -> None:
    path = f"/api/runs/{run['run_id']}/results/{name}"
    whole = pq.read_table(run[f"output_{name}"])
    ids: list[str] = []
    while True:
        page = live.api.get(f"{path}?limit=700&offset={len(ids)}").json()
        assert (page["total_rows"], page["limit"], page["offset"]) == (whole.num_rows, 700, len(ids))
        names = [column["name"] for column in page["columns"]]
        assert names == whole.column_names
        ids += [row[names.index(OUTPUTS[name])] for row in page["rows"]]
        if len(ids) >= whole.num_rows:
            break
        assert page["rows"]
    assert ids == [str(v) for v in whole[OUTPUTS[name]].to_pylist()]


def test_pages_have_two_hundred_rows_by_default_and_a_thousand_at_most(
    live: Live, run: dict[str, Any]
) -> None:
    path = f"/api/runs/{run['run_id']}/results/matched"
    assert len(live.api.get(path).json()["rows"]) == 200
    page = live.api.get(f"{path}?limit=5000").json()
    assert (len(page["rows"]), page["limit"]) == (1000, 1000)
    assert live.api.get(f"{path}?offset=2000").json()["rows"] == []


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_trap_24_every_format_holds_the_same_rows_as_the_file(
    live: Live, run: dict[str, Any], name: str
) -> None:
    path, whole = f"/api/runs/{run['run_id']}/results/{name}", pq.read_table(run[f"output_{name}"])

    def fetched(media_type: str) -> bytes:
        answer = live.api.get(path, accept=media_type)
        assert answer.headers["content-type"].startswith(media_type)
        assert run["run_id"] in answer.headers["content-disposition"]
        return answer.content

    parquet = pq.read_table(io.BytesIO(fetched("application/vnd.apache.parquet")))
    arrow = pa.ipc.open_stream(fetched("application/vnd.apache.arrow.stream")).read_all()
    assert parquet.to_pydict() == arrow.to_pydict() == whole.to_pydict()
    assert parquet.schema.types == whole.schema.types
    lines = fetched("text/csv").decode().split("\r\n")
    assert (len(lines), lines[0], lines[-1]) == (whole.num_rows + 2, ",".join(whole.column_names), "")


def test_csv_results_keep_null_apart_from_empty_and_formulas_as_they_are(
    live: Live, recipe: dict[str, Any]
) -> None:
    body: dict[str, Any] = {
        "recipe": recipe | {"match_sql": SQL.replace("l.ref = r.ref", "l.ref = r.note")},
        "resolved_sources": [
            {
                "alias": "payments",
                "uri": str(live.folder / "payments.csv"),
                "filters": [{"column": "id", "op": "between", "value": [500, 503]}],
            }
        ],
    }
    run = live.api.ended(live.api.post("/api/runs", body)["run_id"])
    assert run["status"] == "completed", run
    csv = live.api.get(f"/api/runs/{run['run_id']}/results/unmatched_right", accept="text/csv").text
    assert csv.split("\r\n") == [
        "id,ref,paid,note",
        "500,R500,5.00,",
        '501,R501,5.01,""',
        "502,R502,5.02,=1+1",
        '503,R503,5.03,"a,""b"""',
        "",
    ]


def test_overrides_replace_uri_and_filter_rows(live: Live, recipe: dict[str, Any], table: str) -> None:
    filters = [{"column": "amount", "op": "lt", "value": 6.00}]
    overrides = [{"alias": "left_src", "uri": table, "filters": filters}]
    created = live.api.post("/api/runs", {"recipe_id": "live", "resolved_sources": overrides})
    run = live.api.ended(created["run_id"])
    # Of R0..R599, each tenth amount is NULL: 540 left rows, 90 of them with a partner.
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (
        90,
        450,
        1910,
    )


def test_events_end_with_the_completed_run(live: Live, recipe: dict[str, Any]) -> None:
    run_id = live.api.post("/api/runs", {"recipe_id": "live"})["run_id"]
    events = events_of(live.gateway.url, run_id)
    assert events[-1][0] == "state"
    assert (events[-1][1]["status"], events[-1][1]["matched_count"]) == ("completed", 2000)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT l.id FROM invoices l JOIN", "INVALID_SQL"),
        ("DROP TABLE invoices", "FORBIDDEN_SQL"),
        ("SELECT l.id, r.nope FROM invoices l JOIN payments r ON l.ref = r.ref", "INVALID_SQL"),
    ],
)
def test_wrong_sql_fails_the_run_with_its_code(
    live: Live, recipe: dict[str, Any], sql: str, code: str
) -> None:
    run = _ended_anyway(live, {"recipe": recipe | {"match_sql": sql}}, 400)
    assert (run["status"], run["error_code"]) == ("failed", code)
    assert run["error_message"].endswith(".")


def test_a_file_outside_the_allowed_roots_fails_the_run(live: Live, recipe: dict[str, Any]) -> None:
    overrides = [{"alias": "payments", "uri": "/etc/payments.csv"}]
    run = _ended_anyway(live, {"recipe_id": "live", "resolved_sources": overrides}, 403)
    assert (run["status"], run["error_code"]) == ("failed", "PATH_NOT_ALLOWED")


def _ended_anyway(live: Live, body: dict[str, Any], refused: int) -> dict[str, Any]:
    """The run, whether the runner refused its job at once or failed it later."""
    answer = live.api.http.post("/api/runs", json=body)
    assert answer.status_code in (200, refused), answer.text
    found = answer.json() if answer.status_code == 200 else answer.json()["details"]
    return live.api.ended(found["run_id"])


@pytest.fixture(scope="module")
def endless(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose query takes hours."""
    sql = (
        "SELECT l.id AS left_id, r.id AS right_id FROM invoices l JOIN payments r ON l.ref <> r.ref"
        " JOIN payments p ON p.ref <> r.ref WHERE l.ref || r.ref || p.ref LIKE '%x%y%'"
    )
    return recipe | {"match_sql": sql, "allow_quadratic": True}


def _active_jobs(live: Live) -> float:
    text = httpx.get(f"http://127.0.0.1:{live.addresses.http}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("kalla_runner_active_jobs ")]
    return float(line.rpartition(" ")[2])


def _wait_for_active(live: Live, wanted: float) -> None:
    deadline = time.monotonic() + 20
    while _active_jobs(live) != wanted:
        assert time.monotonic() < deadline, f"{_active_jobs(live)} jobs are active, not {wanted}"
        time.sleep(0.05)


def test_cancel_ends_a_run_and_stays(live: Live, endless: dict[str, Any]) -> None:
    run_id = live.api.post("/api/runs", {"recipe": endless})["run_id"]
    _wait_for_active(live, 1)
    assert live.api.post(f"/api/runs/{run_id}/cancel")["run_id"] == run_id
    run = live.api.ended(run_id, seconds=5)
    assert (run["status"], run["error_code"]) == ("cancelled", "CANCELLED")
    assert live.api.post(f"/api/runs/{run_id}/cancel") == {"run_id": run_id, "status": "cancelled"}
    error = live.api.get(f"/api/runs/{run_id}/results/matched", status=409).json()
    assert error["code"] == "RESULTS_NOT_READY"
    _wait_for_active(live, 0)


def test_a_job_whose_run_has_ended_here_is_cancelled(live: Live, endless: dict[str, Any]) -> None:
    run_id = live.api.post("/api/runs", {"recipe": endless})["run_id"]
    _wait_for_active(live, 1)
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute("UPDATE kalla.runs SET status = 'failed' WHERE run_id = %s", (run_id,))
    _wait_for_active(live, 0)
    assert live.api.get(f"/api/runs/{run_id}").json()["status"] == "failed"


def test_trap_13_lost_callbacks_strand_no_run(live: Live, recipe: dict[str, Any], tmp_path: Path) -> None:
    settings = {
        "KALLA_GATEWAY_CALLBACK_URL": "http://127.0.0.1:1/api/worker",
        "KALLA_GATEWAY_OUTPUT_ROOT": str(live.folder / "runs"),
    }
    with (
        gateway_process(live.database_url, tmp_path, live.addresses, **settings) as gateway,
        Api(gateway.url) as api,
    ):
        run = api.ended(api.post("/api/runs", {"recipe_id": recipe["recipe_id"]})["run_id"])
    assert (run["status"], run["matched_count"], run["diagnostics"]["left"]["total_rows"]) == (
        "completed",
        2000,
        2500,
    )


def test_trap_13_a_run_that_the_runner_never_got_fails_and_says_so(
    live: Live, recipe: dict[str, Any]
) -> None:
    run_id = "never-handed-over"
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO kalla.runs (run_id, recipe_id, recipe, filters, status, matched_count,"
            " unmatched_left_count, unmatched_right_count, created_at)"
            " VALUES (%s, 'live', '{}', '{}', 'submitted', 0, 0, 0, now() - interval '1 minute')",
            (run_id,),
        )
    run = live.api.ended(run_id, seconds=20)
    assert (run["status"], run["error_code"]) == ("failed", "RUNNER_UNAVAILABLE")


def test_ready_says_that_database_and_runner_answer(live: Live) -> None:
    assert live.api.get("/ready").json() == {"status": "ready"}


def test_trap_18_no_log_line_holds_a_password(live: Live, run: dict[str, Any]) -> None:
    password = live.database_url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password not in live.gateway.log.read_text()
    assert password not in live.api.get("/api/sources").text
