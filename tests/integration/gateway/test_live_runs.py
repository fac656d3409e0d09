"""Runs over a real gateway and a real runner."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.gateway.conftest import Live
from tests.integration.gateway.processes import Api, events_of, gateway_process


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
