"""Follows the runs that sessions started, and tells how they end.

Several processes may follow one run: the session's lock lets the end be told once. After a restart
the sessions that wait are found in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

from kalla_common.db import Database
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerControl
from kalla_common.telemetry import log

from kalla_chat.conversation import cards
from kalla_chat.conversation.events import Answer, Event, Message, RunView
from kalla_chat.conversation.sessions import shown_message, shown_session, store_answer
from kalla_chat.conversation.state import State
from kalla_chat.store import repository
from kalla_chat.store.locks import SessionLocks
from kalla_chat.store.tables import MessageRow, SessionRow
from kalla_chat.work.ports import Catalog, CatalogRun
from kalla_chat.work.runs import result_card

IDLE_SECONDS = 10.0
"""How often the database is asked for sessions that another process left behind."""


class RunFollower:
    """Looks at the runs of sessions until they have ended.

    Args:
        database: where sessions are.
        catalog: knows the runs.
        control: knows what a run noticed.
        locks: one writer a session at a time.
        pause_seconds: between two looks.
    """

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        control: RunnerControl,
        locks: SessionLocks,
        pause_seconds: float,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._control = control
        self._locks = locks
        self._pause = pause_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A session began to wait for a run."""
        self._woken.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            waiting = False
            try:
                waiting = await self._look()
            except KallaError as error:
                log.warning("runs_not_followed", code=error.code.value)
                waiting = True
            if waiting:
                await asyncio.sleep(self._pause)
                continue
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), IDLE_SECONDS)
            except TimeoutError:
                continue

    async def follow(self, session_id: UUID) -> AsyncGenerator[Event]:
        """The progress of a session's run, and the message about its end.

        Raises:
            KallaError: what asking for the run raises.
        """
        last: RunView | None = None
        while True:
            async with self._database.reading() as session:
                row = await repository.require(session, session_id)
            shown = shown_session(row)
            if shown.status != "running" or shown.run is None:
                message = await self._last_message(session_id)
                yield Answer(message, shown)
                return
            run = await self._run(shown.run.run_id)
            view = RunView(run.run_id, run.status, run.stage, run.progress)
            if view != last:
                yield view
                last = view
            if run.ended:
                await self._end(session_id, run)
            else:
                await asyncio.sleep(self._pause)

    async def _last_message(self, session_id: UUID) -> Message:
        async with self._database.reading() as session:
            return shown_message((await repository.messages(session, session_id, last=1))[0])

    async def _look(self) -> bool:
        """Tell of all runs that have ended; whether sessions still wait."""
        async with self._database.reading() as session:
            waiting = await repository.running(session)
        for session_id in waiting:
            async with self._database.reading() as session:
                shown = shown_session(await repository.require(session, session_id))
            if shown.run is None:
                continue
            run = await self._run(shown.run.run_id)
            if run.ended:
                await self._end(session_id, run)
        return bool(waiting)

    async def _run(self, run_id: str) -> CatalogRun:
        try:
            return await self._catalog.run(run_id)
        except KallaError as error:
            if error.code is not Code.RUN_NOT_FOUND:
                raise
            # Somebody removed it: nothing is left to wait for.
            return CatalogRun(run_id, "failed", 0, 0, 0, "The run is not there any more.", "", 0.0, {})

    async def _end(self, session_id: UUID, run: CatalogRun) -> None:
        async with self._locks.holding(session_id):
            async with self._database.reading() as session:
                row = await repository.require(session, session_id)
            state = State.model_validate(row.state)
            if state.run is None or state.run.run_id != run.run_id or row.status != "running":
                return
            await self._tell(row, state, run)
        log.info("run_told", session_id=str(session_id), run_id=run.run_id, status=run.status)

    async def _tell(self, row: SessionRow, state: State, run: CatalogRun) -> None:
        if state.run is None:
            return
        shown: list[cards.Json] = []
        state.run.status = run.status
        if run.status == "completed":
            text, card = await result_card(run, self._control, state)
            shown.append(cards.issue(state, card))
        else:
            # Back to the proposal: it may be changed, or run again.
            state.accepted = False
            state.run.error = run.error
            reason = run.error or "No reason is known."
            text = f"The run ended as {run.status}. {reason} You can change something, or run it again."
            if state.draft is not None:
                shown.append(cards.issue(state, cards.rule_summary(state.draft)))
        message = MessageRow(session_id=row.session_id, number=0, role="assistant", content=text, cards=shown)
        async with self._database.writing() as session:
            await store_answer(session, row, state, message)
