"""Reader processes: answers, rows, bounds of memory and time, callers that go away, deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_runner.children import readers as readers_module
from kalla_runner.children.protocol import Describe, Frame, SourceRows
from kalla_runner.children.reader_process import Watch
from kalla_runner.children.readers import ATTEMPTS, ReaderLimits, Readers

T = TypeVar("T")

LIMITS = ReaderLimits(size=1, threads=1, memory_bytes=1 << 30, wait_seconds=20.0)


async def warm(limits: ReaderLimits = LIMITS) -> Readers:
    readers = Readers(limits)
    readers.start()
    async with asyncio.timeout(60):
        while not readers.pids:  # noqa: ASYNC110 - it happens in threads
            await asyncio.sleep(0.02)
    return readers


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    readers = await warm()
    try:
        yield readers
    finally:
        readers.close()


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    return Frame((tmp_path,), 1, S3Settings(), tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> SourceSpec:
    path = tmp_path / "rows.csv"
    path.write_text("id,ref\n1,a\n2,b\n")
    return SourceSpec("rows", str(path))


def describe(readers: Readers, frame: Frame, source: SourceSpec, watch: Watch | None = None) -> Any:
    task = Describe(frame, source, count=True)
    what = f"Reading the source {source.alias!r}"
    return readers.ask(task, what=what, watch=watch or Watch(), key=source.uri)


def rows(readers: Readers, frame: Frame, source: SourceSpec, limit: int | None = None) -> Any:
    task = SourceRows(frame, source, limit, 0)
    return readers.rows(task, what="Reading it", watch=Watch(), key=source.uri)


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """The event loop stays free: readers are started in it."""
    return await asyncio.to_thread(call, *arguments)


async def test_a_reader_answers_and_is_asked_again(
    readers: Readers, frame: Frame, source: SourceSpec
) -> None:
    before = readers.pids
    for _ in range(2):
        columns, count = await in_thread(describe, readers, frame, source)
        assert ([column.name for column in columns], count) == (["id", "ref"], 2)
    assert readers.pids == before


async def test_rows_arrive_in_pieces_with_their_types(readers: Readers, frame: Frame, tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    table = pa.table({"id": pa.array(range(3000)), "text": pa.array(["x" * 10_000] * 3000)})
    pq.write_table(table, path)
    opened, batches = await in_thread(rows, readers, frame, SourceSpec("wide", str(path)))
    pieces = await in_thread(list, batches)
    assert opened.total_rows == 3000
    assert len(pieces) > 4
    assert max(piece.nbytes for piece in pieces) < 8 * 2**20
    assert pa.Table.from_batches(pieces, opened.schema).equals(table)
    assert len(readers.pids) == 1


async def test_an_error_is_an_answer_and_the_reader_stays(
    readers: Readers, frame: Frame, tmp_path: Path
) -> None:
    before = readers.pids
    with pytest.raises(KallaError) as failed:
        await in_thread(describe, readers, frame, SourceSpec("none", str(tmp_path / "none.csv")))
    assert failed.value.code is Code.DATA_NOT_FOUND
    assert readers.pids == before


async def test_a_reader_above_its_memory_is_ended_and_the_source_named(frame: Frame, tmp_path: Path) -> None:
    path = tmp_path / "huge.parquet"
    texts = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), 200_000), pa.array(["x" * 50_000])
    )
    pq.write_table(pa.table({"text": texts}), path, row_group_size=200_000, store_schema=False)
    readers = await warm(replace(LIMITS, memory_bytes=1 << 28))
    try:
        with pytest.raises(KallaError, match="'huge' needs more memory than its limit") as failed:
            await in_thread(list, (await in_thread(rows_of, readers, frame, SourceSpec("huge", str(path)))))
        assert failed.value.code is Code.MEMORY_LIMIT
    finally:
        readers.close()


def rows_of(readers: Readers, frame: Frame, source: SourceSpec) -> Any:
    task = SourceRows(frame, source, None, 0)
    return readers.rows(task, what=f"Reading the source {source.alias!r}", watch=Watch(), key=source.uri)[1]


async def test_a_source_that_keeps_its_reader_waiting_too_long_is_named(
    readers: Readers, frame: Frame, source: SourceSpec
) -> None:
    (pid,) = readers.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(KallaError, match="'rows' took longer than 1 seconds") as failed:
        await in_thread(describe, readers, frame, source, Watch(seconds=0.6))
    assert failed.value.code is Code.DEADLINE_EXCEEDED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (await in_thread(describe, readers, frame, source))[1] == 2, "another reader took its place"


async def test_a_caller_that_goes_away_ends_its_reader_at_once(
    readers: Readers, frame: Frame, source: SourceSpec
) -> None:
    (pid,) = readers.pids
    os.kill(pid, signal.SIGSTOP)
    gone = threading.Event()
    asked = asyncio.create_task(in_thread(describe, readers, frame, source, Watch(gone.is_set)))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    gone.set()
    with pytest.raises(KallaError) as failed:
        await asked
    assert failed.value.code is Code.CANCELLED
    assert time.monotonic() - began < 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_rows_that_are_given_up_free_their_reader(
    readers: Readers, frame: Frame, tmp_path: Path, source: SourceSpec
) -> None:
    path = tmp_path / "many.csv"
    path.write_text("id\n" + "".join(f"{number}\n" for number in range(200_000)))
    _, batches = await in_thread(rows, readers, frame, SourceSpec("many", str(path)))
    await in_thread(next, batches)
    await in_thread(batches.close)
    assert (await in_thread(describe, readers, frame, source))[1] == 2


async def test_a_client_that_takes_no_rows_loses_its_reader(
    readers: Readers, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers_module, "STALL_SECONDS", 0.3)
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"text": ["x" * 10_000] * 3000}), path)
    _, batches = await in_thread(rows, readers, frame, SourceSpec("many", str(path)))
    await in_thread(next, batches)
    await asyncio.sleep(1.0)
    with pytest.raises(KallaError, match="not taken") as failed:
        await in_thread(list, batches)
    assert failed.value.code is Code.DEADLINE_EXCEEDED


async def test_a_question_whose_reader_is_killed_from_outside_is_asked_again(
    readers: Readers, frame: Frame, source: SourceSpec
) -> None:
    (pid,) = readers.pids
    os.kill(pid, signal.SIGSTOP)
    asked = asyncio.create_task(in_thread(describe, readers, frame, source))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    assert (await asked)[1] == 2


async def test_a_question_that_costs_reader_after_reader_says_what_happened(
    frame: Frame, source: SourceSpec
) -> None:
    readers = await warm(replace(LIMITS, size=ATTEMPTS))
    stopped: set[int] = set()

    def end_every_reader() -> None:
        while len(stopped) < ATTEMPTS:
            for pid in set(readers.pids) - stopped:
                stopped.add(pid)
                os.kill(pid, signal.SIGSTOP)
                threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
            time.sleep(0.001)

    ending = asyncio.create_task(in_thread(end_every_reader))
    try:
        await asyncio.sleep(0.05)
        with pytest.raises(KallaError, match="from outside of Kalla") as failed:
            await in_thread(describe, readers, frame, source)
        assert failed.value.code is Code.RUNNER_UNAVAILABLE
    finally:
        readers.close()
        await ending


async def test_callers_beyond_the_readers_wait_and_are_told_in_the_end(
    frame: Frame, source: SourceSpec
) -> None:
    readers = await warm(replace(LIMITS, wait_seconds=0.3))
    try:
        (pid,) = readers.pids
        os.kill(pid, signal.SIGSTOP)
        first = asyncio.create_task(in_thread(describe, readers, frame, source))
        await asyncio.sleep(0.1)
        with pytest.raises(KallaError, match="busy") as failed:
            await in_thread(describe, readers, frame, source)
        assert failed.value.code is Code.RUNNER_UNAVAILABLE
        os.kill(pid, signal.SIGCONT)
        assert (await first)[1] == 2
    finally:
        readers.close()
