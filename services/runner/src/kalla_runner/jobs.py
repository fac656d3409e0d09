"""The jobs of this runner: accepted, watched, cancelled.

    submit -> journal (DBOS) -> workflow takes a slot -> stage -> match -> publish -> notify

The journal is the truth; the board holds the jobs that this process works on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kalla_common.domain import JobSpec, JobState
from kalla_common.errors import Code, KallaError

from kalla_runner.board import Board, Job, LiveJob
from kalla_runner.checks import check_spec
from kalla_runner.store.journal import Outcome, spec_to_text

FOREIGN_POLL_SECONDS = 0.2
"""How often a watched job is read from the journal while no workflow of this process has it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A job as the journal has it; `outcome` is set when it has ended."""

    text: str
    created_at: datetime
    updated_at: datetime
    outcome: Outcome | None


class Journal(Protocol):
    """Where jobs are kept."""

    async def find(self, run_id: str) -> Recorded | None:
        """The job of this id, None if there is none."""
        ...

    async def start(self, live: LiveJob, carrier: Mapping[str, str]) -> bool:
        """Journal a job and start it; False if the id was taken meanwhile."""
        ...


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

    async def spec_text(self, run_id: str) -> str:
        """What was asked under this id, as the journal has it.

        Raises:
            KallaError: RUN_NOT_FOUND.
        """
        live = self._board.get(run_id)
        return live.text if live is not None else (await self._recorded(run_id)).text

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
