"""The gRPC face of the runner: unpack, call, pack."""
# ruff: noqa: ARG002 - the names of the parameters are the contract's

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from kalla.runner.v1 import job_pb2, runner_service_pb2, runner_service_pb2_grpc
from kalla_common.rpc.convert import (
    column_to_proto,
    job_spec_from_proto,
    primary_keys_from_proto,
    progress_to_proto,
    result_to_proto,
    source_from_proto,
    sql_check_to_proto,
    state_to_proto,
    timestamp,
)
from kalla_common.telemetry import inject_context

from kalla_runner.board import Job
from kalla_runner.children.reader_process import Watch
from kalla_runner.jobs import Jobs
from kalla_runner.reads import Reads
from kalla_runner.trials import Trials

T = TypeVar("T")


class RunnerServicer(runner_service_pb2_grpc.RunnerServiceServicer):
    """Serves RunnerService.

    Args:
        jobs: the jobs.
        reads: what is asked about sources.
        threads: where reads block.
        trials: jobs whose outputs are not kept.
        read_seconds: how long a source may keep its reader waiting.
    """

    def __init__(
        self, jobs: Jobs, reads: Reads, threads: Executor, trials: Trials, *, read_seconds: float
    ) -> None:
        self._jobs = jobs
        self._reads = reads
        self._threads = threads
        self._trials = trials
        self._read_seconds = read_seconds

    async def SubmitJob(  # noqa: N802 - the contract's name
        self, request: runner_service_pb2.SubmitJobRequest, context: object
    ) -> runner_service_pb2.SubmitJobResponse:
        """Journal a job and queue it."""
        spec = self._trials.placed(job_spec_from_proto(request.spec))
        job = await self._jobs.submit(spec, inject_context())
        return runner_service_pb2.SubmitJobResponse(job=job_to_proto(job))

    async def GetJob(  # noqa: N802
        self, request: runner_service_pb2.GetJobRequest, context: object
    ) -> runner_service_pb2.GetJobResponse:
        """Return a job."""
        job = await self._jobs.get(request.run_id)
        return runner_service_pb2.GetJobResponse(job=job_to_proto(job))

    async def WatchJob(  # noqa: N802
        self, request: runner_service_pb2.WatchJobRequest, context: object
    ) -> AsyncIterator[runner_service_pb2.WatchJobResponse]:
        """Stream a job at every change until it has ended."""
        async for job in self._jobs.watch(request.run_id):
            yield runner_service_pb2.WatchJobResponse(job=job_to_proto(job))

    async def CancelJob(  # noqa: N802
        self, request: runner_service_pb2.CancelJobRequest, context: object
    ) -> runner_service_pb2.CancelJobResponse:
        """End a job now."""
        job = await self._jobs.cancel(request.run_id)
        return runner_service_pb2.CancelJobResponse(job=job_to_proto(job))

    async def DiscardTrial(  # noqa: N802
        self, request: runner_service_pb2.DiscardTrialRequest, context: object
    ) -> runner_service_pb2.DiscardTrialResponse:
        """Remove the outputs of a trial."""
        await self._trials.discard(request.run_id)
        return runner_service_pb2.DiscardTrialResponse()

    async def CheckMatchSql(  # noqa: N802
        self, request: runner_service_pb2.CheckMatchSqlRequest, context: object
    ) -> runner_service_pb2.CheckMatchSqlResponse:
        """Plan a match query without running it."""
        sources = [source_from_proto(source) for source in request.sources]
        keys = primary_keys_from_proto(request.primary_keys)
        check = await self._read(
            context, lambda watch: self._reads.check_sql(request.match_sql, sources, keys, watch)
        )
        return sql_check_to_proto(check)

    async def DescribeSource(  # noqa: N802
        self, request: runner_service_pb2.DescribeSourceRequest, context: object
    ) -> runner_service_pb2.DescribeSourceResponse:
        """Return the columns of a source."""
        source = source_from_proto(request.source)
        columns, rows = await self._read(
            context, lambda watch: self._reads.describe(source, watch, count=request.count_rows)
        )
        return runner_service_pb2.DescribeSourceResponse(
            columns=[column_to_proto(column) for column in columns], row_count=rows
        )

    async def _read(self, context: Any, read: Callable[[Watch], T]) -> T:
        """Read in a thread; a caller that goes away, or whose deadline is over, ends it."""
        gone = threading.Event()
        left: float | None = context.time_remaining()
        # A little earlier than the caller's own deadline, so that the answer says what took so long.
        seconds = self._read_seconds if left is None else min(self._read_seconds, max(0.1, left * 0.95))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, read, Watch(gone.is_set, seconds))
        finally:
            gone.set()


def job_to_proto(job: Job) -> job_pb2.Job:
    """Pack a job."""
    return job_pb2.Job(
        run_id=job.run_id,
        state=state_to_proto(job.state),
        progress=progress_to_proto(job.progress, job.progress_at)
        if job.progress is not None and job.progress_at is not None
        else None,
        result=None if job.result is None else result_to_proto(job.result),
        error=None
        if job.failure is None
        else job_pb2.JobError(code=job.failure.code, message=job.failure.message),
        created_at=timestamp(job.created_at),
        updated_at=timestamp(job.updated_at),
    )
