"""All processes of a Kalla, each restarted when it ends, as an init system or Kubernetes would."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from kalla_cli.embedded_postgres import EmbeddedPostgres, embedded_postgres
from kalla_cli.embedded_s3 import OUTPUTS_BUCKET, UPLOADS_BUCKET, EmbeddedS3, embedded_s3
from kalla_cli.home import secret_file
from kalla_cli.ports import choose_ports
from kalla_cli.processes import Child, start
from kalla_cli.services import (
    Addresses,
    chat_environment,
    gateway_environment,
    past_proxies,
    runner_environment,
)
from kalla_common.errors import KallaError
from kalla_common.s3 import S3Settings

SERVICES = ("runner", "gateway", "chat")
STOP_SECONDS = 20.0
MATCHER, READER = "kalla_runner.children.child", "kalla_runner.children.reader"


@dataclass
class Stack:
    """A Kalla in `home`. All methods are for the thread that made it: children end with their thread."""

    home: Path
    data: Path
    addresses: Addresses
    postgres: EmbeddedPostgres | None = None
    s3: EmbeddedS3 | None = None
    restarts: int = 0
    settings: S3Settings = field(default_factory=S3Settings)
    database_url: str = ""
    _services: dict[str, Child] = field(default_factory=dict[str, Child])
    _closing: dict[str, ExitStack] = field(default_factory=dict[str, ExitStack])

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def url(self) -> str:
        return self.addresses.gateway

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self._start_postgres()
        self._start_s3()
        for name in SERVICES:
            self._start_service(name)
        self.wait_until_ready()

    def supervise(self) -> None:
        """Start again what has ended."""
        if self.postgres is None or not self.postgres.child.running:
            self._start_postgres()
        if self.s3 is None or not self.s3.child.running:
            self._start_s3()
        for name, child in list(self._services.items()):
            if not child.running:
                child.stop(STOP_SECONDS)
                self._start_service(name)

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        """Supervise until gateway and runner say that they are ready."""
        end = time.monotonic() + seconds
        waiting = [self.addresses.runner, self.addresses.gateway]
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while waiting:
                self.supervise()
                with suppress(httpx.TransportError):
                    if client.get(f"{waiting[0]}/ready").is_success:
                        waiting.pop(0)
                        continue
                if time.monotonic() > end:
                    msg = f"{waiting[0]} was not ready in time; see {self.logs}"
                    raise AssertionError(msg)
                time.sleep(0.05)

    def ready(self) -> bool:
        """Whether gateway and runner take work now."""
        try:
            with httpx.Client(timeout=1.0, trust_env=False) as client:
                urls = (self.addresses.runner, self.addresses.gateway)
                return all(client.get(f"{url}/ready").is_success for url in urls)
        except httpx.TransportError:
            return False

    def process(self, name: str) -> psutil.Process | None:
        """The running process of a service, "postgres" or "s3"."""
        servers = {"postgres": self.postgres, "s3": self.s3}
        holder = servers.get(name)
        child = holder.child if holder is not None else self._services.get(name)
        return psutil.Process(child.process.pid) if child is not None and child.running else None

    def children(self, module: str) -> list[psutil.Process]:
        """The runner's child processes of one kind."""
        runner = self.process("runner")
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            for child in runner.children() if runner is not None else []:
                with suppress(psutil.NoSuchProcess):
                    if module in child.cmdline():
                        found.append(child)
        return found

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a service's main process; False if it does not run."""
        process = self.process(name)
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        return True

    def close(self) -> None:
        for name in reversed(SERVICES):
            if name in self._services:
                self._services[name].stop(STOP_SECONDS)
        for closing in self._closing.values():
            closing.close()

    def _start_postgres(self) -> None:
        self._restart("postgres", self._enter_postgres)

    def _enter_postgres(self, closing: ExitStack) -> None:
        self.postgres = closing.enter_context(embedded_postgres(self.home, self.logs / "postgres.log"))
        url = self.postgres.url()
        assert self.database_url in ("", url), "PostgreSQL came back at another address"
        self.database_url = url

    def _start_s3(self) -> None:
        self._restart("s3", self._enter_s3)

    def _enter_s3(self, closing: ExitStack) -> None:
        buckets = (UPLOADS_BUCKET, OUTPUTS_BUCKET)
        self.s3 = closing.enter_context(embedded_s3(self.home, self.logs / "s3.log", buckets))
        self.settings = self.s3.settings

    def _restart(self, name: str, enter: Callable[[ExitStack], None]) -> None:
        if name in self._closing:
            self._closing.pop(name).close()
            self.restarts += 1
        closing = ExitStack()
        for attempt in range(5):
            try:
                enter(closing)
            except KallaError:
                # What was killed a moment ago may still hold its port or its shared memory.
                if attempt == 4:
                    raise
                time.sleep(0.5)
            else:
                break
        self._closing[name] = closing

    def _start_service(self, name: str) -> None:
        secret = "whsec_" + secret_file(self.home / "webhook.secret")
        url = self.database_url
        environments = {
            "runner": lambda: runner_environment(
                self.addresses, self.home, url, secret, (self.data, self.home)
            ),
            "gateway": lambda: gateway_environment(self.addresses, self.home, url, secret, UPLOADS_BUCKET),
            "chat": lambda: chat_environment(self.addresses, url),
        }
        if name in self._services:
            self.restarts += 1
        self._services[name] = start(
            name,
            [sys.executable, "-P", "-m", f"kalla_{name}"],
            self.logs / f"{name}.log",
            environment={
                **past_proxies(os.environ),
                **self.settings.environment(),
                **environments[name](),
            },
        )


@contextmanager
def running_stack(home: Path, data: Path) -> Generator[Stack]:
    """A Kalla that is ready; everything ends on leaving."""
    for folder in (home, data, home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    ports = choose_ports(0, 6, "")
    stack = Stack(home, data, Addresses(ports[:3], ports[3:], "", ""))
    try:
        stack.start()
        yield stack
    finally:
        stack.close()


def pick(rng: random.Random, processes: list[psutil.Process]) -> psutil.Process | None:
    """One of them, None if there is none."""
    return rng.choice(processes) if processes else None
