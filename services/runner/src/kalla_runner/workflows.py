"""A job as a durable workflow, and the journal behind it (DBOS).

    run_job(text, ...)       stage -> match -> publish, each a journaled step -> outcome
    notify(url, message, ..) delivers the end of a job; a workflow of its own, so that a
                             callback URL that does not answer holds up no job

A workflow is journaled before it starts, started at once in this process and waits here for
a slot; a queue of DBOS would poll for it (measured: 32 ms a job at a poll every 20 ms and
18 % of a core when idle; 3 ms and nothing this way). After a restart, DBOS hands the
unfinished workflows of this executor id to the same functions, in which finished steps are
not run again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowStatus
from kalla_common.domain import JobProgress, JobState
from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import extracted_context, log, run_context
from sqlalchemy.exc import OperationalError

from kalla_runner.board import Board, LiveJob
from kalla_runner.callbacks import Callbacks, ProgressSender, end_message
from kalla_runner.jobs import Recorded
from kalla_runner.metrics import Metrics
from kalla_runner.settings import RunnerSettings
from kalla_runner.steps import Journaled, Steps
from kalla_runner.store.journal import (
    Failure,
    Outcome,
    outcome_from_json,
    outcome_to_json,
    spec_from_text,
)

APPLICATION: Final = "kalla-runner"
VERSION: Final = "kalla-runner-v1"
"""Jobs of one version are only taken up by the same version: change it if the steps change."""
RUN_JOB: Final = "kalla_run_job"
NOTIFY: Final = "kalla_notify"
STAGE_ATTEMPTS: Final = 3


class Workflows:
    """Runs jobs. One instance a process: DBOS is one a process."""

    def __init__(self, board: Board, steps: Steps, callbacks: Callbacks, metrics: Metrics) -> None:
        self._board = board
        self._steps = steps
        self._callbacks = callbacks
        self._metrics = metrics
        self._run = DBOS.workflow(name=RUN_JOB)(self._make_run_job())
        self._notify = DBOS.workflow(name=NOTIFY)(self._make_notify())
        self._senders: dict[str, ProgressSender] = {}

    async def find(self, run_id: str) -> Recorded | None:
        """The job of this id as the journal has it."""
        status = await DBOS.get_workflow_status_async(run_id)
        if status is None or status.name != RUN_JOB or status.input is None:
            return None
        text, _, created = status.input["args"]
        return Recorded(text, _moment(created), _moment(status.updated_at), _outcome(status))

    async def start(self, live: LiveJob, carrier: Mapping[str, str]) -> bool:
        """Journal a job and start it; False if the id was taken meanwhile."""
        job = live.job
        created = int(job.created_at.timestamp() * 1000)
        with SetWorkflowID(job.run_id):
            handle = await DBOS.start_workflow_async(self._run, live.text, dict(carrier), created)
        # A handle that polls was given for a workflow that somebody else started.
        return "Polling" not in type(handle).__name__

    def _make_run_job(self) -> Any:
        # DBOS registers functions, not bound methods.
        async def run_job(text: str, carrier: dict[str, str], created: int) -> Journaled:
            return await self._run_job(text, carrier, created)

        return run_job

    def _make_notify(self) -> Any:
        async def notify(url: str, message: Journaled, carrier: dict[str, str]) -> bool:
            with extracted_context(carrier), run_context(message["body"]["run_id"]):
                return await DBOS.run_step_async({"name": "deliver"}, self._deliver, url, message)

        return notify

    async def _deliver(self, url: str, message: Journaled) -> bool:
        await self._steps.pause_point("notify")
        sender = self._senders.pop(message["body"]["run_id"], None)
        if sender is not None:
            await sender.drain(self._callbacks.timeout_seconds)
        taken = await self._callbacks.deliver(url, message)
        await self._steps.pause_point("notify-done")
        return taken

    async def _run_job(self, text: str, carrier: dict[str, str], created: int) -> Journaled:
        spec = spec_from_text(text)
        live = self._board.get(spec.run_id)
        if live is None:
            live = LiveJob(spec, text, _moment(created))
            self._board.adopt(live)
        with extracted_context(carrier), run_context(spec.run_id):
            has_slot = await self._board.take_slot(live)
            sender = ProgressSender(self._callbacks, spec.callback_url, spec.run_id)
            try:
                outcome = await self._carry_out(live, sender)
            except BaseException:
                sender.stop()
                raise
            finally:
                if has_slot:
                    self._board.free_slot()
            await self._finish(live, outcome, carrier, sender)
        return outcome_to_json(outcome)

    async def _carry_out(self, live: LiveJob, sender: ProgressSender) -> Outcome:
        def report(progress: JobProgress) -> None:
            live.advance(progress)
            sender.offer(progress)

        matched: Journaled = {}
        for _ in range(STAGE_ATTEMPTS):
            staged = await DBOS.run_step_async({"name": "stage"}, self._steps.stage, live, report)
            if "failure" in staged:
                return _failed(staged)
            # Said here too, because steps that a former process finished report nothing any more.
            for alias in staged["ok"]["rows"]:
                report(JobProgress("staging", 1.0, source=alias))
            matched = await DBOS.run_step_async(
                {"name": "match"}, self._steps.match, live, staged["ok"], report
            )
            if "failure" in matched:
                return _failed(matched)
            if "lost" not in matched["ok"]:
                report(_all_matched(matched["ok"]["result"]))
                break
        published = await DBOS.run_step_async({"name": "publish"}, self._steps.publish, live, matched["ok"])
        if "failure" in published:
            return _failed(published)
        return outcome_from_json(
            {"state": JobState.COMPLETED.value, "result": published["ok"]["result"], "failure": None}
        )

    async def _finish(
        self, live: LiveJob, outcome: Outcome, carrier: dict[str, str], sender: ProgressSender
    ) -> None:
        """Tell everybody; the last step has journaled the outcome, so it cannot change any more."""
        spec = live.spec
        sender.finish()
        await self._steps.clean(live)
        live.end(outcome)
        self._metrics.ended(outcome.state)
        self._board.forget_later(spec.run_id)
        log.info("run_ended", state=outcome.state.value)
        if spec.callback_url:
            message = end_message(spec.run_id, outcome)
            self._senders[spec.run_id] = sender
            with SetWorkflowID(f"{spec.run_id}:notify"):
                await DBOS.start_workflow_async(self._notify, spec.callback_url.rstrip("/"), message, carrier)


def launch(settings: RunnerSettings) -> None:
    """Connect to the journal and take up unfinished jobs; call in the main event loop.

    Raises:
        KallaError: DATABASE_UNAVAILABLE.
    """
    try:
        DBOS.launch()
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"Kalla's own database cannot be used: {reason}; check that it runs and what database_url says.",
        ) from error
    logger = logging.getLogger("dbos")
    # Its own handler would write plain lines between the JSON ones.
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[settings.log_level]))


def configure(settings: RunnerSettings) -> None:
    """Name the journal; call before any workflow is made."""
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": _psycopg_url(settings.database_url),
        "dbos_system_schema": "dbos",
        "application_version": VERSION,
        "executor_id": settings.executor_id,
        "log_level": "WARNING",
        "enable_otlp": False,
    }
    DBOS(config=config)


def stop() -> None:
    """Leave the journal; unfinished workflows stay unfinished in it."""
    with suppress(Exception):
        DBOS.destroy()


def _psycopg_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"postgresql://{rest}" if scheme.startswith("postgres") else url


def _all_matched(result: Journaled) -> JobProgress:
    """The last progress of matching, from a journaled JobResult."""
    totals = (result["left"]["total_rows"], result["right"]["total_rows"])
    return JobProgress("matching", 1.0, result["matched_count"], *totals)


def _failed(step: Journaled) -> Outcome:
    return Outcome.failed(Failure(**step["failure"]))


def _outcome(status: WorkflowStatus) -> Outcome | None:
    if status.status == "SUCCESS" and status.output is not None:
        return outcome_from_json(status.output)
    if status.status in ("PENDING", "ENQUEUED", "DELAYED"):
        return None
    # Only a defect of ours ends a workflow in another way: failures are results.
    return Outcome.failed(Failure.internal())


def _moment(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
