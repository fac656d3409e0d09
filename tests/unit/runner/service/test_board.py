"""Slots, the queue's limit and cancelling before a job runs."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from kalla_common.domain import JobProgress, JobSpec, JobState
from kalla_common.errors import Code, KallaError
from kalla_runner.board import Board, Job, LiveJob
from kalla_runner.store.journal import Failure, Outcome


def live_job() -> LiveJob:
    return LiveJob(JobSpec(str(uuid4()), "SELECT 1", (), "/out", {}), "text")


async def test_jobs_take_slots_in_the_order_in_which_they_came() -> None:
    board, jobs = Board(1, 10), [live_job() for _ in range(3)]
    order: list[int] = []

    async def run(number: int) -> None:
        assert await board.take_slot(jobs[number])
        order.append(number)
        await asyncio.sleep(0.01)
        board.free_slot()

    for job in jobs:
        board.add(job)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(run(number))
    assert order == [0, 1, 2]


async def test_the_queue_is_full_when_as_many_wait_as_may_wait() -> None:
    board = Board(2, 1)
    for _ in range(3):
        board.add(live_job())
    with pytest.raises(KallaError) as refused:
        board.add(live_job())
    assert refused.value.code is Code.QUEUE_FULL
    assert refused.value.info.http_status == 500


async def test_an_ended_job_makes_room_in_the_queue() -> None:
    board, job = Board(1, 0), live_job()
    board.add(job)
    job.end(Outcome.failed(Failure.internal()))
    board.add(live_job())
    assert board.unfinished == 1


async def test_a_journaled_job_is_adopted_even_if_the_queue_is_full() -> None:
    board = Board(1, 0)
    board.add(live_job())
    board.adopt(live_job())
    assert board.unfinished == 2


async def test_a_waiting_job_is_cancelled_without_a_slot_and_the_slot_stays_free() -> None:
    board, first, second, third = Board(1, 10), live_job(), live_job(), live_job()
    assert await board.take_slot(first)
    waiting = asyncio.create_task(board.take_slot(second))
    await asyncio.sleep(0)
    second.cancelled.set()
    assert not await waiting
    board.free_slot()
    async with asyncio.timeout(1):
        assert await board.take_slot(third)


async def test_a_job_cancelled_before_it_is_adopted_is_cancelled_on_arrival() -> None:
    board, job = Board(1, 0), live_job()
    board.cancel_on_arrival(job.spec.run_id)
    board.adopt(job)
    assert job.cancelled.is_set()


async def test_a_watcher_sees_every_state_and_then_the_end() -> None:
    job = live_job()
    seen: list[Job] = []

    async def watch() -> None:
        seen.extend([change async for change in job.changes()])

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    job.running()
    await asyncio.sleep(0.01)
    job.advance(JobProgress("matching", 0.5, matched_count=3))
    await asyncio.sleep(0.01)
    job.end(Outcome.failed(Failure.internal()))
    async with asyncio.timeout(1):
        await watching
    assert [change.state for change in seen] == [
        JobState.QUEUED,
        JobState.RUNNING,
        JobState.RUNNING,
        JobState.FAILED,
    ]
    assert seen[-1].progress == JobProgress("matching", 0.5, matched_count=3)


async def test_progress_that_comes_after_the_end_changes_nothing() -> None:
    job = live_job()
    job.end(Outcome.failed(Failure.internal()))
    job.advance(JobProgress("matching", 0.5))
    assert job.job.state is JobState.FAILED
    assert job.job.progress is None
