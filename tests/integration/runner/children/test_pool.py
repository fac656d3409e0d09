"""Warm child processes: tasks, errors, cancelling, replacement."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from kalla_common.domain import JobProgress, JobSpec, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_runner.children import ends as ends_module
from kalla_runner.children import pool as pool_module
from kalla_runner.children import process as process_module
from kalla_runner.children.ends import ChildKilledError
from kalla_runner.children.pool import ChildPool, ChildrenFailError, PoolLimits
from kalla_runner.children.protocol import StageTask
from kalla_runner.children.stage import load_staged

LIMITS = PoolLimits(size=1, threads=1, memory_bytes=1 << 33, idle_bytes=1 << 33, tasks=100)


@pytest.fixture
async def pool() -> AsyncIterator[ChildPool]:
    pool = ChildPool(LIMITS)
    pool.start()
    try:
        await pool.warm()
        yield pool
    finally:
        await pool.close()


def stage_task(folder: Path, rows: str = "id,ref\n1,a\n2,b\n") -> StageTask:
    path = folder / "rows.csv"
    path.write_text(rows)
    spec = JobSpec("run", "SELECT 1", (SourceSpec("l", str(path)), SourceSpec("r", str(path))), "/out", {})
    return StageTask(spec, folder / "staged", (folder,), 1, S3Settings())


def ignore(_progress: JobProgress) -> None:
    """Not looked at."""


async def test_a_task_is_done_in_a_child_and_tells_how_far_it_is(pool: ChildPool, tmp_path: Path) -> None:
    seen: list[JobProgress] = []
    rows = await pool.run(stage_task(tmp_path), seen.append, asyncio.Event())
    assert rows == {"l": 2, "r": 2}
    assert [table.alias for table in load_staged(tmp_path / "staged").tables] == ["l", "r"]
    assert {(step.stage, step.source) for step in seen} == {("staging", "l"), ("staging", "r")}
    assert all(0.0 <= step.progress <= 1.0 for step in seen)


async def test_an_error_crosses_the_border_with_its_code_and_the_child_stays(
    pool: ChildPool, tmp_path: Path
) -> None:
    before = pool.pids
    task = stage_task(tmp_path, rows="id,ref\n1,a\n2,b,c\n")
    with pytest.raises(KallaError) as failed:
        await pool.run(task, ignore, asyncio.Event())
    assert failed.value.code is Code.INVALID_DATA
    assert "3" in failed.value.message, "the line number"
    assert pool.pids == before


async def test_a_cancelled_task_costs_the_child_its_life_and_another_takes_its_place(
    pool: ChildPool, tmp_path: Path
) -> None:
    (before,) = pool.pids
    os.kill(before, signal.SIGSTOP)  # a child that answers nothing, as in the middle of a join
    cancelled = asyncio.Event()
    running = asyncio.create_task(pool.run(stage_task(tmp_path), ignore, cancelled))
    await asyncio.sleep(0.1)
    cancelled.set()
    with pytest.raises(KallaError) as ended:
        async with asyncio.timeout(1):
            await running
    assert ended.value.code is Code.CANCELLED
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert await pool.run(stage_task(tmp_path), ignore, asyncio.Event()) == {"l": 2, "r": 2}
    assert pool.pids != (before,)


async def test_a_child_that_its_own_clock_ended_says_that_the_query_is_too_slow_to_check(
    pool: ChildPool, tmp_path: Path
) -> None:
    with pytest.raises(KallaError, match="takes longer than 10 seconds to check") as raised:
        await killed_task(pool, tmp_path, signal.SIGALRM)
    assert raised.value.code is Code.INVALID_SQL


async def killed_task(pool: ChildPool, folder: Path, number: int) -> None:
    """Runs a task whose child gets a signal in the middle."""
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    running = asyncio.create_task(pool.run(stage_task(folder), ignore, asyncio.Event()))
    await asyncio.sleep(0.1)
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)
    await running


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_child_that_is_ended_from_outside_may_be_asked_again(
    pool: ChildPool, tmp_path: Path, number: signal.Signals
) -> None:
    with pytest.raises(ChildKilledError, match=number.name):
        await killed_task(pool, tmp_path, number)
    assert await pool.run(stage_task(tmp_path), ignore, asyncio.Event()) == {"l": 2, "r": 2}


async def test_a_child_that_the_kernel_killed_for_want_of_memory_is_a_matter_of_memory(
    pool: ChildPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter((3, 4))
    monkeypatch.setattr(process_module, "oom_kills", lambda: next(counted))
    monkeypatch.setattr(ends_module, "oom_kills", lambda: next(counted))
    with pytest.raises(KallaError) as failed:
        await killed_task(pool, tmp_path, signal.SIGKILL)
    assert failed.value.code is Code.MEMORY_LIMIT


async def test_a_child_above_its_limit_is_ended_and_the_limit_is_named(tmp_path: Path) -> None:
    pool = ChildPool(replace(LIMITS, memory_bytes=1 << 20))
    pool.start()
    try:
        await pool.warm()
        os.kill(pool.pids[0], signal.SIGSTOP)
        with pytest.raises(KallaError, match=r"limit of 0\.0 GiB") as failed:
            await pool.run(stage_task(tmp_path), ignore, asyncio.Event())
        assert failed.value.code is Code.MEMORY_LIMIT
    finally:
        await pool.close()


async def test_a_source_that_sends_nothing_ends_its_task_and_is_named(
    pool: ChildPool, tmp_path: Path
) -> None:
    silent = replace(stage_task(tmp_path), silence_seconds=0.3)
    os.kill(pool.pids[0], signal.SIGSTOP)
    with pytest.raises(KallaError, match="has sent nothing for 0 seconds") as failed:
        await pool.run(silent, ignore, asyncio.Event())
    assert failed.value.code is Code.SOURCE_UNREACHABLE
    assert await pool.run(replace(silent, silence_seconds=60.0), ignore, asyncio.Event()) == {"l": 2, "r": 2}


async def test_a_file_cut_short_under_a_mapping_is_a_source_that_changed(
    pool: ChildPool, tmp_path: Path
) -> None:
    with pytest.raises(KallaError) as failed:
        await killed_task(pool, tmp_path, signal.SIGBUS)
    assert failed.value.code is Code.SOURCE_CHANGED


async def test_a_child_that_crashes_is_a_defect(pool: ChildPool, tmp_path: Path) -> None:
    with pytest.raises(KallaError) as failed:
        await killed_task(pool, tmp_path, signal.SIGSEGV)
    assert failed.value.code is Code.INTERNAL


async def test_a_closed_pool_hands_tasks_back_instead_of_failing_them(tmp_path: Path) -> None:
    pool = ChildPool(LIMITS)
    pool.start()
    await pool.warm()
    os.kill(pool.pids[0], signal.SIGSTOP)
    running = asyncio.create_task(pool.run(stage_task(tmp_path), ignore, asyncio.Event()))
    await asyncio.sleep(0.1)
    await pool.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(asyncio.CancelledError):
        await pool.run(stage_task(tmp_path), ignore, asyncio.Event())


async def test_a_child_is_replaced_after_its_number_of_tasks(tmp_path: Path) -> None:
    pool = ChildPool(replace(LIMITS, tasks=1))
    pool.start()
    try:
        await pool.warm()
        (before,) = pool.pids
        await pool.run(stage_task(tmp_path), ignore, asyncio.Event())
        await pool.warm()
        assert before not in pool.pids
        assert len(pool.pids) == 1
    finally:
        await pool.close()


async def test_a_pool_whose_children_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "COMMAND", ("/bin/false",))
    monkeypatch.setattr(pool_module, "RESTART_SECONDS", 0.01)
    pool = ChildPool(LIMITS)
    pool.start()
    try:
        with pytest.raises(ChildrenFailError, match="cannot be started"):
            await asyncio.wait_for(pool.watch(), 30)
    finally:
        await pool.close()
