"""Previews and checks of a real runner: what a source holds never harms the runner, nor other callers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from grpc import aio
from kalla.runner.v1 import runner_service_pb2, runner_service_pb2_grpc, ticket_pb2
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.convert import source_to_proto
from kalla_common.rpc.flight import kalla_errors
from kalla_common.runner.ports import SourceRows
from kalla_common.runner.rows import FlightRows
from kalla_common.settings import TlsSettings
from pyarrow import flight

from tests.integration.runner.service.bombs import packed, repeated_value
from tests.integration.runner.service.harness import (
    Receiver,
    RunnerProcess,
    job,
    slow_job,
    wait_for,
    write_sources,
)

READER_BYTES = 512 * 1024 * 1024
MOST_GROWTH = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def runner(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    process = RunnerProcess(postgres_url, tmp_path_factory.mktemp("runner"))
    try:
        process.start(
            max_active="1",
            readers="1",
            executor_id=f"reads-{uuid.uuid4()}",
            reader_memory_bytes=str(READER_BYTES),
            memory_limit_bytes=str(2 * READER_BYTES),
        )
        yield process
        process.stop()
    finally:
        process.destroy()


@pytest.fixture
def rows(runner: RunnerProcess) -> Iterator[FlightRows]:
    address = f"127.0.0.1:{runner.flight_port}"
    client = FlightRows(address, TlsSettings(), page_seconds=60, stream_seconds=60)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
async def stub(runner: RunnerProcess) -> AsyncIterator[runner_service_pb2_grpc.RunnerServiceAsyncStub]:
    channel = make_channel(f"127.0.0.1:{runner.grpc_port}")
    try:
        yield runner_service_pb2_grpc.RunnerServiceStub(channel)
    finally:
        await channel.close()


@contextmanager
def steady(runner: RunnerProcess) -> Generator[None]:
    """Meanwhile the runner's own memory does not grow, however much its readers take."""
    assert runner.process is not None
    process = psutil.Process(runner.process.pid)
    before = most = process.memory_info().rss
    stopping = threading.Event()

    def watch() -> None:
        nonlocal most
        while not stopping.wait(0.01):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        stopping.set()
        watching.join()
    assert most - before < MOST_GROWTH


Bomb = Callable[[Path], Path]

BOMBS: dict[str, tuple[Bomb, Code, str]] = {
    "a header of 6 GB": (
        lambda folder: packed(folder / "header.csv.gz", b"id,", b"a"),
        Code.INVALID_DATA,
        "does not end within 64 MB",
    ),
    "a quote that is never closed": (
        lambda folder: packed(folder / "quote.csv.gz", b'id,ref\n1,"', b"a"),
        Code.INVALID_DATA,
        "Line 2 of quote.csv.gz begins a row of more than 64 MB or opens a quote",
    ),
    "a line of 6 GB": (
        lambda folder: packed(folder / "line.csv.gz", b"id,ref\n1,", b"a", tail=b"\n2,b\n"),
        Code.INVALID_DATA,
        "Line 2 of line.csv.gz begins a row of more than 64 MB",
    ),
    "a row group of 100 GB": (
        lambda folder: repeated_value(folder / "group.parquet"),
        Code.MEMORY_LIMIT,
        "limit of 0.5 GiB",
    ),
    "values of 1 MB": (
        lambda folder: repeated_value(folder / "values.parquet", 1 << 20, 100_000),
        Code.MEMORY_LIMIT,
        "limit of 0.5 GiB",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_one_sentence_and_the_runner_stays_as_it_is(
    runner: RunnerProcess, rows: FlightRows, receiver: Receiver, name: str
) -> None:
    make, code, words = BOMBS[name]
    bomb = make(runner.data)
    with steady(runner):
        with pytest.raises(KallaError) as failed:
            await rows.page(SourceRows(SourceSpec("bomb", str(bomb)), 10))
        body = job(runner, (bomb, write_sources(runner.data)[0]), callback_url=receiver.url)
        runner.submit(body)
        (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "the run to fail")
    assert (failed.value.code, message.body["code"]) == (code, code.value)
    assert words in failed.value.message
    good = await rows.page(SourceRows(SourceSpec("good", str(write_sources(runner.data)[0])), 10))
    assert good.total_rows == 1000


async def test_previews_and_checks_do_not_wait_behind_runs(runner: RunnerProcess, rows: FlightRows) -> None:
    source = SourceRows(SourceSpec("good", str(write_sources(runner.data)[0])), 10)
    await rows.page(source)
    runner.submit(slow_job(runner))
    runner.submit(slow_job(runner))
    wait_for(lambda: runner.figure("kalla_runner_queued_jobs") == 1, "one job to wait for the other")
    assert (await rows.page(source)).total_rows == 1000
    assert runner.figure("kalla_runner_queued_jobs") == 1


def frozen(runner: RunnerProcess) -> int:
    """Stops the one reader, as a source does that never answers."""
    (reader,) = runner.readers()
    os.kill(reader.pid, signal.SIGSTOP)
    return reader.pid


async def test_a_caller_s_deadline_ends_the_reader_and_names_the_source(
    runner: RunnerProcess, stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
) -> None:
    source = SourceSpec("slow", str(write_sources(runner.data)[0]))
    request = runner_service_pb2.DescribeSourceRequest(source=source_to_proto(source))
    await stub.DescribeSource(request)
    pid = frozen(runner)
    with pytest.raises(KallaError, match="'slow' took longer than") as failed:
        await stub.DescribeSource(request, timeout=2)
    assert failed.value.code is Code.DEADLINE_EXCEEDED
    wait_for(lambda: not psutil.pid_exists(pid), "the reader to be gone")


async def test_a_caller_that_hangs_up_ends_its_reader(
    runner: RunnerProcess, stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
) -> None:
    source = SourceSpec("slow", str(write_sources(runner.data)[0]))
    request = runner_service_pb2.DescribeSourceRequest(source=source_to_proto(source))
    wait_for(runner.readers, "a reader")
    await stub.DescribeSource(request)
    pid = frozen(runner)
    async with aio.insecure_channel(f"127.0.0.1:{runner.grpc_port}") as channel:
        call = runner_service_pb2_grpc.RunnerServiceStub(channel).DescribeSource(request, timeout=60)
        await asyncio.sleep(0.5)
        began = time.monotonic()
        call.cancel()
        await call.code()
    await asyncio.to_thread(wait_for, lambda: not psutil.pid_exists(pid), "the reader to be gone", 10)
    assert time.monotonic() - began < 5


FORGED = {
    "no message": b"\xff\xfe\x00garbage",
    "nothing": b"",
    "another tool's": b"SELECT * FROM runs",
    "a huge one": ticket_pb2.FlightTicket(
        run_output_rows=ticket_pb2.RunOutputRows(run_id="x" * 2_000_000, output=1)  # pyright: ignore[reportArgumentType]
    ).SerializeToString(),
    "a path for a run": ticket_pb2.FlightTicket(
        run_output_rows=ticket_pb2.RunOutputRows(run_id="../../etc/passwd", output=1)  # pyright: ignore[reportArgumentType]
    ).SerializeToString(),
    "an unknown output": ticket_pb2.FlightTicket(
        run_output_rows=ticket_pb2.RunOutputRows(run_id=str(uuid.uuid4()), output=99)  # pyright: ignore[reportArgumentType]
    ).SerializeToString(),
    "a file that is not allowed": ticket_pb2.FlightTicket(
        source_rows=ticket_pb2.SourceRows(source=source_to_proto(SourceSpec("x", "/etc/passwd.csv")))
    ).SerializeToString(),
    "a way out of the folder": ticket_pb2.FlightTicket(
        source_rows=ticket_pb2.SourceRows(source=source_to_proto(SourceSpec("x", "a/../../../etc/shadow")))
    ).SerializeToString(),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_ticket_is_refused_without_a_trace(runner: RunnerProcess, name: str) -> None:
    before = len(runner.log)
    with flight.connect(f"grpc://127.0.0.1:{runner.flight_port}") as client:
        options = flight.FlightCallOptions(timeout=20)
        with pytest.raises(KallaError) as refused, kalla_errors():
            client.do_get(flight.Ticket(FORGED[name]), options).read_all()
    assert refused.value.code in (Code.INVALID_REQUEST, Code.RUN_NOT_FOUND, Code.PATH_NOT_ALLOWED)
    assert len(refused.value.message) < 1100
    assert "Traceback" not in runner.log[before:]


def test_no_secret_is_in_the_arguments_of_any_process(runner: RunnerProcess) -> None:
    assert runner.process is not None
    password = runner.database_url.split("@", maxsplit=1)[0].rpartition(":")[2]
    processes = [psutil.Process(runner.process.pid), *runner.children(), *runner.readers()]
    for process in processes:
        assert password not in " ".join(process.cmdline())
    for child in processes[1:]:
        assert password not in str(child.environ()), "a child needs no database of Kalla's"
