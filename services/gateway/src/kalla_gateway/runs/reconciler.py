"""Asks the runner about runs that went silent, so that a lost callback strands none."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kalla_common.db import Database
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import JobView, RunnerControl
from kalla_common.telemetry import log, run_context

from kalla_gateway.metrics import Metrics
from kalla_gateway.runs import repository, service
from kalla_gateway.runs.status import LIVE, RunStatus
from kalla_gateway.runs.tables import RunRow

BATCH = 100
_NOBODY_ANSWERS = frozenset({Code.RUNNER_UNAVAILABLE, Code.DATABASE_UNAVAILABLE, Code.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks for silent runs again and again; several gateways may do so at once.

    Args:
        silence_seconds: the runner is asked about a run after so long without a report.
        pause_seconds: between two looks.
        submit_seconds: how long handing over a run may take; before that the runner's not
            knowing a run says nothing.
    """

    database: Database
    control: RunnerControl
    metrics: Metrics
    silence_seconds: float
    pause_seconds: float
    submit_seconds: float

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self.pause_seconds)
            try:
                await self.look()
            except KallaError as error:
                log.warning("reconcile_failed", code=error.code.value)

    async def look(self) -> None:
        """Look once.

        Raises:
            KallaError: DATABASE_UNAVAILABLE, RUNNER_UNAVAILABLE.
        """
        async with self.database.reading() as session:
            rows = await repository.silent(session, self.silence_seconds, BATCH)
        for row in rows:
            with run_context(row.run_id):
                try:
                    await self._settle(row)
                except KallaError as error:
                    if error.code in _NOBODY_ANSWERS:
                        raise
                    # One run that cannot be settled must not keep the others waiting.
                    log.warning("run_not_reconciled", code=error.code.value)

    async def _settle(self, row: RunRow) -> None:
        try:
            job: JobView | None = await self.control.job(row.run_id)
        except KallaError as error:
            if error.code is not Code.RUN_NOT_FOUND:
                raise
            job = None
        async with self.database.writing() as session:
            if job is not None:
                await service.apply_job(session, row, job)
            elif (
                await repository.age_seconds(session, row.run_id) > self.silence_seconds + self.submit_seconds
            ):
                await service.report_error(
                    session,
                    row.run_id,
                    "The runner does not know this run: it never took the job or lost it; start a new run.",
                    Code.RUNNER_UNAVAILABLE.value,
                )
            now = await service.require(session, row.run_id)
        if now.status not in LIVE:
            self.metrics.reconciled.inc()
            log.info("run_reconciled", status=RunStatus(now.status).value)
