"""The jobs of this runner: accepted, watched, cancelled.

    submit -> journal (DBOS) -> workflow takes a slot -> stage -> match -> publish -> notify

The journal is the truth. The board holds the jobs that this process works on, with what is
not worth journaling: progress, and who waits for a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from kalla_common.domain import JobProgress, JobResult, JobSpec, JobState
from kalla_common.errors import Code, KallaError

from kalla_runner.checks import check_spec
from kalla_runner.store.journal import Failure, Outcome, spec_to_text

FORGET_SECONDS = 60.0
"""An ended job stays on the board so long, until its end is in the journal for certain."""
FOREIGN_POLL_SECONDS = 0.2
"""How often a watched job is read from the journal while no workflow of this process has it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as callers see it; moments are zone-aware."""

    run_id: str
    state: JobState
    created_at: datetime
    updated_at: datetime
    progress: JobProgress | None = None
    progress_at: datetime | None = None
    result: JobResult | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A job as the journal has it; `outcome` is set when it has ended."""

    text: str
    created_at: datetime
    updated_at: datetime
    outcome: Outcome | None


class LiveJob:
    """A job that this process works on. Used in the event loop alone.

    Attributes:
        cancelled: set to end the job; once `publishing` it is too late.
        publishing: the outputs are about to appear.
    """

    def __init__(self, spec: JobSpec, text: str, created_at: datetime | None = None) -> None:
        now = datetime.now(UTC)
        self.spec = spec
        self.text = text
        self.cancelled = asyncio.Event()
        self.publishing = False
        self._job = Job(spec.run_id, JobState.QUEUED, created_at or now, now)
        self._changed = asyncio.Event()

    @property
    def job(self) -> Job:
        """The job as it is now."""
        return self._job

    def check_cancelled(self) -> None:
        """Raise KallaError(CANCELLED) if the job shall end."""
        if self.cancelled.is_set():
            raise KallaError(Code.CANCELLED, "The run was cancelled.")

    def running(self) -> None:
        """It has a slot."""
        self._set(Job(self.spec.run_id, JobState.RUNNING, self._job.created_at, datetime.now(UTC)))

    def advance(self, progress: JobProgress) -> None:
        """It got on."""
        if not self._job.state.terminal:
            now = datetime.now(UTC)
            self._set(Job(self.spec.run_id, self._job.state, self._job.created_at, now, progress, now))

    def end(self, outcome: Outcome) -> None:
        """It ended, and the journal knows."""
        old = self._job
        self._set(
            Job(
                old.run_id,
                outcome.state,
                old.created_at,
                datetime.now(UTC),
                old.progress,
                old.progress_at,
                outcome.result,
                outcome.failure,
            )
        )

    async def changes(self) -> AsyncIterator[Job]:
        """The job now and at every change until it has ended; fast changes may be skipped."""
        while True:
            changed, job = self._changed, self._job
            yield job
            if job.state.terminal:
                return
            if job is self._job:
                await changed.wait()

    def _set(self, job: Job) -> None:
        self._job = job
        self._changed.set()
        self._changed = asyncio.Event()


class Journal(Protocol):
    """Where jobs are kept."""

    async def find(self, run_id: str) -> Recorded | None:
        """The job of this id, None if there is none."""
        ...

    async def start(self, live: LiveJob, carrier: Mapping[str, str]) -> bool:
        """Journal a job and start it; False if the id was taken meanwhile."""
        ...


class Board:
    """The live jobs and the slots in which they run.

    Args:
        max_active: jobs that run at once.
        max_queued: jobs that may wait for a slot.
    """

    def __init__(self, max_active: int, max_queued: int) -> None:
        self._limit = max_active + max_queued
        self._max_queued = max_queued
        self._jobs: dict[str, LiveJob] = {}
        self._slots = asyncio.Semaphore(max_active)
        self._early_cancels: set[str] = set()

    def get(self, run_id: str) -> LiveJob | None:
        """The live job of this id."""
        return self._jobs.get(run_id)

    def add(self, job: LiveJob) -> None:
        """Take a new job in.

        Raises:
            KallaError: QUEUE_FULL.
        """
        if self.unfinished >= self._limit:
            raise KallaError(
                Code.QUEUE_FULL,
                f"The runner's queue is full ({self._max_queued} jobs wait): try again later.",
            )
        self._jobs[job.spec.run_id] = job

    def adopt(self, job: LiveJob) -> None:
        """Take in a job of the journal that a former process began, whatever the queue."""
        self._jobs[job.spec.run_id] = job
        if job.spec.run_id in self._early_cancels:
            job.cancelled.set()

    def remove(self, run_id: str) -> None:
        """Forget a job that was not accepted, or whose end is journaled."""
        self._jobs.pop(run_id, None)
        self._early_cancels.discard(run_id)

    def cancel_on_arrival(self, run_id: str) -> None:
        """Cancel a journaled job as soon as its workflow goes on in this process."""
        self._early_cancels.add(run_id)

    def forget_later(self, run_id: str) -> None:
        """Forget an ended job when its end is journaled for certain."""
        asyncio.get_running_loop().call_later(FORGET_SECONDS, self.remove, run_id)

    async def take_slot(self, job: LiveJob) -> bool:
        """Wait for a slot, in the order of arrival; False if the job was cancelled meanwhile."""
        taking, cancelled = (
            asyncio.create_task(self._slots.acquire()),
            asyncio.create_task(job.cancelled.wait()),
        )
        try:
            await asyncio.wait({taking, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
            if not taking.done():
                taking.cancel()
        if taking.done() and not taking.cancelled():
            job.running()
            return True
        return False

    def free_slot(self) -> None:
        """Give a slot back."""
        self._slots.release()

    def count(self, state: JobState) -> int:
        """Live jobs in this state."""
        return sum(live.job.state is state for live in self._jobs.values())

    @property
    def publishing(self) -> bool:
        """Whether outputs are about to appear."""
        return any(live.publishing and not live.job.state.terminal for live in self._jobs.values())

    @property
    def unfinished(self) -> int:
        """Live jobs that have not ended."""
        return sum(not live.job.state.terminal for live in self._jobs.values())


class Jobs:
    """What callers can do with jobs."""

    def __init__(self, board: Board, journal: Journal) -> None:
        self._board = board
        self._journal = journal
        self._submitting: dict[str, asyncio.Lock] = {}
        self._open = False

    def open(self) -> None:
        """Accept jobs from now on."""
        self._open = True

    def close(self) -> None:
        """Accept no more jobs."""
        self._open = False

    async def submit(self, spec: JobSpec, carrier: Mapping[str, str]) -> Job:
        """Accept a job; when this returns it is journaled.

        Args:
            spec: the job; the same id with the same spec again is the same job.
            carrier: the trace that the job belongs to.

        Raises:
            KallaError: INVALID_REQUEST, INVALID_PRIMARY_KEY, INVALID_URI; ALREADY_EXISTS for
                another spec under this id; QUEUE_FULL; RUNNER_UNAVAILABLE while stopping.
        """
        if not self._open:
            raise KallaError(
                Code.RUNNER_UNAVAILABLE, "The runner is starting or stopping: try again in a moment."
            )
        check_spec(spec)
        lock = self._submitting.setdefault(spec.run_id, asyncio.Lock())
        try:
            async with lock:
                return await self._submit(spec, spec_to_text(spec), carrier)
        finally:
            if not lock.locked():
                self._submitting.pop(spec.run_id, None)

    async def get(self, run_id: str) -> Job:
        """The job of this id.

        Raises:
            KallaError: RUN_NOT_FOUND.
        """
        live = self._board.get(run_id)
        if live is not None:
            return live.job
        return _job_of(run_id, await self._recorded(run_id))

    async def watch(self, run_id: str) -> AsyncIterator[Job]:
        """The job now and at every change, until it has ended.

        Raises:
            KallaError: RUN_NOT_FOUND.
        """
        last: Job | None = None
        while True:
            live = self._board.get(run_id)
            if live is not None:
                async for job in live.changes():
                    yield job
                return
            job = _job_of(run_id, await self._recorded(run_id))
            if job != last:
                yield job
                last = job
            if job.state.terminal:
                return
            await asyncio.sleep(FOREIGN_POLL_SECONDS)

    async def cancel(self, run_id: str) -> Job:
        """End a job now; when this returns the job has ended, cancelled if it was not too late.

        Raises:
            KallaError: RUN_NOT_FOUND.
        """
        live = self._board.get(run_id)
        if live is not None:
            if not live.publishing:
                live.cancelled.set()
        elif (await self._recorded(run_id)).outcome is None:
            self._board.cancel_on_arrival(run_id)
        job = await self.get(run_id)
        async for job in self.watch(run_id):  # noqa: B007 - the last one counts
            pass
        return job

    async def _submit(self, spec: JobSpec, text: str, carrier: Mapping[str, str]) -> Job:
        live = self._board.get(spec.run_id)
        if live is not None:
            _same(spec.run_id, live.text, text)
            return live.job
        known = await self._journal.find(spec.run_id)
        if known is not None:
            _same(spec.run_id, known.text, text)
            return _job_of(spec.run_id, known)
        live = LiveJob(spec, text)
        self._board.add(live)
        try:
            mine = await self._journal.start(live, carrier)
        except BaseException:
            self._board.remove(spec.run_id)
            raise
        if not mine:
            self._board.remove(spec.run_id)
            return await self._submit(spec, text, carrier)
        return live.job

    async def _recorded(self, run_id: str) -> Recorded:
        known = await self._journal.find(run_id)
        if known is None:
            raise KallaError(Code.RUN_NOT_FOUND, f"The runner knows no run {run_id}.", run_id=run_id)
        return known


def _same(run_id: str, known: str, asked: str) -> None:
    if known != asked:
        raise KallaError(
            Code.ALREADY_EXISTS,
            f"The run {run_id} exists with another content: use a new run_id.",
            run_id=run_id,
        )


def _job_of(run_id: str, recorded: Recorded) -> Job:
    if recorded.outcome is None:
        # No workflow of this process has it: it waits to be taken up again.
        return Job(run_id, JobState.QUEUED, recorded.created_at, recorded.updated_at)
    return Job(
        run_id,
        recorded.outcome.state,
        recorded.created_at,
        recorded.updated_at,
        result=recorded.outcome.result,
        failure=recorded.outcome.failure,
    )
