"""kill -9 of the runner at every stage boundary and in mid-match, then a restart: trap 27."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kalla.runner.v1 import job_pb2, runner_service_pb2, runner_service_pb2_grpc
from kalla_common.rpc.client import make_channel
from kalla_runner.outputs.manifest import verify_manifest

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

OUTPUTS = {"manifest.json", "matched.parquet", "unmatched_left.parquet", "unmatched_right.parquet"}
BOUNDARIES = {
    "before the outputs": ("stage", "stage-done", "match", "match-done"),
    "around the outputs": ("publish", "publish-done", "notify", "notify-done"),
}
VISIBLE = {"publish-done", "notify", "notify-done"}
"""Where outputs may be seen already."""


async def job_of(runner: RunnerProcess, run_id: str) -> job_pb2.Job:
    channel = make_channel(f"127.0.0.1:{runner.grpc_port}")
    try:
        stub = runner_service_pb2_grpc.RunnerServiceStub(channel)
        return (await stub.GetJob(runner_service_pb2.GetJobRequest(run_id=run_id))).job
    finally:
        await channel.close()


def check_outputs(body: dict[str, Any], rows: tuple[int, int, int]) -> None:
    """All outputs of a run, with exact counts, and nothing else."""
    output = Path(body["output_path"])
    assert {entry.name for entry in output.iterdir()} == OUTPUTS
    verify_manifest(output)
    names = ("matched", "unmatched_left", "unmatched_right")
    assert tuple(pq.read_metadata(output / f"{name}.parquet").num_rows for name in names) == rows
    assert attempts(body) == []


def check_told_once(receiver: Receiver, body: dict[str, Any]) -> None:
    """The end was told at least once, always in the same words, and no other end."""
    messages = receiver.of(body["run_id"], "complete")
    assert messages
    assert len({message.raw for message in messages}) == 1
    assert {message.headers["webhook-id"] for message in messages} == {f"{body['run_id']}:complete"}
    assert receiver.of(body["run_id"], "error") == []


@pytest.mark.parametrize("boundaries", BOUNDARIES.values(), ids=BOUNDARIES)
async def test_trap_27_a_runner_killed_at_every_stage_boundary_in_turn_ends_the_run_once(
    runner: RunnerProcess, receiver: Receiver, boundaries: tuple[str, ...]
) -> None:
    body = job(runner, write_sources(runner.data), callback_url=receiver.url)
    for boundary in boundaries:
        with running(runner, max_active="1", pause_at=boundary):
            assert runner.submit(body).status_code == 200, "resubmission is the same job"
            wait_for(lambda: f'"pause_at": "{boundary}"' in runner.log, f"the pause at {boundary}")  # noqa: B023
            assert visible(body) == (boundary in VISIBLE)
            runner.kill()
    with running(runner, max_active="1"):
        # The last kill came when the end was told and not yet journaled: then it is told again.
        told = 2 if "notify-done" in boundaries else 1
        wait_for(lambda: len(receiver.of(body["run_id"], "complete")) >= told, "complete")
        ended = await job_of(runner, body["run_id"])
        assert ended.state == job_pb2.JOB_STATE_COMPLETED
        assert ended.result.matched_count == 900
        check_outputs(body, (900, 100, 100))
        check_told_once(receiver, body)
        assert [entry.name for entry in runner.work.iterdir() if entry.is_dir()] == []
        assert runner.submit(body).status_code == 200
        assert runner.submit({**body, "allow_quadratic": True}).status_code == 409
        runner.stop()


async def test_trap_27_a_runner_killed_in_mid_match_and_with_a_waiting_job_ends_both_once(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    slow = slow_job(runner, callback_url=receiver.url)
    waiting = job(runner, write_sources(runner.data), callback_url=receiver.url)
    with running(runner, max_active="1"):
        assert runner.submit(slow).status_code == 200
        wait_for(lambda: attempts(slow), "the match to begin")
        assert runner.submit(waiting).status_code == 200
        assert (await job_of(runner, slow["run_id"])).state == job_pb2.JOB_STATE_RUNNING
        assert (await job_of(runner, waiting["run_id"])).state == job_pb2.JOB_STATE_QUEUED
        runner.kill()
    assert not visible(slow)
    assert receiver.of(slow["run_id"], "complete") == []
    with running(runner, max_active="1"):
        for body in (slow, waiting):
            wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete", 60)  # noqa: B023 - used at once
            check_told_once(receiver, body)
        check_outputs(slow, (11, 29_989, 29_989))
        check_outputs(waiting, (900, 100, 100))
        runner.stop()


async def test_a_stopped_runner_hands_its_job_back_and_goes_on_after_restart(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    body = slow_job(runner, callback_url=receiver.url)
    with running(runner, max_active="1"):
        runner.submit(body)
        wait_for(lambda: attempts(body), "the match to begin")
        runner.stop()
    assert not visible(body)
    assert receiver.of(body["run_id"], "error") == []
    with running(runner, max_active="1"):
        wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete", 60)
        check_outputs(body, (11, 29_989, 29_989))
        check_told_once(receiver, body)


async def test_lost_staged_data_are_staged_again_and_folders_of_unknown_runs_are_removed(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    body = job(runner, write_sources(runner.data), callback_url=receiver.url)
    with running(runner, max_active="1", pause_at="match"):
        runner.submit(body)
        wait_for(lambda: "paused_for_a_test" in runner.log, "the pause")
        runner.kill()
    runner.work.rename(runner.home / "lost")
    unknown = runner.work / str(uuid.uuid4()) / "stage-0123"
    unknown.mkdir(parents=True)
    with running(runner, max_active="1"):
        assert not unknown.parent.exists()
        wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
        check_outputs(body, (900, 100, 100))
