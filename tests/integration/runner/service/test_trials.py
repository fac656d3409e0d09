"""Trials: real runs whose outputs stay with the runner until they are discarded."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from kalla_common.domain import JobSpec, JobState, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.runner.control import GrpcControl
from kalla_common.runner.ports import Output, OutputRows
from kalla_common.runner.rows import FlightRows
from kalla_common.settings import TlsSettings

from tests.integration.runner.service.harness import MATCH_SQL, RunnerProcess, write_sources


@pytest.fixture
def started(runner: RunnerProcess) -> RunnerProcess:
    runner.start()
    return runner


@pytest.fixture
async def control(started: RunnerProcess) -> AsyncIterator[GrpcControl]:
    async with make_channel(f"127.0.0.1:{started.grpc_port}") as channel:
        yield GrpcControl(channel, 30.0, 30.0)


def trial(runner: RunnerProcess) -> JobSpec:
    left, right = write_sources(runner.data)
    return JobSpec(
        run_id=str(uuid.uuid4()),
        match_sql=MATCH_SQL,
        sources=(SourceSpec("left_src", str(left)), SourceSpec("right_src", str(right))),
        output_path="",
        primary_keys={"left_src": ("id",), "right_src": ("id",)},
        trial=True,
    )


def folder(runner: RunnerProcess, spec: JobSpec) -> Path:
    return runner.work / "trials" / spec.run_id


async def test_the_rows_of_a_trial_are_there_until_it_is_discarded(
    started: RunnerProcess, control: GrpcControl
) -> None:
    spec = trial(started)
    await control.submit(spec)
    # As a client does whose first call went unanswered.
    await control.submit(spec)
    job = await control.ended(spec.run_id, 60.0)
    assert job.state is JobState.COMPLETED, job
    assert folder(started, spec).is_dir()
    rows = FlightRows(f"127.0.0.1:{started.flight_port}", TlsSettings(), page_seconds=30, stream_seconds=30)
    try:
        page = await rows.page(OutputRows(spec.run_id, Output.MATCHED, limit=10))
        assert job.result is not None
        assert page.total_rows == job.result.matched_count > 0
    finally:
        rows.close()
    for _ in range(2):
        await control.discard_trial(spec.run_id)
        assert not folder(started, spec).exists()


async def test_the_outputs_of_a_run_cannot_be_discarded_as_a_trial(
    started: RunnerProcess, control: GrpcControl
) -> None:
    spec = replace(trial(started), trial=False, output_path=str(started.data / "out"))
    await control.submit(spec)
    await control.ended(spec.run_id, 60.0)
    with pytest.raises(KallaError, match="is no trial") as caught:
        await control.discard_trial(spec.run_id)
    assert caught.value.code is Code.INVALID_REQUEST
    assert (started.data / "out" / "manifest.json").is_file()


async def test_a_trial_chooses_no_place_of_its_own_and_an_unknown_one_is_said_so(
    started: RunnerProcess, control: GrpcControl
) -> None:
    with pytest.raises(KallaError, match="no output_path"):
        await control.submit(replace(trial(started), output_path=str(started.data / "out")))
    with pytest.raises(KallaError) as caught:
        await control.discard_trial(str(uuid.uuid4()))
    assert caught.value.code is Code.RUN_NOT_FOUND


async def test_what_nobody_discards_goes_with_the_next_trial_an_hour_later_or_the_next_start(
    started: RunnerProcess, control: GrpcControl
) -> None:
    old, next_one = trial(started), trial(started)
    await control.submit(old)
    await control.ended(old.run_id, 60.0)
    hour_ago = time.time() - 3700
    os.utime(folder(started, old), (hour_ago, hour_ago))
    await control.submit(next_one)
    await control.ended(next_one.run_id, 60.0)
    assert not folder(started, old).exists()
    assert folder(started, next_one).exists()
    started.stop()
    started.start()
    assert not folder(started, next_one).exists()
