"""The runner's control over gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kalla.runner.v1 import job_pb2
from kalla.runner.v1 import runner_service_pb2 as pb
from kalla.runner.v1.runner_service_pb2_grpc import RunnerServiceStub

from kalla_common.domain import ColumnInfo, JobSpec, SourceSpec, SqlCheck
from kalla_common.errors import Code, KallaError
from kalla_common.rpc import convert
from kalla_common.runner.ports import JobView, naming_runner

CONTROL_SECONDS = 10.0
CHECK_SECONDS = 2.0
_BROKEN_OFF = "The runner stopped telling of a job before its end; try again."


class GrpcControl:
    """RunnerControl and RunnerTrials over a channel made by `kalla_common.rpc.client.make_channel`.

    Args:
        channel: to the runner; it raises the runner's KallaErrors.
        submit_seconds: how long accepting a job may take.
        describe_seconds: how long reading the columns of a source may take.
    """

    def __init__(self, channel: aio.Channel, submit_seconds: float, describe_seconds: float) -> None:
        self._stub = RunnerServiceStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)
        self._health_check = health.Check
        self._submit_seconds = submit_seconds
        self._describe_seconds = describe_seconds

    async def submit(self, spec: JobSpec) -> None:
        """See RunnerControl."""
        request = pb.SubmitJobRequest(spec=convert.job_spec_to_proto(spec))
        with naming_runner():
            await self._stub.SubmitJob(request, timeout=self._submit_seconds)

    async def job(self, run_id: str) -> JobView:
        """See RunnerControl."""
        with naming_runner():
            answer = await self._stub.GetJob(pb.GetJobRequest(run_id=run_id), timeout=CONTROL_SECONDS)
        return _view(answer.job)

    async def cancel(self, run_id: str) -> JobView:
        """See RunnerControl."""
        with naming_runner():
            answer = await self._stub.CancelJob(pb.CancelJobRequest(run_id=run_id), timeout=CONTROL_SECONDS)
        return _view(answer.job)

    async def describe(self, source: SourceSpec) -> tuple[ColumnInfo, ...]:
        """See RunnerControl."""
        request = pb.DescribeSourceRequest(source=convert.source_to_proto(source))
        with naming_runner():
            answer = await self._stub.DescribeSource(request, timeout=self._describe_seconds)
        return tuple(convert.column_from_proto(column) for column in answer.columns)

    async def check_sql(
        self, match_sql: str, sources: Sequence[SourceSpec], primary_keys: Mapping[str, tuple[str, ...]]
    ) -> SqlCheck:
        """See RunnerTrials."""
        request = pb.CheckMatchSqlRequest(
            match_sql=match_sql,
            sources=[convert.source_to_proto(source) for source in sources],
            primary_keys=convert.primary_keys_to_proto(primary_keys),
        )
        with naming_runner():
            answer = await self._stub.CheckMatchSql(request, timeout=self._describe_seconds)
        return convert.sql_check_from_proto(answer)

    async def ended(self, run_id: str, seconds: float) -> JobView:
        """See RunnerTrials."""
        with naming_runner():
            stream = self._stub.WatchJob(pb.WatchJobRequest(run_id=run_id), timeout=seconds)
            last: job_pb2.Job | None = None
            async for answer in stream:
                last = answer.job
        if last is None or not _view(last).state.terminal:
            raise KallaError(Code.RUNNER_UNAVAILABLE, _BROKEN_OFF, run_id=run_id)
        return _view(last)

    async def discard_trial(self, run_id: str) -> None:
        """See RunnerTrials."""
        with naming_runner():
            await self._stub.DiscardTrial(pb.DiscardTrialRequest(run_id=run_id), timeout=CONTROL_SECONDS)

    async def check(self) -> None:
        """See RunnerControl."""
        with naming_runner():
            answer = await self._health_check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise KallaError(Code.RUNNER_UNAVAILABLE, "The runner is starting or stopping; try again soon.")


def _view(job: job_pb2.Job) -> JobView:
    return JobView(
        run_id=job.run_id,
        state=convert.state_from_proto(job.state),
        progress=convert.progress_from_proto(job.progress) if job.HasField("progress") else None,
        result=convert.result_from_proto(job.result) if job.HasField("result") else None,
        error_code=job.error.code if job.HasField("error") else None,
        error_message=job.error.message if job.HasField("error") else None,
    )
