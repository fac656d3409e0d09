"""One answer at a time.

    message -> wait for the session's lock -> store it -> agent -> store the answer and the state, at once
            -> (a run was started) its progress and its end

An answer goes on when its caller goes away: whoever sends the message again under the same name
gets the answer that was stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log, redact

from kalla_chat.agents.base import Agent
from kalla_chat.agents.pressing import check_pressed
from kalla_chat.conversation.events import Answer, Event, Note, TextDelta
from kalla_chat.conversation.following import RunFollower
from kalla_chat.conversation.sessions import (
    Sessions,
    parse_session_id,
    shown_message,
    shown_session,
    store_answer,
)
from kalla_chat.conversation.state import State
from kalla_chat.store import repository
from kalla_chat.store.locks import SessionLocks
from kalla_chat.store.tables import MessageRow, SessionRow
from kalla_chat.work.turn import Asked, Turn

MAX_TEXT = 20_000
"""Characters of one message."""
HISTORY = 20
"""Messages before the present one that an agent is told."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message on its way in. `session_id` "" begins a session; `request_id` "" is no name."""

    session_id: str
    asked: Asked
    request_id: str = ""


class Turns:
    """Answers messages.

    Args:
        sessions: where they are kept.
        locks: one answer at a time.
        agent: who answers.
        follower: tells of runs.
        seconds: how long one answer may take.
    """

    def __init__(
        self, sessions: Sessions, locks: SessionLocks, agent: Agent, follower: RunFollower, seconds: float
    ) -> None:
        self._sessions = sessions
        self._database = sessions.database
        self._locks = locks
        self._agent = agent
        self._follower = follower
        self._seconds = seconds
        self._under_way: set[asyncio.Task[None]] = set()

    async def send(self, incoming: Incoming) -> AsyncGenerator[Event]:
        """Answer a message.

        Raises:
            KallaError: INVALID_REQUEST, SESSION_NOT_FOUND, DATABASE_UNAVAILABLE, DEADLINE_EXCEEDED.
        """
        _check(incoming)
        if incoming.session_id:
            session_id = parse_session_id(incoming.session_id)
        else:
            session_id = await self._sessions.create(incoming.request_id)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self._answer(session_id, incoming, events))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        task.add_done_callback(lambda _: events.put_nowait(None))
        running = False
        while (event := await events.get()) is not None:
            running = isinstance(event, Answer) and event.session.status == "running"
            yield event
        await asyncio.shield(task)
        if running:
            async with aclosing(self._follower.follow(session_id)) as following:
                async for event in following:
                    yield event

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        # Its caller may be gone: then nobody else looks at how it ended.
        error = None if task.cancelled() else task.exception()
        if error is not None:
            code = error.code.value if isinstance(error, KallaError) else Code.INTERNAL.value
            log.warning("message_not_answered", code=code)

    async def finish(self, seconds: float) -> None:
        """Give answers under way so long, then break them off; each may be asked for again."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _answer(
        self, session_id: UUID, incoming: Incoming, events: asyncio.Queue[Event | None]
    ) -> None:
        if self._locks.busy(session_id):
            events.put_nowait(Note("Answering the message before this one ..."))
        async with self._locks.holding(session_id):
            try:
                async with asyncio.timeout(self._seconds):
                    await self._answer_now(session_id, incoming, events)
            except TimeoutError:
                raise KallaError(
                    Code.DEADLINE_EXCEEDED,
                    f"The answer took longer than {self._seconds:.0f} s; narrow the sources by a filter.",
                    session_id=str(session_id),
                ) from None

    async def _answer_now(
        self, session_id: UUID, incoming: Incoming, events: asyncio.Queue[Event | None]
    ) -> None:
        row, question, answered = await self._take(session_id, incoming)
        before = await self._before(question)
        if answered is not None:
            events.put_nowait(Answer(shown_message(answered), shown_session(row)))
            return
        state = State.model_validate(row.state)
        turn = Turn(
            session_id,
            state,
            incoming.asked,
            note=lambda text: events.put_nowait(Note(text)),
            speak=lambda text: events.put_nowait(TextDelta(text)),
            before=before,
        )
        await self._agent.answer(turn)
        content = "\n\n".join(turn.texts)
        async with self._database.writing() as session:
            answer = MessageRow(
                session_id=session_id,
                number=0,
                role="assistant",
                content=content,
                cards=turn.shown,
                answers=question.number,
            )
            stored = await store_answer(session, row, turn.state, answer)
            now = await repository.require(session, session_id)
        log.info("message_answered", session_id=str(session_id), phase=now.phase, status=now.status)
        if now.status == "running":
            self._follower.wake()
        events.put_nowait(Answer(shown_message(stored), shown_session(now)))

    async def _before(self, question: MessageRow) -> list[tuple[str, str]]:
        async with self._database.reading() as session:
            rows = await repository.messages(
                session, question.session_id, before=question.number, last=HISTORY
            )
        return [(row.role, row.content) for row in rows]

    async def _take(
        self, session_id: UUID, incoming: Incoming
    ) -> tuple[SessionRow, MessageRow, MessageRow | None]:
        """Store the message, unless it is there already; the third is its answer, if it has one."""
        async with self._database.writing() as session:
            row = await repository.require(session, session_id)
            if incoming.request_id:
                known = await repository.asked_before(session, session_id, incoming.request_id)
                if known is not None:
                    return row, known, await repository.answer_to(session, session_id, known.number)
            if incoming.asked.pressed is not None:
                check_pressed(State.model_validate(row.state), incoming.asked.pressed)
            question = MessageRow(
                session_id=session_id,
                number=0,
                role="user",
                # A pasted URI may hold a password: it is not kept.
                content=redact(_content(incoming.asked)),
                cards=[],
                request_id=incoming.request_id or None,
            )
            return row, await repository.append(session, question), None


def _content(asked: Asked) -> str:
    """What the history shows of a message."""
    parts: list[str] = [asked.text] if asked.text else []
    if asked.pressed is not None:
        value = "" if asked.pressed.value is None else f": {asked.pressed.value}"
        parts.append(f"[{asked.pressed.action}{value}]")
    parts += [f"[file {upload.filename}]" for upload in asked.uploads]
    return "\n".join(parts)


def _check(incoming: Incoming) -> None:
    asked = incoming.asked
    if not asked.text.strip() and asked.pressed is None:
        raise KallaError(Code.INVALID_REQUEST, "A chat needs a message or a card_response; give one of them.")
    if len(asked.text) > MAX_TEXT:
        raise KallaError(
            Code.INVALID_REQUEST, f"A message may have {MAX_TEXT:,} characters; shorten it.", field="message"
        )
    if incoming.request_id and not 8 <= len(incoming.request_id) <= 200:  # noqa: PLR2004
        raise KallaError(
            Code.INVALID_REQUEST,
            "An Idempotency-Key has 8 to 200 characters; use a fresh UUID for each message.",
        )
