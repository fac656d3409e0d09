"""The runner's parts, wired together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import uvicorn
from kalla.runner.v1 import runner_service_pb2, runner_service_pb2_grpc
from kalla_common.patience import IDLE_SECONDS, PatientProtocol
from kalla_common.rpc.server import add_health_and_reflection, add_port, make_server
from kalla_common.s3 import S3Settings
from kalla_common.sites import Sites
from kalla_common.telemetry import log

from kalla_runner import workflows
from kalla_runner.board import Board
from kalla_runner.callbacks import Callbacks
from kalla_runner.children.pool import ChildPool, PoolLimits
from kalla_runner.children.protocol import Frame
from kalla_runner.children.readers import ReaderLimits, Readers
from kalla_runner.flight import RunnerFlight
from kalla_runner.http import Readiness, make_app
from kalla_runner.jobs import Jobs
from kalla_runner.metrics import Metrics
from kalla_runner.reads import Reads
from kalla_runner.servicer import RunnerServicer
from kalla_runner.settings import RunnerSettings
from kalla_runner.steps import Steps
from kalla_runner.store.folders import RunFolders
from kalla_runner.trials import Trials
from kalla_runner.workflows import Workflows

SERVICE: Final = runner_service_pb2.DESCRIPTOR.services_by_name["RunnerService"].full_name
READ_THREADS: Final = 32
"""Threads that wait for readers; there may be more callers than readers."""
GRACE_SECONDS: Final = 2
"""How long calls and publishing may go on when the runner stops."""


async def serve(settings: RunnerSettings, s3: S3Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set; one failing server ends all.

    Unfinished jobs are handed back: their children are killed, and the journal keeps them for
    the next start.

    Raises:
        OSError: a port is in use or the work directory cannot be used.
        ChildrenFailError: the processes that match cannot be started.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be used.
    """
    async with asyncio.TaskGroup() as servers, AsyncExitStack() as stack:
        runner = Runner(settings, s3)
        stack.callback(runner.folders.close)
        await stack.enter_async_context(_http(runner, servers))
        await stack.enter_async_context(_engine(runner))
        stack.callback(runner.readers.close)
        await stack.enter_async_context(_flight(runner))
        await stack.enter_async_context(_grpc(runner))
        runner.jobs.open()
        runner.readiness.ready = True
        # Last: what the children import would keep the servers from starting.
        runner.pool.start()
        runner.readers.start()
        watching = servers.create_task(runner.pool.watch())
        stack.callback(watching.cancel)
        log.info(
            "runner_ready",
            host=settings.host,
            http_port=settings.http_port,
            grpc_port=settings.grpc_port,
            flight=settings.advertised_flight,
        )
        await stopping.wait()
        log.info("runner_stopping")
        runner.readiness.ready = False
        runner.jobs.close()


class Runner:
    """The parts of one runner; making them starts nothing but takes the work directory."""

    def __init__(self, settings: RunnerSettings, s3: S3Settings) -> None:
        self.settings = settings
        self.readiness = Readiness()
        self.folders = RunFolders(settings.work_dir)
        self.board = Board(settings.max_active, settings.max_queued)
        self.metrics = Metrics(self.board.count)
        self.pool = ChildPool(_limits(settings))
        self.callbacks = Callbacks(
            settings.webhook_secret, settings.callback_timeout_seconds, settings.callback_give_up_seconds
        )
        workflows.configure(settings)
        steps = Steps(settings, self.pool, self.folders, self.board, self.metrics, s3=s3)
        self.workflows = Workflows(self.board, steps, self.callbacks, self.metrics)
        self.jobs = Jobs(self.board, self.workflows)
        self.readers = Readers(ReaderLimits(settings.readers, settings.threads, settings.reader_memory_bytes))
        frame = Frame(settings.allowed_roots, settings.threads, s3, settings.work_dir)
        self.reads = Reads(frame, self.readers)


def _limits(settings: RunnerSettings) -> PoolLimits:
    return PoolLimits(
        size=settings.max_active,
        threads=settings.threads,
        memory_bytes=settings.memory_per_child,
        idle_bytes=settings.idle_child_bytes,
        tasks=settings.jobs_per_child,
    )


def _sites(settings: RunnerSettings) -> Sites:
    return Sites.of(
        "KALLA_RUNNER",
        (settings.host, settings.advertised_host),
        settings.allowed_hosts,
        settings.allowed_origins,
    )


class _HttpServer(uvicorn.Server):
    """uvicorn, which leaves the signals to `main`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def _http(runner: Runner, servers: asyncio.TaskGroup) -> AsyncGenerator[None]:
    """HTTP comes first, so that /health answers while the rest starts."""
    # Bound here: uvicorn would end the process instead of saying what is wrong.
    listening = socket.create_server((runner.settings.host, runner.settings.http_port))
    config = uvicorn.Config(
        make_app(runner.jobs, runner.metrics, runner.readiness, _sites(runner.settings)),
        log_config=None,
        http=PatientProtocol,
        timeout_keep_alive=IDLE_SECONDS,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _HttpServer(config)
    serving = servers.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def _engine(runner: Runner) -> AsyncGenerator[None]:
    """The children and the journal; unfinished jobs of a former process go on."""
    try:
        workflows.launch(runner.settings)
        await _remove_leftovers(runner)
        yield
        await _finish_publishing(runner)
    finally:
        await runner.pool.close()
        await asyncio.to_thread(workflows.stop)
        await runner.callbacks.close()


@asynccontextmanager
async def _flight(runner: Runner) -> AsyncGenerator[None]:
    address = (runner.settings.host, runner.settings.flight_port)
    loop = asyncio.get_running_loop()
    settings = runner.settings
    server = RunnerFlight(
        address, runner.jobs, runner.reads, loop, settings.tls, read_seconds=settings.read_seconds
    )
    try:
        yield
    finally:
        server.refuse()
        # Blocks until its streams have ended, which a client may not want at all.
        shutting = asyncio.create_task(asyncio.to_thread(server.shutdown))
        await asyncio.wait({shutting}, timeout=GRACE_SECONDS)


@asynccontextmanager
async def _grpc(runner: Runner) -> AsyncGenerator[None]:
    settings = runner.settings
    server = make_server()
    threads = ThreadPoolExecutor(READ_THREADS, "read")
    trials = Trials(runner.jobs, settings.trials_dir)
    servicer = RunnerServicer(runner.jobs, runner.reads, threads, trials, read_seconds=settings.read_seconds)
    runner_service_pb2_grpc.add_RunnerServiceServicer_to_server(servicer, server)
    health = add_health_and_reflection(server, [SERVICE], with_reflection=settings.grpc_reflection)
    add_port(server, f"{settings.host}:{settings.grpc_port}", settings.tls)
    await server.start()
    try:
        await health.serving()
        yield
    finally:
        await health.not_serving()
        await server.stop(GRACE_SECONDS)
        threads.shutdown(wait=False, cancel_futures=True)


async def _remove_leftovers(runner: Runner) -> None:
    """Remove the folders of runs that nobody will go on with."""
    unfinished: list[str] = []
    for run_id in runner.folders.known_runs():
        known = await runner.workflows.find(run_id)
        if known is not None and known.outcome is None:
            unfinished.append(run_id)
    await asyncio.to_thread(runner.folders.keep_only, unfinished)


async def _finish_publishing(runner: Runner) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            while runner.board.publishing:  # noqa: ASYNC110 - happens once, at the end
                await asyncio.sleep(0.01)
