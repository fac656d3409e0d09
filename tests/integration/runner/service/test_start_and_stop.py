"""What keeps a runner from starting is said in one sentence; stopping is quick and clean."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from kalla_cli.ports import free_port

from tests.integration.runner.service.harness import RunnerProcess, running, wait_for


def start_in_vain(runner: RunnerProcess, **settings: str) -> tuple[int, str]:
    """Exit code and the log's error line of a runner that cannot start."""
    with pytest.raises(AssertionError):
        runner.start(**settings)
    assert runner.process is not None
    code = runner.process.wait(20)
    (line,) = [line for line in runner.log.splitlines() if '"runner_failed"' in line]
    return code, json.loads(line)["error"]


def test_a_port_in_use_ends_the_start_with_a_reason(runner: RunnerProcess) -> None:
    with socket.create_server(("127.0.0.1", runner.grpc_port)):
        code, error = start_in_vain(runner)
    assert code == 1
    assert str(runner.grpc_port) in error


def test_a_second_runner_in_the_same_work_dir_is_refused(runner: RunnerProcess, tmp_path: Path) -> None:
    other = RunnerProcess(runner.database_url, tmp_path / "other")
    with running(runner):
        try:
            code, error = start_in_vain(other, work_dir=str(runner.work))
        finally:
            other.destroy()
    assert code == 1
    assert "work_dir" in error


def test_an_unreachable_database_ends_the_start_without_its_password(runner: RunnerProcess) -> None:
    secret = "s3cret-of-the-database"
    url = f"postgresql://kalla:{secret}@127.0.0.1:{free_port()}/postgres"
    code, error = start_in_vain(runner, database_url=url)
    assert code == 1
    assert "database" in error
    assert secret not in runner.log


def test_wrong_settings_are_named_and_nothing_starts() -> None:
    environment = {**os.environ, "KALLA_RUNNER_HTTP_PORT": "many", "KALLA_RUNNER_WEBHOOK_SECRET": "!"}
    environment.pop("KALLA_RUNNER_DATABASE_URL", None)
    ended = subprocess.run(
        [sys.executable, "-m", "kalla_runner"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    for name in ("HTTP_PORT", "WEBHOOK_SECRET", "DATABASE_URL"):
        assert f"KALLA_RUNNER_{name}:" in ended.stderr


def test_a_runner_stops_within_seconds_and_leaves_no_process(runner: RunnerProcess) -> None:
    with running(runner, executor_id="stopper"):
        wait_for(lambda: len(runner.children()) == 2, "two children")
        children = runner.children()
        assert runner.process is not None
        process = runner.process
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 10
        assert psutil.wait_procs(children, 5)[1] == []
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{runner.url}/health", timeout=2)
