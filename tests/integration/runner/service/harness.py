"""A real runner process, a real receiver of callbacks, and jobs for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from kalla_cli.ports import free_port

T = TypeVar("T")

MATCH_SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref"


@dataclass(frozen=True)
class Message:
    """One callback as it arrived."""

    kind: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)


class Receiver:
    """Takes callbacks over real HTTP; `status` says what it answers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 200
        self.location: str | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                receiver.messages.append(Message(self.path.rsplit("/", 1)[-1], headers, raw))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                if receiver.location is not None:
                    self.send_header("location", receiver.location)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/worker"

    def of(self, run_id: str, kind: str) -> list[Message]:
        return [m for m in list(self.messages) if m.kind == kind and m.body["run_id"] == run_id]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class RunnerProcess:
    """`python -m kalla_runner` with settings of its own; may be killed and started again."""

    database_url: str
    home: Path
    settings: dict[str, str] = field(default_factory=dict[str, str])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.http_port, self.grpc_port, self.flight_port = free_port(), free_port(), free_port()
        self.data = self.home / "data"
        self.work = self.home / "work"
        self.data.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self, **settings: str) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KALLA_")},
            "PYTHONWARNINGS": "error",
            "KALLA_RUNNER_DATABASE_URL": self.database_url,
            "KALLA_RUNNER_WORK_DIR": str(self.work),
            "KALLA_RUNNER_ALLOWED_ROOTS": json.dumps([str(self.data)]),
            "KALLA_RUNNER_HTTP_PORT": str(self.http_port),
            "KALLA_RUNNER_GRPC_PORT": str(self.grpc_port),
            "KALLA_RUNNER_FLIGHT_PORT": str(self.flight_port),
            **self.environment,
            **self.settings,
            **{f"KALLA_RUNNER_{name.upper()}": value for name, value in settings.items()},
        }
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kalla_runner"], env=environment, stdout=log, stderr=log
            )
        wait_for(self._ready, "the runner to be ready")

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def children(self) -> list[psutil.Process]:
        """The processes that match."""
        return self._processes("kalla_runner.children.child")

    def readers(self) -> list[psutil.Process]:
        """The processes that read sources for previews and checks."""
        return self._processes("kalla_runner.children.reader")

    def _processes(self, module: str) -> list[psutil.Process]:
        assert self.process is not None
        found: list[psutil.Process] = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if module in child.cmdline():
                    found.append(child)
        return found

    def kill(self) -> None:
        """SIGKILL, and nothing of it is left."""
        assert self.process is not None
        children = [*self.children(), *self.readers()]
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        gone, alive = psutil.wait_procs(children, 5)
        assert not alive, f"children outlived the runner: {alive} ({len(gone)} went)"
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0, self.log[-3000:]
            self.process = None

    def destroy(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def submit(self, job: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}/api/jobs", json=job, timeout=30)

    def figure(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-3000:]
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running(runner: RunnerProcess, **settings: str) -> Generator[RunnerProcess]:
    runner.start(**settings)
    try:
        yield runner
    finally:
        runner.destroy()


def wait_for(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    msg = f"waited {seconds} s in vain for {what}"
    raise AssertionError(msg)


def write_sources(folder: Path, rows: int = 1000) -> tuple[Path, Path]:
    """Left ids 0..rows-1; right ids the same; references agree but for every tenth row."""
    left = pa.table({"id": pa.array(range(rows)), "ref": pa.array([f"R{n}" for n in range(rows)])})
    right = pa.table(
        {
            "id": pa.array(range(rows)),
            "ref": pa.array([f"X{n}" if n % 10 == 0 else f"R{n}" for n in range(rows)]),
        }
    )
    paths = folder / "left.parquet", folder / "right.parquet"
    for table, path in zip((left, right), paths, strict=True):
        pq.write_table(table, path)
    return paths


SLOW_SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id + r.id = 10"
"""A join that no hash table helps: seconds of work for `SLOW_ROWS`, and 11 matched rows."""
SLOW_ROWS = 30_000


def slow_job(runner: RunnerProcess, **changes: Any) -> dict[str, Any]:
    """A job that matches for seconds."""
    folder = runner.data / "slow"
    folder.mkdir(exist_ok=True)
    files = write_sources(folder, SLOW_ROWS)
    return job(runner, files, match_sql=SLOW_SQL, allow_quadratic=True, **changes)


def visible(body: dict[str, Any]) -> bool:
    """Whether a reader sees outputs of the job."""
    return Path(body["output_path"]).exists()


def attempts(body: dict[str, Any]) -> list[Path]:
    """Unpublished outputs of a job."""
    output = Path(body["output_path"])
    return list(output.parent.glob(f".{output.name}.*"))


def job(runner: RunnerProcess, files: tuple[Path, Path], **changes: Any) -> dict[str, Any]:
    """The body of POST /api/jobs for `write_sources`."""
    run_id = str(uuid.uuid4())
    return {
        "run_id": run_id,
        "callback_url": "",
        "match_sql": MATCH_SQL,
        "sources": [
            {"alias": "invoices", "uri": str(files[0])},
            {"alias": "payments", "uri": str(files[1])},
        ],
        "output_path": str(runner.data / "runs" / run_id),
        "primary_keys": {"invoices": ["id"], "payments": ["id"]},
        **changes,
    }
