"""A gateway and a runner as real processes on one database."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from kalla_cli.ports import free_port

SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Service:
    """A running process and the base URL of its HTTP."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait_until(self, path: str) -> None:
        """Wait until `path` answers 200."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(self.url + path, timeout=5.0).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.url}{path} is not ready:\n{self.log.read_text()[-4000:]}")


@dataclass(frozen=True)
class RunnerAddresses:
    """Where a runner listens, or would."""

    http: int
    grpc: int
    flight: int

    @staticmethod
    def free() -> RunnerAddresses:
        return RunnerAddresses(free_port(), free_port(), free_port())


@contextmanager
def runner_process(
    database_url: str, folder: Path, addresses: RunnerAddresses, **settings: str
) -> Generator[Service]:
    """A ready runner that may read and write below `folder`."""
    environment = {
        "KALLA_RUNNER_HTTP_PORT": str(addresses.http),
        "KALLA_RUNNER_GRPC_PORT": str(addresses.grpc),
        "KALLA_RUNNER_FLIGHT_PORT": str(addresses.flight),
        "KALLA_RUNNER_DATABASE_URL": database_url,
        "KALLA_RUNNER_WORK_DIR": str(folder / "work"),
        "KALLA_RUNNER_ALLOWED_ROOTS": json.dumps([str(folder)]),
        "KALLA_RUNNER_WEBHOOK_SECRET": SECRET,
        **settings,
    }
    url = f"http://127.0.0.1:{addresses.http}"
    with _process("kalla_runner", environment, url, folder / "runner.log") as service:
        service.wait_until("/ready")
        yield service


@contextmanager
def gateway_process(
    database_url: str, folder: Path, addresses: RunnerAddresses, **settings: str
) -> Generator[Service]:
    """A listening gateway; its runner may be absent."""
    port = free_port()
    environment = {
        "KALLA_GATEWAY_PORT": str(port),
        "KALLA_GATEWAY_GRPC_PORT": str(free_port()),
        "KALLA_GATEWAY_DATABASE_URL": database_url,
        "KALLA_GATEWAY_RUNNER_GRPC": f"127.0.0.1:{addresses.grpc}",
        "KALLA_GATEWAY_RUNNER_FLIGHT": f"127.0.0.1:{addresses.flight}",
        "KALLA_GATEWAY_OUTPUT_ROOT": str(folder / "runs"),
        "KALLA_GATEWAY_WEBHOOK_SECRET": SECRET,
        "KALLA_GATEWAY_HEARTBEAT_SECONDS": "0.5",
        "KALLA_GATEWAY_SILENCE_SECONDS": "1",
        "KALLA_GATEWAY_RECONCILE_SECONDS": "0.2",
        **settings,
    }
    log = folder / f"gateway-{port}.log"
    with _process("kalla_gateway", environment, f"http://127.0.0.1:{port}", log) as service:
        service.wait_until("/health")
        yield service


@contextmanager
def _process(module: str, environment: dict[str, str], url: str, log: Path) -> Generator[Service]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        yield Service(process, url, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Api:
    """REST of a gateway process."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    def get(self, path: str, status: int = 200, **headers: str) -> httpx.Response:
        answer = self.http.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def ended(self, run_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run once it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            run: dict[str, Any] = self.get(f"/api/runs/{run_id}").json()
            if run["status"] not in ("submitted", "running"):
                return run
            assert time.monotonic() < deadline, f"the run has not ended: {run}"
            time.sleep(0.02)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def events_of(url: str, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a run until its stream ends."""
    found: list[tuple[str, dict[str, Any]]] = []
    with httpx.stream("GET", f"{url}/api/runs/{run_id}/events", timeout=60.0, trust_env=False) as answer:
        assert answer.status_code == 200
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found
