"""What the end-to-end tests share: a real `kalla up`, and REST spoken to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil

READY_SECONDS = 60.0
RUN_SECONDS = 60.0
ENDED = ("completed", "failed", "cancelled")
OUTPUTS = ("matched", "unmatched_left", "unmatched_right")

KINDS = {"postgres": "postgres", "opensearch": "elasticsearch", "elasticsearch": "elasticsearch"}

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Answer:
    """Status and JSON of an answer."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["code"])

    @property
    def message(self) -> str:
        """The sentence of an error."""
        return str(self.body["error"])


class Kalla:
    """A running `kalla up` and a REST client of it.

    Attributes:
        home: its home.
        data: a folder below which it may read and write.
        process: `kalla up` itself.
        state: the content of kalla.json.
    """

    def __init__(self, home: Path, data: Path, process: subprocess.Popen[str], state: dict[str, Any]) -> None:
        self.home, self.data, self.process, self.state = home, data, process, state
        self.http = httpx.Client(base_url=state["gateway"], timeout=60, trust_env=False)
        self.runner_http = httpx.Client(base_url=state["runner"], timeout=60, trust_env=False)

    def close(self) -> None:
        self.http.close()
        self.runner_http.close()

    def get(self, path: str, **parameters: Any) -> Answer:
        response = self.http.get(path, params=parameters)
        return Answer(response.status_code, response.json())

    def post(self, path: str, body: Any = None) -> Answer:
        response = self.http.post(path, json=body)
        return Answer(response.status_code, response.json())

    def register(self, alias: str, uri: str | Path) -> None:
        kind = "postgres" if str(uri).startswith("postgres") else "file"
        answer = self.post("/api/sources", {"alias": alias, "uri": str(uri), "source_type": kind})
        assert answer.status == 200, answer.body

    def run(self, recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Start a run of an inline recipe and wait for its end; it must be accepted."""
        answer = self.post("/api/runs", {"recipe": recipe, **more})
        assert answer.status == 200, answer.body
        return self.wait(answer.body["run_id"])

    def complete(self, recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
        """As `run`, and it must be completed."""
        run = self.run(recipe, **more)
        assert run["status"] == "completed", run
        return run

    def wait(self, run_id: str) -> dict[str, Any]:
        end = time.monotonic() + RUN_SECONDS
        while True:
            run: dict[str, Any] = self.get(f"/api/runs/{run_id}").body
            if run["status"] in ENDED:
                return run
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        msg = f"the run {run_id} has not ended: {run}"
        raise AssertionError(msg)

    def failure(self, recipe: dict[str, Any], **more: Any) -> tuple[str, str]:
        """Code and message of a run that must fail, at once or later; nothing may be left of it."""
        answer = self.post("/api/runs", {"recipe": recipe, **more})
        if answer.status == 200:
            run = self.wait(answer.body["run_id"])
        else:
            assert "run_id" in answer.body["details"], answer.body
            run = self.get(f"/api/runs/{answer.body['details']['run_id']}").body
            assert run["error_code"] == answer.code
        assert run["status"] == "failed", run
        assert not (self.home / "runs" / run["run_id"]).exists(), "something half written is visible"
        assert [run[f"output_{name}"] for name in OUTPUTS] == [None, None, None]
        results = self.get(f"/api/runs/{run['run_id']}/results/matched")
        assert (results.status, results.code) == (409, "RESULTS_NOT_READY")
        return run["error_code"], run["error_message"]

    def rows(self, run_id: str, output: str) -> list[Row]:
        """All rows of an output, read page by page."""
        rows: list[Row] = []
        while True:
            page = self.get(f"/api/runs/{run_id}/results/{output}", limit=70, offset=len(rows)).body
            rows += [tuple(row) for row in page["rows"]]
            if len(rows) >= page["total_rows"]:
                assert len(rows) == page["total_rows"]
                return rows
            assert page["rows"], "an empty page before the end"

    def columns(self, run_id: str, output: str) -> list[str]:
        page = self.get(f"/api/runs/{run_id}/results/{output}", limit=1).body
        return [column["name"] for column in page["columns"]]


def recipe(
    match_sql: str,
    left: tuple[str, str | Path | None, Sequence[str]],
    right: tuple[str, str | Path | None, Sequence[str]],
    **more: Any,
) -> dict[str, Any]:
    """An inline recipe; each side is (alias, URI, primary key)."""

    def side(alias: str, uri: str | Path | None, key: Sequence[str]) -> dict[str, Any]:
        kind = next((kind for start, kind in KINDS.items() if str(uri).startswith(start)), "file")
        body: dict[str, Any] = {"alias": alias, "type": kind, "primary_key": list(key)}
        return body if uri is None else {**body, "uri": str(uri)}

    sources = {"left": side(*left), "right": side(*right)}
    return {"recipe_id": "inline", "name": "Inline", "match_sql": match_sql, "sources": sources, **more}


def up_command(home: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "kalla_cli", "up", "--home", str(home)]
    return [*command, "--port", "0", "--runner-port", "0", *options]


@contextmanager
def running_kalla(home: Path, data: Path, *options: str, **environment: str) -> Generator[Kalla]:
    """A `kalla up` on free ports that is ready; stopped by SIGTERM on leaving, and nothing may stay of it.

    `environment` is added to this process's own.
    """
    process = subprocess.Popen(
        up_command(home, "--allow-path", str(data), *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )
    pids: list[int] = []
    try:
        kalla = Kalla(home, data, process, wait_until_ready(home, process))
        try:
            yield kalla
        finally:
            kalla.close()
            pids = pids_of(kalla.state)
    finally:
        output = stop(process)
    left = [pid for pid in pids if alive(pid)]
    assert not left, f"processes {left} outlived kalla up:\n{output}"


def wait_until_ready(home: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            msg = f"kalla up ended with {process.returncode}:\n{output}"
            raise AssertionError(msg)
        state = read_state(home)
        # A Kalla that was killed leaves its file; the next one replaces it.
        if state is not None and state["ready"] and state["pid"] == process.pid:
            return state
        time.sleep(0.02)
    msg = "kalla up was not ready in time"
    raise AssertionError(msg)


def read_state(home: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((home / "kalla.json").read_text())
    except FileNotFoundError:
        return None
    return state


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """Stop `kalla up` and return what it printed."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        output, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return output


def pids_of(state: dict[str, Any]) -> list[int]:
    """The process ids of all services, and of what they started."""
    found: list[int] = []
    for pid, _ in state["processes"].values():
        found.append(pid)
        try:
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def text(value: object) -> str | None:
    """A value as REST shows it."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def is_root() -> bool:
    return os.geteuid() == 0
