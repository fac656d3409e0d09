"""Server-sent events of a run, over real sockets and two gateway processes."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from kalla_common.webhooks import sign

from tests.integration.gateway.processes import SECRET, RunnerAddresses, Service, events_of, gateway_process

RUN = "11111111-2222-3333-4444-555555555555"
AWAY = RunnerAddresses(1, 1, 1)
QUIET = {"KALLA_GATEWAY_SILENCE_SECONDS": "600"}


@pytest.fixture(scope="module")
def gateways(
    migrated_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service]]:
    folder: Path = tmp_path_factory.mktemp("gateways")
    with (
        gateway_process(migrated_url, folder, AWAY, **QUIET) as one,
        gateway_process(migrated_url, folder, AWAY, **QUIET) as two,
    ):
        yield one, two


@pytest.fixture
def run_id(empty_url: str, gateways: tuple[Service, Service]) -> str:
    """A submitted run, stored as the gateway stores it."""
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO kalla.runs (run_id, recipe_id, recipe, filters, status, matched_count,"
            " unmatched_left_count, unmatched_right_count)"
            " VALUES (%s, 'r', '{}', '{}', 'submitted', 0, 0, 0)",
            (RUN,),
        )
    return RUN


def _report(service: Service, kind: str, **body: Any) -> None:
    content = json.dumps({"run_id": RUN, **body}).encode()
    headers = {"content-type": "application/json", **sign(SECRET, kind, content)}
    answer = httpx.post(f"{service.url}/api/worker/{kind}", content=content, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def test_events_follow_a_run_to_its_end_though_another_gateway_takes_the_callbacks(
    gateways: tuple[Service, Service], run_id: str
) -> None:
    watched, reported = gateways
    with ThreadPoolExecutor(1) as pool:
        events = pool.submit(events_of, watched.url, run_id)
        time.sleep(0.3)
        for step in (0.25, 0.75):
            _report(reported, "progress", stage="matching", progress=step)
            time.sleep(0.15)
        began = time.monotonic()
        paths = {"matched": "/m", "unmatched_left": "/l", "unmatched_right": "/r"}
        counts = {"matched_count": 3, "unmatched_left_count": 2, "unmatched_right_count": 1}
        _report(reported, "complete", output_paths=paths, **counts)
        found = events.result(timeout=10)
        # Less than a heartbeat: it was told, it did not look.
        assert time.monotonic() - began < 0.5
    assert [name for name, _ in found] == ["state", "state", "progress", "state"]
    assert [data["status"] for name, data in found if name == "state"] == [
        "submitted",
        "running",
        "completed",
    ]
    assert found[2][1]["progress"] == 0.75
    assert found[-1][1]["matched_count"] == 3


def test_events_of_an_ended_run_are_its_end_and_nothing_comes_after(
    gateways: tuple[Service, Service], run_id: str
) -> None:
    _report(gateways[0], "error", error="The disk is full.", code="STORAGE_FULL")
    (event,) = events_of(gateways[1].url, run_id)
    assert (event[0], event[1]["status"], event[1]["error_code"]) == ("state", "failed", "STORAGE_FULL")
    headers = {"last-event-id": "ended"}
    again = httpx.get(f"{gateways[1].url}/api/runs/{run_id}/events", headers=headers)
    assert (again.status_code, again.content) == (204, b"")


def test_a_quiet_stream_shows_that_it_lives(gateways: tuple[Service, Service], run_id: str) -> None:
    with httpx.stream("GET", f"{gateways[0].url}/api/runs/{run_id}/events", timeout=5.0) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": alive"


def test_events_go_on_after_the_listening_connection_was_lost(
    gateways: tuple[Service, Service], run_id: str, empty_url: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        events = pool.submit(events_of, gateways[0].url, run_id)
        time.sleep(0.3)
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        _report(gateways[0], "error", error="x")
        assert events.result(timeout=10)[-1][1]["status"] == "failed"


def test_sigterm_ends_streams_and_the_process_at_once(empty_url: str, run_id: str, tmp_path: Path) -> None:
    with gateway_process(empty_url, tmp_path, AWAY, **QUIET) as gateway:
        ended = threading.Event()

        def watch() -> None:
            events_of(gateway.url, run_id)
            ended.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        time.sleep(0.3)
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=10) == 0
        watcher.join(timeout=5)
        assert ended.is_set()
        assert time.monotonic() - began < 4
    assert "Traceback" not in gateway.log.read_text()
