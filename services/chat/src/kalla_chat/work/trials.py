"""Drafts put to the test: checked by the runner, then run on the scoped sources as a trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
from kalla_common.domain import JobResult, JobSpec, JobState, SourceSpec, SqlCheck
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import Output, OutputRows, RunnerControl, RunnerRows, RunnerTrials
from kalla_common.telemetry import log, run_context

from kalla_chat.inference import DraftRecipe, TrialRun


@dataclass(frozen=True, slots=True)
class RunnerTrialRuns:
    """`inference.Trials` over a runner. A trial is no run of the user's: the gateway never hears of it.

    Args:
        left, right: the scoped sources, with their secrets.
        seconds: how long a trial may take.
        note: tells the person what is being done.
    """

    control: RunnerControl
    tester: RunnerTrials
    rows: RunnerRows
    left: SourceSpec
    right: SourceSpec
    seconds: float
    note: Callable[[str], None]

    async def check(self, draft: DraftRecipe) -> SqlCheck:
        """See Trials."""
        return await self.tester.check_sql(draft.match_sql, (self.left, self.right), self._keys(draft))

    async def run(self, draft: DraftRecipe, rows: int) -> TrialRun:
        """See Trials."""
        run_id = str(uuid4())
        spec = JobSpec(
            run_id=run_id,
            match_sql=draft.match_sql,
            sources=(self.left, self.right),
            output_path="",
            primary_keys=self._keys(draft),
            trial=True,
        )
        self.note(f"Trying the rule on all rows of {self.left.alias} and {self.right.alias} ...")
        with run_context(run_id):
            await self.control.submit(spec)
            try:
                return await self._outcome(run_id, rows)
            finally:
                await self._remove(run_id)

    async def _outcome(self, run_id: str, rows: int) -> TrialRun:
        job = await self.tester.ended(run_id, self.seconds)
        if job.state is not JobState.COMPLETED or job.result is None:
            code = Code(job.error_code) if job.error_code in set(Code) else Code.INTERNAL
            raise KallaError(code, f"The trial run failed: {job.error_message}")
        result: JobResult = job.result
        matched, left, right = [await self._table(run_id, output, rows) for output in Output]
        return TrialRun(
            result.matched_count, result.left, result.right, result.match_path, matched, left, right
        )

    async def _table(self, run_id: str, output: Output, rows: int) -> pa.Table:
        async with self.rows.stream(OutputRows(run_id, output, rows)) as stream:
            batches = [batch.replace_schema_metadata() async for batch in stream.batches]
            return pa.Table.from_batches(batches, stream.schema)

    async def _remove(self, run_id: str) -> None:
        """Leave nothing of the trial; what cannot be removed now, the runner removes later."""
        try:
            await self.control.cancel(run_id)
            await self.tester.discard_trial(run_id)
        except KallaError as error:
            log.warning("trial_not_discarded", code=error.code.value)

    def _keys(self, draft: DraftRecipe) -> dict[str, tuple[str, ...]]:
        return {self.left.alias: draft.left_key, self.right.alias: draft.right_key}
