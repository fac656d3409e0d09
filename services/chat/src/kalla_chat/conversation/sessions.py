"""Sessions as they are stored and shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from kalla_common.db import Database, WriteSession
from kalla_common.errors import KallaError
from kalla_common.telemetry import log

from kalla_chat.conversation.events import Message, RunView, Session
from kalla_chat.conversation.phases import phase_of, status_of
from kalla_chat.conversation.state import State
from kalla_chat.store import repository
from kalla_chat.store.tables import MessageRow, SessionRow
from kalla_chat.work.ports import Catalog
from kalla_chat.work.recipes import recipe_of


class Sessions:
    """Creates and shows sessions."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self.database = database
        self._catalog = catalog

    async def create(self, request_id: str = "") -> UUID:
        """Begin a session; the same `request_id` again is the same session.

        Raises:
            KallaError: DATABASE_UNAVAILABLE.
        """
        session_id = uuid5(NAMESPACE_URL, f"kalla:chat:{request_id}") if request_id else uuid4()
        async with self.database.writing() as session:
            await repository.add(session, fresh_row(session_id))
        return session_id

    async def show(self, session_id: UUID, *, with_messages: bool = True) -> Session:
        """A session as it is now, a run of it as far as the gateway knows it.

        Raises:
            KallaError: SESSION_NOT_FOUND, DATABASE_UNAVAILABLE.
        """
        async with self.database.reading() as session:
            row = await repository.require(session, session_id)
            messages = await repository.messages(session, session_id) if with_messages else ()
        shown = shown_session(row, tuple(shown_message(message) for message in messages))
        if shown.status != "running" or shown.run is None:
            return shown
        try:
            run = await self._catalog.run(shown.run.run_id)
        except KallaError as error:
            log.warning("run_not_shown", run_id=shown.run.run_id, code=error.code.value)
            return shown
        return replace(shown, run=RunView(run.run_id, run.status, run.stage, run.progress))


def parse_session_id(text: str) -> UUID:
    """The id; raises SESSION_NOT_FOUND for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise repository.unknown(text) from None


def fresh_row(session_id: UUID) -> SessionRow:
    """A session of which nothing is known."""
    return SessionRow(session_id=session_id, **columns_of(State()))


def columns_of(state: State) -> dict[str, Any]:
    """What is stored of a state."""
    return {
        "phase": phase_of(state).name.value,
        "status": status_of(state).value,
        "state": state.model_dump(mode="json"),
    }


def shown_session(row: SessionRow, messages: tuple[Message, ...] = ()) -> Session:
    """The public form of a row."""
    state = State.model_validate(row.state)
    run = None
    if state.run is not None and state.run.run_id:
        run = RunView(state.run.run_id, state.run.status)
    return Session(
        session_id=str(row.session_id),
        phase=row.phase,
        status=row.status,
        state=state,
        recipe=recipe_of(state),
        run=run,
        created_at=row.created_at,
        updated_at=row.updated_at,
        messages=messages,
    )


def shown_message(row: MessageRow) -> Message:
    """The public form of a row."""
    return Message(row.role, row.content, tuple(row.cards), row.created_at)


async def store_answer(
    session: WriteSession, row: SessionRow, state: State, answer: MessageRow
) -> MessageRow:
    """Add an answer and keep what the conversation came to with it."""
    stored = await repository.append(session, answer)
    await repository.store_state(session, row, columns_of(state))
    return stored
