"""Creates runs and hands them to the runner.

The row is committed before the runner hears of the run, so that its first report finds it.
What the runner then answers decides:

| answer | run | caller |
|---|---|---|
| accepted | submitted | 200 |
| refused for what it asks (4xx) | failed, with the reason | the status of that reason |
| unreachable, full | failed, with the reason | 502 |
| no answer, or one that leaves it open | submitted, until the reconciler learns more | 502 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from kalla_common.db import Database
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerControl
from kalla_common.telemetry import log, run_context

from kalla_gateway.recipes.schemas import recipe_json
from kalla_gateway.runs import repository, service
from kalla_gateway.runs.planning import RunPlan, RunRequest, filters_json, plan_run
from kalla_gateway.runs.status import LIVE
from kalla_gateway.runs.tables import RunRow

_OPEN: Final = frozenset(
    {Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.INTERNAL, Code.DATABASE_UNAVAILABLE, Code.STORAGE_FULL}
)
"""After these the runner may have journaled the job."""


@dataclass(frozen=True, slots=True)
class RunDispatcher:
    """Creates and cancels runs.

    Args:
        output_root: a folder on the runner's file system, or s3://bucket/prefix; a run's outputs go below
            its id in it.
        callback_url: base of the worker callbacks as the runner reaches it.
    """

    database: Database
    control: RunnerControl
    output_root: str
    callback_url: str

    async def create(self, request: RunRequest) -> RunRow:
        """Create a run and hand it over.

        Raises:
            KallaError: INVALID_REQUEST, INVALID_URI, RECIPE_NOT_FOUND before there is a run;
                afterwards, with `run_id` in its details, what the runner refused or
                RUNNER_UNAVAILABLE.
        """
        run_id = str(uuid4())
        with run_context(run_id):
            async with self.database.writing() as session:
                output_path = f"{self.output_root.rstrip('/')}/{run_id}"
                plan = await plan_run(session, request, run_id, output_path, self.callback_url)
                row = _row(plan)
                await repository.add(session, row)
            try:
                await self.control.submit(plan.spec)
            except KallaError as error:
                raise await self._refused(run_id, error) from error
            log.info("run_submitted", recipe_id=row.recipe_id)
            return row

    async def cancel(self, run_id: str) -> RunRow:
        """End a run now; one that has ended stays as it is.

        Raises:
            KallaError: RUN_NOT_FOUND, RUNNER_UNAVAILABLE.
        """
        async with self.database.reading() as session:
            row = await service.require(session, run_id)
        if row.status not in LIVE:
            return row
        try:
            job = await self.control.cancel(run_id)
        except KallaError as error:
            if error.code is not Code.RUN_NOT_FOUND:
                raise
            # The runner never got it: nothing runs that would have to end.
            job = None
        async with self.database.writing() as session:
            if job is None:
                await service.report_error(session, run_id, "The run was cancelled.", Code.CANCELLED.value)
            else:
                await service.apply_job(session, row, job)
            return await service.require(session, run_id)

    async def end_orphan(self, run_id: str) -> None:
        """End the job of a run that has ended here already, because its hand-over went unanswered."""
        try:
            await self.control.cancel(run_id)
        except KallaError as error:
            log.warning("orphan_not_cancelled", run_id=run_id, code=error.code.value)

    async def _refused(self, run_id: str, error: KallaError) -> KallaError:
        """The error for the caller, after the run says why it failed."""
        log.warning("run_not_submitted", code=error.code.value, error=error.message)
        if error.code in _OPEN:
            return KallaError(
                Code.RUNNER_UNAVAILABLE,
                "The runner did not say whether it took the job; the run will show what became of it.",
                run_id=run_id,
                cause=error.code.value,
            )
        async with self.database.writing() as session:
            await service.report_error(session, run_id, error.message, error.code.value)
        if error.info.http_status < 500:  # noqa: PLR2004 - the client's class of statuses
            refused = KallaError(error.code, error.message, run_id=run_id)
            refused.details.update({k: v for k, v in error.details.items() if k != "run_id"})
            return refused
        return KallaError(
            Code.RUNNER_UNAVAILABLE,
            f"The runner did not take the job: {error.message}",
            run_id=run_id,
            cause=error.code.value,
        )


def _row(plan: RunPlan) -> RunRow:
    return RunRow(
        run_id=plan.spec.run_id,
        recipe_id=plan.recipe.recipe_id,
        recipe=recipe_json(plan.recipe, masked=False),
        filters=filters_json(plan.spec.sources),
    )
