"""The jobs that this process works on, and the slots in which they run.

What is here is not worth journaling: progress, who waits for a change, who is next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kalla_common.domain import JobProgress, JobResult, JobSpec, JobState
from kalla_common.errors import Code, KallaError

from kalla_runner.store.journal import Failure, Outcome

FORGET_SECONDS = 60.0
"""An ended job stays on the board so long, until its end is in the journal for certain."""


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
