"""The steps of a job. Each may run again after a crash and writes only into a folder of its own.

A step returns JSON values for the journal: {"ok": ...} or {"failure": ...}. A failure is a
result like any other: it is journaled, so that a job that failed stays failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from kalla_common.domain import JobProgress, JobResult, JobState
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_common.telemetry import log, tracer

from kalla_runner.board import Board, LiveJob
from kalla_runner.children.ends import ChildKilledError
from kalla_runner.children.pool import ChildPool
from kalla_runner.children.protocol import MatchTask, StageTask
from kalla_runner.metrics import Metrics
from kalla_runner.outputs.publish import check_output_path, publish
from kalla_runner.outputs.s3 import check_s3_output, publish_to_s3
from kalla_runner.s3.address import is_s3
from kalla_runner.settings import RunnerSettings
from kalla_runner.store.folders import RunFolders
from kalla_runner.store.journal import Failure

STAGED_LOST: Final = "staged data lost"
"""Instead of a result: the staged data are gone (another disk after a restart), stage again."""

CHILD_ATTEMPTS: Final = 3
"""How often a step is tried whose child is ended from outside."""

Journaled = dict[str, Any]


class Steps:
    """Carries out the steps with the processes and folders of this runner."""

    def __init__(
        self,
        settings: RunnerSettings,
        pool: ChildPool,
        folders: RunFolders,
        board: Board,
        metrics: Metrics,
        *,
        s3: S3Settings,
    ) -> None:
        self._settings = settings
        self._s3 = s3
        self._pool = pool
        self._folders = folders
        self._board = board
        self._metrics = metrics

    async def stage(self, live: LiveJob, report: Callable[[JobProgress], None]) -> Journaled:
        """Check the job, pin and read its sources; ok: folder and rows by alias."""
        return await self._step("stage", live, lambda: self._stage(live, report))

    async def match(
        self, live: LiveJob, staged: Journaled, report: Callable[[JobProgress], None]
    ) -> Journaled:
        """Match what was staged; ok: folder and result, or STAGED_LOST."""
        return await self._step("match", live, lambda: self._match(live, staged, report))

    async def publish(self, live: LiveJob, matched: Journaled) -> Journaled:
        """Let the outputs appear at the job's output_path; ok: the result."""
        return await self._step("publish", live, lambda: self._publish(live, matched))

    async def clean(self, live: LiveJob) -> None:
        """Remove what attempts left."""
        await asyncio.to_thread(self._clean, live)

    def _clean(self, live: LiveJob) -> None:
        output = live.spec.output_path
        self._folders.remove(live.spec.run_id, output if is_s3(output) else str(Path(output).resolve()))

    async def pause_point(self, name: str) -> None:
        """For kill tests: stop for ever here if the settings say so."""
        if self._settings.pause_at == name:
            log.warning("paused_for_a_test", pause_at=name)
            await asyncio.Event().wait()

    async def _step(self, name: str, live: LiveJob, work: Callable[[], Awaitable[Journaled]]) -> Journaled:
        began = time.perf_counter()
        with tracer.start_as_current_span(f"run.{name}", attributes={"kalla.run_id": live.spec.run_id}):
            try:
                live.check_cancelled()
                await self.pause_point(name)
                done = await _repeated(work, live)
                await self.pause_point(f"{name}-done")
            except KallaError as error:
                log.info("step_failed", step=name, code=error.code.value, error=error.message)
                return {"failure": asdict(Failure.of(error))}
            except Exception:  # noqa: BLE001 - a defect ends the run, not the runner
                log.exception("step_failed_unexpectedly", step=name)
                return {"failure": asdict(Failure.internal())}
        self._metrics.stage(name, int(done.get("row_count", 0)), time.perf_counter() - began)
        return {"ok": done}

    async def _stage(self, live: LiveJob, report: Callable[[JobProgress], None]) -> Journaled:
        spec, settings = live.spec, self._settings
        output = await asyncio.to_thread(self._prepare, live)
        folder = await asyncio.to_thread(self._folders.new_stage, spec.run_id)
        roots, silence = settings.allowed_roots, settings.source_silence_seconds
        task = StageTask(spec, folder, roots, self._threads(), self._s3, silence)
        rows: dict[str, int] = await self._pool.run(task, report, live.cancelled)
        return {"folder": str(folder), "output": output, "rows": rows, "row_count": sum(rows.values())}

    def _prepare(self, live: LiveJob) -> str:
        """Check the output path and remove what dead attempts left; returns the real output path."""
        spec = live.spec
        roots = self._settings.output_roots(trial=spec.trial)
        if is_s3(spec.output_path):
            output = check_s3_output(spec.output_path, self._s3, spec.run_id)
        else:
            output = str(check_output_path(spec.output_path, roots, spec.run_id))
        self._folders.remove(spec.run_id, output)
        return output

    async def _match(
        self, live: LiveJob, staged: Journaled, report: Callable[[JobProgress], None]
    ) -> Journaled:
        spec, settings = live.spec, self._settings
        source, output = Path(staged["folder"]), str(staged["output"])
        if not await asyncio.to_thread(source.exists):
            return {"lost": STAGED_LOST}
        await asyncio.to_thread(self._folders.remove_outputs, spec.run_id, output)
        folder = self._folders.new_output(spec.run_id, output)
        roots, memory = settings.allowed_roots, settings.memory_per_child
        witness = settings.witness_for(spec.witness, trial=spec.trial)
        task = MatchTask(spec, source, folder, output, roots, self._threads(), memory, witness)
        result: JobResult = await self._pool.run(task, report, live.cancelled)
        return {
            "folder": str(folder),
            "output": output,
            "result": asdict(result),
            "row_count": result.matched_count,
        }

    async def _publish(self, live: LiveJob, matched: Journaled) -> Journaled:
        # From here on the outputs may be seen, so it is too late to cancel.
        live.publishing = True
        await asyncio.to_thread(self._publish_outputs, live, Path(matched["folder"]), matched["output"])
        return {"result": matched["result"]}

    def _publish_outputs(self, live: LiveJob, folder: Path, output: str) -> None:
        if is_s3(output):
            publish_to_s3(folder, output, self._s3, live.spec.run_id)
        else:
            publish(folder, Path(output), live.spec.run_id)

    def _threads(self) -> int:
        return self._settings.threads_for(self._board.count(JobState.RUNNING))


async def _repeated(work: Callable[[], Awaitable[Journaled]], live: LiveJob) -> Journaled:
    """Do a step, and again where its child was ended from outside: each attempt has a folder of its own."""
    for _ in range(CHILD_ATTEMPTS - 1):
        try:
            return await work()
        except ChildKilledError as killed:
            log.warning("step_begins_again", signal=killed.signal_name)
            live.check_cancelled()
    try:
        return await work()
    except ChildKilledError as killed:
        raise KallaError(
            Code.RUNNER_UNAVAILABLE,
            f"The process of the run was ended from outside of Kalla ({killed.signal_name}) {CHILD_ATTEMPTS}"
            " times: find what ends processes on this machine, then start the run again.",
        ) from None
