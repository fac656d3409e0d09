"""Cancelling, the queue's limit, memory, and children that die."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kalla.runner.v1 import job_pb2, runner_service_pb2, runner_service_pb2_grpc
from kalla_common.rpc.client import make_channel
from kalla_runner.steps import CHILD_ATTEMPTS

from tests.integration.runner.service.harness import (
    Receiver,
    RunnerProcess,
    attempts,
    job,
    running,
    slow_job,
    visible,
    wait_for,
    write_sources,
)


@pytest.fixture(scope="module")
def shared(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """One runner with one slot and one place in the queue for the tests that leave it idle."""
    process = RunnerProcess(postgres_url, tmp_path_factory.mktemp("runner"))
    try:
        process.start(max_active="1", max_queued="1", executor_id=f"cancel-{uuid.uuid4()}")
        yield process
    finally:
        process.destroy()


@pytest.fixture
async def stub(shared: RunnerProcess) -> AsyncIterator[runner_service_pb2_grpc.RunnerServiceAsyncStub]:
    channel = make_channel(f"127.0.0.1:{shared.grpc_port}")
    try:
        yield runner_service_pb2_grpc.RunnerServiceStub(channel)
    finally:
        await channel.close()


def _other_attempts(body: dict[str, Any], seen: list[Path]) -> bool:
    return attempts(body) != seen


async def cancel(stub: runner_service_pb2_grpc.RunnerServiceAsyncStub, body: dict[str, Any]) -> job_pb2.Job:
    request = runner_service_pb2.CancelJobRequest(run_id=body["run_id"])
    return (await stub.CancelJob(request)).job


async def test_trap_25_a_cancelled_run_is_gone_within_a_second_and_leaves_nothing(
    shared: RunnerProcess, receiver: Receiver, stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
) -> None:
    body = slow_job(shared, callback_url=receiver.url)
    shared.submit(body)
    wait_for(lambda: attempts(body), "the match to begin")
    (busy,) = shared.children()
    began = time.perf_counter()
    cancelled = await cancel(stub, body)
    seconds = time.perf_counter() - began
    assert cancelled.state == job_pb2.JOB_STATE_CANCELLED
    assert seconds < 1.0
    assert not busy.is_running()
    assert attempts(body) == []
    assert not visible(body)
    assert [entry.name for entry in shared.work.iterdir() if entry.is_dir()] == []
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    assert (message.body["error"], message.body["code"]) == ("cancelled", "CANCELLED")
    assert (await cancel(stub, body)).state == job_pb2.JOB_STATE_CANCELLED
    after = job(shared, write_sources(shared.data), callback_url=receiver.url)
    shared.submit(after)
    wait_for(lambda: receiver.of(after["run_id"], "complete"), "the next job")
    assert (await cancel(stub, after)).state == job_pb2.JOB_STATE_COMPLETED
    assert shared.figure("kalla_runner_jobs_cancelled") >= 1


async def test_the_queue_refuses_one_job_too_many_and_a_waiting_job_can_be_cancelled(
    shared: RunnerProcess, receiver: Receiver, stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
) -> None:
    first = slow_job(shared, callback_url=receiver.url)
    second, third = (slow_job(shared, callback_url=receiver.url) for _ in range(2))
    assert shared.submit(first).status_code == 200
    wait_for(lambda: shared.figure("kalla_runner_active_jobs") == 1, "the first job to run")
    assert shared.submit(second).status_code == 200
    assert shared.figure("kalla_runner_queued_jobs") == 1
    refused = shared.submit(third)
    assert (refused.status_code, refused.json()["code"]) == (500, "QUEUE_FULL")
    assert shared.submit(second).status_code == 200, "the same job again needs no place"
    assert (await cancel(stub, second)).state == job_pb2.JOB_STATE_CANCELLED
    assert shared.submit(third).status_code == 200
    for body in (first, third):
        await cancel(stub, body)
    assert receiver.of(third["run_id"], "complete") == []


async def test_a_run_whose_child_is_killed_from_outside_is_done_again_and_completes(
    shared: RunnerProcess, receiver: Receiver
) -> None:
    body = slow_job(shared, callback_url=receiver.url)
    shared.submit(body)
    wait_for(lambda: attempts(body), "the match to begin")
    (busy,) = shared.children()
    os.kill(busy.pid, signal.SIGKILL)
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
    assert message.body["matched_count"] == 11
    assert receiver.of(body["run_id"], "error") == []
    assert attempts(body) == []
    wait_for(lambda: len(shared.children()) == 1, "the pool to be full again")


async def test_a_run_whose_children_are_killed_again_and_again_says_what_happened(
    shared: RunnerProcess, receiver: Receiver
) -> None:
    body = slow_job(shared, callback_url=receiver.url)
    shared.submit(body)
    for _ in range(CHILD_ATTEMPTS):
        seen = wait_for(lambda: attempts(body), "the match to begin")
        for child in shared.children():
            os.kill(child.pid, signal.SIGKILL)
        wait_for(partial(_other_attempts, body, seen), "the attempt to end")
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    assert message.body["code"] == "RUNNER_UNAVAILABLE"
    assert "SIGKILL" in message.body["error"]
    assert attempts(body) == []
    after = job(shared, write_sources(shared.data), callback_url=receiver.url)
    shared.submit(after)
    wait_for(lambda: receiver.of(after["run_id"], "complete"), "the next job")


async def test_trap_23_a_run_above_its_memory_limit_is_ended_with_the_limit_in_the_message(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    with running(runner, max_active="1", memory_limit_bytes=str(64 * 1024 * 1024)):
        body = slow_job(runner, callback_url=receiver.url)
        runner.submit(body)
        (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
        assert message.body["code"] == "MEMORY_LIMIT"
        assert "limit" in message.body["error"]
        assert not visible(body)
