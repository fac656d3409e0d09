"""More jobs than may wait: those that were taken all end, the others never begin."""

from __future__ import annotations

import uuid
from pathlib import Path

from kalla.runner.v1 import runner_service_pb2, runner_service_pb2_grpc
from kalla_common.rpc.client import make_channel

from tests.integration.runner.service.harness import (
    Receiver,
    RunnerProcess,
    job,
    running,
    slow_job,
    visible,
    wait_for,
    write_sources,
)

JOBS, PLACES = 200, 100


async def test_of_200_jobs_100_wait_and_complete_and_the_others_are_refused(
    postgres_url: str, tmp_path: Path
) -> None:
    receiver, runner = Receiver(), RunnerProcess(postgres_url, tmp_path)
    try:
        with running(runner, max_active="1", executor_id=f"full-{uuid.uuid4()}"):
            files = write_sources(runner.data, 10)
            first = slow_job(runner, callback_url=receiver.url)
            assert runner.submit(first).status_code == 200
            wait_for(lambda: runner.figure("kalla_runner_active_jobs") == 1, "the first job to run")
            jobs = [job(runner, files, callback_url=receiver.url) for _ in range(JOBS)]
            answers = [runner.submit(body) for body in jobs]
            taken = [b for b, answer in zip(jobs, answers, strict=True) if answer.status_code == 200]
            refused = [answer for answer in answers if answer.status_code != 200]
            # The first may have ended meanwhile, and left its place.
            assert PLACES <= len(taken) < JOBS
            assert {(a.status_code, a.json()["code"]) for a in refused} == {(500, "QUEUE_FULL")}
            channel = make_channel(f"127.0.0.1:{runner.grpc_port}")
            stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
            stub = runner_service_pb2_grpc.RunnerServiceStub(channel)
            await stub.CancelJob(runner_service_pb2.CancelJobRequest(run_id=first["run_id"]))
            await channel.close()
            for body in taken:
                ends = wait_for(lambda b=body: receiver.of(b["run_id"], "complete"), "complete")
                assert [end.body["matched_count"] for end in ends] == [9]
            known = {body["run_id"] for body in taken}
            for body in jobs:
                assert visible(body) == (body["run_id"] in known)
                assert len(receiver.of(body["run_id"], "complete")) == (body["run_id"] in known)
    finally:
        runner.destroy()
        receiver.close()
