"""Runs while they go on: events, cancel, lists, results page by page, the runner's own HTTP API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.callbacks import callback_receiver
from tests.e2e.support import OUTPUTS, Kalla, pids_of, recipe

SQL = "SELECT a.id, b.id FROM a JOIN b ON a.id = b.id"
# Every row of one group of keys meets every row of the other's: long work on little data.
# All pairs have one key, and what is left to decide is no equality between the sides: minutes of work.
LONG_SQL = "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k AND (a.id * 7919 + b.id) % 1000003 = 1"


@pytest.fixture
def small(data: Path) -> tuple[Path, Path]:
    pq.write_table(pa.table({"id": list(range(500))}), data / "a.parquet")
    pq.write_table(pa.table({"id": list(range(250, 750))}), data / "b.parquet")
    return data / "a.parquet", data / "b.parquet"


@pytest.fixture
def long(data: Path) -> tuple[Path, Path]:
    rows = 60_000
    for name in ("a", "b"):
        pq.write_table(pa.table({"id": list(range(rows)), "k": [0] * rows}), data / f"{name}.parquet")
    return data / "a.parquet", data / "b.parquet"


def of(files: tuple[Path, Path], match_sql: str = SQL, **more: Any) -> dict[str, Any]:
    return recipe(match_sql, ("a", files[0], ["id"]), ("b", files[1], ["id"]), **more)


def events_of(kalla: Kalla, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All server-sent events of a run until the stream ends."""
    found: list[tuple[str, dict[str, Any]]] = []
    name = ""
    with kalla.http.stream("GET", f"/api/runs/{run_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_events_follow_a_run_to_its_end_and_the_stream_closes(kalla: Kalla, small: tuple[Path, Path]) -> None:
    run_id = kalla.post("/api/runs", {"recipe": of(small)}).body["run_id"]
    events = events_of(kalla, run_id)
    assert {name for name, _ in events} <= {"state", "progress"}
    name, last = events[-1]
    assert (name, last["status"], last["matched_count"]) == ("state", "completed", 250)
    fractions = [body["progress"] for name, body in events if name == "progress"]
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert events_of(kalla, run_id) == [("state", last)]


def test_trap_25_a_cancelled_run_ends_within_a_second_and_leaves_nothing(
    kalla: Kalla, long: tuple[Path, Path]
) -> None:
    run_id = kalla.post("/api/runs", {"recipe": of(long, LONG_SQL, allow_quadratic=True)}).body["run_id"]
    end = time.monotonic() + 30
    while (kalla.get(f"/api/runs/{run_id}").body["latest_progress"] or {}).get("stage") != "matching":
        assert time.monotonic() < end, "the run never came to matching"
        time.sleep(0.05)
    begin = time.monotonic()
    answer = kalla.post(f"/api/runs/{run_id}/cancel")
    assert (answer.status, answer.body) == (200, {"run_id": run_id, "status": "cancelled"})
    assert time.monotonic() - begin < 2
    run = kalla.get(f"/api/runs/{run_id}").body
    assert (run["status"], run["error_code"]) == ("cancelled", "CANCELLED")
    assert kalla.post(f"/api/runs/{run_id}/cancel").body["status"] == "cancelled"
    time.sleep(1)
    busy = [psutil.Process(pid).cpu_percent(0.3) for pid in pids_of(kalla.state) if psutil.pid_exists(pid)]
    assert max(busy) < 50, "trap 25: a cancelled run keeps its CPU"
    assert not (kalla.home / "runs" / run_id).exists()
    assert not [path for path in kalla.home.rglob(f"*{run_id}*") if path.is_dir()]


def test_a_tolerance_alone_is_matched_and_a_quadratic_query_refused(kalla: Kalla, data: Path) -> None:
    rows = 30_000
    for name, first in (("a", 0), ("b", rows - 100)):
        amounts = pa.array(range(first * 10, (first + rows) * 10, 10), pa.int64())
        table = pa.table({"id": list(range(rows)), "amount": amounts})
        pq.write_table(table, data / f"{name}.parquet")
    files = data / "a.parquet", data / "b.parquet"
    select = "SELECT a.id, b.id FROM a JOIN b ON "
    run = kalla.complete(of(files, select + "tolerance_match(a.amount, b.amount, 5)"))
    assert run["matched_count"] == 100
    assert kalla.failure(of(files, select + "a.amount > b.amount * b.id"))[0] == "QUADRATIC_PLAN"


def test_cancelling_a_completed_run_changes_nothing(kalla: Kalla, small: tuple[Path, Path]) -> None:
    run = kalla.complete(of(small))
    assert kalla.post(f"/api/runs/{run['run_id']}/cancel").body["status"] == "completed"
    assert kalla.get(f"/api/runs/{run['run_id']}").body == run


def test_lists_are_newest_first(kalla: Kalla, small: tuple[Path, Path]) -> None:
    names = [f"order-{uuid4()}" for _ in range(3)]
    runs: list[str] = []
    for name in names:
        kalla.register(name, small[0])
        assert kalla.post("/api/recipes", of(small, recipe_id=name)).status == 200
        runs.append(kalla.post("/api/runs", {"recipe_id": name}).body["run_id"])
    # An update is no creation.
    kalla.register(names[0], small[1])
    assert [source["alias"] for source in kalla.get("/api/sources").body][:3] == names[::-1]
    assert [saved["recipe_id"] for saved in kalla.get("/api/recipes").body][:3] == names[::-1]
    assert [run["run_id"] for run in kalla.get("/api/runs").body][:3] == runs[::-1]
    for run_id in runs:
        kalla.wait(run_id)


def test_previews_and_loads_keep_their_defaults_and_limits(kalla: Kalla, data: Path) -> None:
    pq.write_table(pa.table({"id": list(range(3000))}), data / "many.parquet")
    kalla.register("many", data / "many.parquet")
    assert kalla.get("/api/sources/many/preview").body["preview_rows"] == 10
    assert kalla.get("/api/sources/many/preview", limit=500).body["preview_rows"] == 100
    assert kalla.get("/api/sources/many/preview", limit=0).status == 400
    path = "/api/sources/many/load-scoped"
    assert kalla.post(path, {}).body["preview_rows"] == 200
    assert kalla.post(path, {"limit": 5000}).body["preview_rows"] == 1000
    condition = {"column": "id", "op": "between", "value": [10, 19]}
    loaded = kalla.post(path, {"conditions": [condition]}).body
    assert [row[0] for row in loaded["rows"]] == [str(number) for number in range(10, 20)]
    assert loaded["total_rows"] == 10


def test_filters_of_a_run_come_before_matching(kalla: Kalla, small: tuple[Path, Path]) -> None:
    filters = [{"column": "id", "op": "lt", "value": 300}]
    resolved = [{"alias": "a", "uri": str(small[0]), "filters": filters}]
    run = kalla.complete(of(small), resolved_sources=resolved)
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (50, 250, 450)


def test_both_sides_answer_to_left_src_and_right_src(kalla: Kalla, small: tuple[Path, Path]) -> None:
    match_sql = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id"
    assert kalla.complete(of(small, match_sql))["matched_count"] == 250


def test_results_are_paged_in_file_order(kalla: Kalla, small: tuple[Path, Path]) -> None:
    run = kalla.complete(of(small))
    path = f"/api/runs/{run['run_id']}/results/unmatched_left"
    whole = kalla.get(path, limit=1000).body["rows"]
    assert [kalla.get(path, limit=1, offset=number).body["rows"][0] for number in (0, 1, 249)] == [
        whole[0],
        whole[1],
        whole[249],
    ]
    beyond = kalla.get(path, limit=10, offset=250).body
    assert (beyond["rows"], beyond["total_rows"]) == ([], 250)
    answer = kalla.http.get(path, headers={"accept": "application/pdf"})
    assert answer.status_code == 406


def test_the_runner_takes_jobs_as_documented_and_the_same_job_once(
    kalla: Kalla, small: tuple[Path, Path], data: Path
) -> None:
    job: dict[str, Any] = {
        "run_id": str(uuid4()),
        "match_sql": "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id",
        "sources": [
            {"alias": "left_src", "uri": str(small[0])},
            {"alias": "right_src", "uri": str(small[1])},
        ],
        "output_path": str(data / "out"),
        "primary_keys": {"left_src": ["id"], "right_src": ["id"]},
    }
    with callback_receiver() as callbacks:
        job["callback_url"] = callbacks.url
        for _ in range(2):
            response = kalla.runner_http.post("/api/jobs", json=job)
            accepted = {"run_id": job["run_id"], "status": "accepted"}
            assert (response.status_code, response.json()) == (200, accepted)
        kind, body = callbacks.end_of(job["run_id"])
        assert kind == "complete"
        assert (body["matched_count"], body["unmatched_left_count"], body["unmatched_right_count"]) == (
            250,
            250,
            250,
        )
        for output in OUTPUTS:
            path = Path(body["output_paths"][output])
            assert path == data / "out" / f"{output}.parquet"
            assert pq.read_metadata(path).num_rows == 250
        other = kalla.runner_http.post(
            "/api/jobs", json={**job, "match_sql": job["match_sql"] + " WHERE l.id > 1"}
        )
        assert (other.status_code, other.json()["code"]) == (409, "ALREADY_EXISTS")


def test_metrics_of_both_services_can_be_scraped(kalla: Kalla, small: tuple[Path, Path]) -> None:
    kalla.complete(of(small))
    text = kalla.runner_http.get("/metrics").text
    for name in ("active_jobs", "queued_jobs", "jobs_completed", "jobs_failed"):
        assert f"\nkalla_runner_{name}" in text
    assert kalla.http.get("/metrics").status_code == 200


def test_the_api_describes_itself_with_examples(kalla: Kalla) -> None:
    document = kalla.get("/openapi.json").body
    for path in ("/api/sources", "/api/recipes", "/api/runs"):
        assert {"get", "post"} <= set(document["paths"][path])
    assert "example" in document["components"]["schemas"]["CreateRun"]
