"""Trial runs: jobs like any other, whose outputs are looked at and then thrown away."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from kalla_common.domain import JobSpec
from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.jobs import Jobs
from kalla_runner.store.journal import spec_from_text

KEPT_SECONDS: Final = 3600.0
"""Outputs that nobody discarded, because the caller died, go when they are so old."""


class Trials:
    """Where trials write, and how that is removed.

    Args:
        jobs: the jobs.
        folder: the outputs of all trials, a folder a run; made when it is needed.
    """

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self._jobs = jobs
        self._folder = folder

    def placed(self, spec: JobSpec) -> JobSpec:
        """The spec with the place of its outputs; a job that is no trial stays as it is.

        Raises:
            KallaError: INVALID_REQUEST for a trial that names an output_path of its own.
        """
        if not spec.trial:
            return spec
        if spec.output_path:
            raise KallaError(
                Code.INVALID_REQUEST, "A trial has no output_path: its outputs stay with the runner."
            )
        self._remove_old()
        return replace(spec, output_path=str(self._folder / spec.run_id))

    async def discard(self, run_id: str) -> None:
        """Remove the outputs of a trial that has ended; none is no error.

        Raises:
            KallaError: RUN_NOT_FOUND; RESULTS_NOT_READY if it still runs; INVALID_REQUEST if it is no trial.
        """
        text = await self._jobs.spec_text(run_id)
        spec = spec_from_text(text)
        if not spec.trial:
            raise KallaError(
                Code.INVALID_REQUEST, f"The run {run_id} is no trial; its outputs are kept.", run_id=run_id
            )
        job = await self._jobs.get(run_id)
        if not job.state.terminal:
            raise KallaError(
                Code.RESULTS_NOT_READY, f"The trial {run_id} still runs; cancel it first.", run_id=run_id
            )
        await asyncio.to_thread(shutil.rmtree, spec.output_path, ignore_errors=True)

    def _remove_old(self) -> None:
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            try:
                old = time.time() - entry.stat().st_mtime > KEPT_SECONDS
            except FileNotFoundError:
                continue
            if old:
                log.info("old_trial_removed", run_id=entry.name)
                shutil.rmtree(entry, ignore_errors=True)
