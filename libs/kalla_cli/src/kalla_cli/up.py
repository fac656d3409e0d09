"""`kalla up`: database, S3 store, runner, chat and gateway, each a process, watched until somebody says stop.

locked home -> S3 store, PostgreSQL -> runner, gateway, chat -> ready -> (one ended | a signal)
-> all stopped, in reverse
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
import psutil
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings

from kalla_cli.embedded_postgres import embedded_postgres
from kalla_cli.embedded_s3 import UPLOADS_BUCKET, EmbeddedS3, embedded_s3
from kalla_cli.home import Home, RunningState, locked_home, secret_file
from kalla_cli.own_database import checked_database
from kalla_cli.own_store import check_store
from kalla_cli.ports import LOOPBACK, choose_ports, on_free_ports, prefer_ports
from kalla_cli.processes import Child, ProcessEnded, start
from kalla_cli.services import (
    Addresses,
    chat_environment,
    gateway_environment,
    past_proxies,
    runner_environment,
)
from kalla_cli.serving import serves
from kalla_cli.stopping import StopRequest

GATEWAY_PORT: Final = 3001
RUNNER_PORT: Final = 50050
_PORTS: Final = 3
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says.

    Attributes:
        home: Kalla's home.
        port: REST port of the gateway (CatalogService and ChatService take the next two); 0 takes free
            ones, None GATEWAY_PORT and the next two, or others in the place of those that are in use.
        runner_port: HTTP port of the runner (gRPC and Flight are the next two); 0 and None as for `port`,
            from RUNNER_PORT on.
        database_url: a PostgreSQL of one's own; None starts the embedded one.
        store: an S3 store of one's own; None starts the embedded one.
        upload_bucket: its bucket for uploads, without which there are none; the embedded one has one.
        allow_paths: folders below which sources and outputs may lie; empty: the working directory.
            Kalla's home is always allowed.
        output_root: where outputs of runs go, a folder or s3://bucket/prefix; None: runs/ in the home.
    """

    home: Path
    port: int | None = None
    runner_port: int | None = None
    database_url: str | None = None
    store: S3Settings | None = None
    upload_bucket: str | None = None
    allow_paths: tuple[Path, ...] = ()
    output_root: str | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """A running Kalla.

    Attributes:
        home: its home.
        addresses: where it listens.
        children: its processes, in the order of their start.
        database_url: Kalla's own database, password included.
        store: the S3 store.
        upload_bucket: where uploads go; None: there are none.
    """

    home: Home
    addresses: Addresses
    children: tuple[Child, ...]
    database_url: str
    store: S3Settings
    upload_bucket: str | None
    stop_request: StopRequest

    def check(self) -> None:
        """Raise if a stop was asked for or a process has ended.

        Raises:
            Stopped: a signal came.
            ProcessEnded: names the process.
        """
        self.stop_request.check()
        for child in self.children:
            if not child.running:
                raise ProcessEnded(child)


@contextmanager
def running_stack(options: UpOptions, stop_request: StopRequest) -> Generator[Stack]:
    """A Kalla that is ready; everything is stopped on leaving.

    Raises:
        KallaError: it could not be started; ProcessEnded if a process did not stay.
    """
    with (
        locked_home(options.home) as home,
        on_free_ports(lambda: _started(options, home, stop_request)) as stack,
    ):
        yield stack


@contextmanager
def _started(options: UpOptions, home: Home, stop_request: StopRequest) -> Generator[Stack]:
    """Raises PortLostError if a process lost a port while it started: all of it is to be started again."""
    with ExitStack() as closing:
        gateway_ports, runner_ports = _ports(options)
        roots = _roots(options, home)
        # Looked at before anything starts: what is wrong with it is said at once.
        database_url = None if options.database_url is None else checked_database(options.database_url)
        children: list[Child] = []
        avoid = {*gateway_ports, *runner_ports}
        store, upload_bucket, embedded = _store(options, home, closing, avoid)
        if embedded is not None:
            children.append(embedded.child)
            avoid.update(embedded.ports)
        database = ""
        if database_url is None:
            log = home.logs / "postgres.log"
            server = closing.enter_context(embedded_postgres(home.path, log, stop_request.check, avoid=avoid))
            children.append(server.child)
            database_url, database = server.url(), f"{LOOPBACK}:{server.port}"
        s3 = store.endpoint if embedded is not None else ""
        addresses = Addresses(gateway_ports, runner_ports, database, s3)
        stack = Stack(home, addresses, tuple(children), database_url, store, upload_bucket, stop_request)
        for child in _start_services(stack, roots, options.output_root, closing):
            children.append(child)
            stack = replace(stack, children=tuple(children))
            home.write_state(_state(stack, ready=False))
        try:
            _wait_until_ready(stack)
            if embedded is not None:
                embedded.wait_until_ready(stack.check)
        except ProcessEnded as ended:
            raise ended.child.explained(ended) from ended
        home.write_state(_state(stack, ready=True))
        yield stack


def _ports(options: UpOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The gateway's ports and the runner's: those that were asked for first."""
    gateway = None if options.port is None else choose_ports(options.port, _PORTS, "--port")
    avoid = gateway or ()
    if options.runner_port is None:
        runner = prefer_ports(RUNNER_PORT, _PORTS, avoid)
    else:
        runner = choose_ports(options.runner_port, _PORTS, "--runner-port", avoid)
    if gateway is None:
        gateway = prefer_ports(GATEWAY_PORT, _PORTS, runner)
    if shared := set(gateway) & set(runner):
        raise KallaError(
            Code.INVALID_REQUEST,
            f"--port and --runner-port both need port {min(shared)}; move them apart.",
        )
    return gateway, runner


def _store(
    options: UpOptions, home: Home, closing: ExitStack, avoid: Collection[int]
) -> tuple[S3Settings, str | None, EmbeddedS3 | None]:
    """The store, its bucket of uploads, and the embedded one if it is that; it starts in the background."""
    if options.store is not None:
        check_store(options.store, options.upload_bucket)
        return options.store, options.upload_bucket, None
    embedded = closing.enter_context(embedded_s3(home.path, home.logs / "s3.log", avoid=avoid))
    return embedded.settings, UPLOADS_BUCKET, embedded


def run_up(
    options: UpOptions, stop_request: StopRequest, started: Callable[[Stack], None], tick: Callable[[], None]
) -> None:
    """Run Kalla until a signal comes or one of its processes ends.

    Args:
        options: what to run.
        stop_request: how signals are heard of.
        started: called once, when all is ready.
        tick: called a few times a second from then on.

    Raises:
        Stopped: a signal came, and everything is stopped.
        KallaError: as `running_stack`.
    """
    with running_stack(options, stop_request) as stack:
        started(stack)
        while True:
            stack.check()
            tick()
            time.sleep(0.1)


def _start_services(
    stack: Stack, roots: tuple[Path, ...], output_root: str | None, closing: ExitStack
) -> Generator[Child]:
    secret = "whsec_" + secret_file(stack.home.path / "webhook.secret")
    places = stack.addresses
    runner = runner_environment(stack.addresses, stack.home.path, stack.database_url, secret, roots)
    gateway = gateway_environment(
        stack.addresses, stack.home.path, stack.database_url, secret, stack.upload_bucket
    )
    if output_root is not None:
        gateway["KALLA_GATEWAY_OUTPUT_ROOT"] = output_root
    chat = chat_environment(stack.addresses, stack.database_url)
    for name, module, environment, ports in (
        ("runner", "kalla_runner", runner, places.runner_ports),
        ("gateway", "kalla_gateway", gateway, places.gateway_ports[:2]),
        ("chat", "kalla_chat", chat, places.gateway_ports[2:]),
    ):
        child = start(
            f"The {name}",
            # -P: a file in the working directory must not pass for a module of ours.
            [sys.executable, "-P", "-m", module],
            stack.home.logs / f"{name}.log",
            environment={**past_proxies(os.environ), **stack.store.environment(), **environment},
            ports=ports,
        )
        closing.callback(child.stop, _STOP_SECONDS)
        yield child


def _roots(options: UpOptions, home: Home) -> tuple[Path, ...]:
    roots: list[Path] = []
    for path in options.allow_paths or (Path.cwd(),):
        folder = path.expanduser().resolve()
        if not folder.is_dir():
            raise KallaError(Code.INVALID_REQUEST, f"--allow-path {path} is not a folder on this machine.")
        roots.append(folder)
    return (*roots, home.path)


def _wait_until_ready(stack: Stack) -> None:
    places = stack.addresses
    runner, gateway, chat = stack.children[-3:]
    # That a process listens itself is asked last, and of each: another program may answer on its port.
    waiting: dict[str, Callable[[httpx.Client], bool]] = {
        "The runner": lambda client: _says_ready(client, places.runner) and runner.listens,
        "The gateway": lambda client: _says_ready(client, places.gateway) and gateway.listens,
        "The chat service": lambda _: serves(places.chat_grpc) and chat.listens,
    }
    end = time.monotonic() + _READY_SECONDS
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        while waiting:
            stack.check()
            for name, says_ready in tuple(waiting.items()):
                if says_ready(client):
                    del waiting[name]
            if waiting and time.monotonic() > end:
                name = next(iter(waiting))
                raise KallaError(
                    Code.INTERNAL,
                    f"{name} was not ready within {_READY_SECONDS:.0f} s; the logs are in {stack.home.logs}.",
                )
            time.sleep(0.05)


def _says_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/ready").is_success
    except httpx.TransportError:
        return False


def _state(stack: Stack, *, ready: bool) -> RunningState:
    places = stack.addresses
    return RunningState(
        ready=ready,
        gateway=places.gateway,
        runner=places.runner,
        catalog_grpc=places.catalog_grpc,
        chat_grpc=places.chat_grpc,
        runner_grpc=places.runner_grpc,
        runner_flight=places.runner_flight,
        database=places.database,
        s3=places.s3,
        pid=os.getpid(),
        processes={child.name: _identity(child) for child in stack.children},
    )


def _identity(child: Child) -> tuple[int, float]:
    try:
        return child.process.pid, psutil.Process(child.process.pid).create_time()
    except psutil.NoSuchProcess:
        return child.process.pid, 0.0
