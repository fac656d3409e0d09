"""All queries on sessions and messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from kalla_common.db import ReadSession, WriteSession
from kalla_common.errors import Code, KallaError
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from kalla_chat.store.tables import MessageRow, SessionRow


async def add(session: WriteSession, row: SessionRow) -> None:
    """Add a session; one that is there already stays as it is."""
    values = {
        "session_id": row.session_id,
        "phase": row.phase,
        "status": row.status,
        "state": row.state,
    }
    await session.execute(insert(SessionRow).values(values).on_conflict_do_nothing())


async def require(session: ReadSession | WriteSession, session_id: UUID) -> SessionRow:
    """The session as it is now; raises SESSION_NOT_FOUND."""
    row = await session.get(SessionRow, session_id, populate_existing=True)
    if row is None:
        raise unknown(str(session_id))
    return row


def unknown(session_id: str) -> KallaError:
    """The error for a session that is not there."""
    return KallaError(
        Code.SESSION_NOT_FOUND,
        "There is no such chat session; POST /api/chat/sessions begins one.",
        session_id=session_id[:64],
    )


async def messages(
    session: ReadSession | WriteSession,
    session_id: UUID,
    *,
    before: int | None = None,
    last: int | None = None,
) -> Sequence[MessageRow]:
    """Messages of a session, oldest first: those before a number, and of them the `last` ones."""
    query = select(MessageRow).where(col(MessageRow.session_id) == session_id)
    if before is not None:
        query = query.where(col(MessageRow.number) < before)
    newest = (await session.scalars(query.order_by(col(MessageRow.number).desc()).limit(last))).all()
    return newest[::-1]


async def asked_before(session: WriteSession, session_id: UUID, request_id: str) -> MessageRow | None:
    """The user's message that came under this name."""
    query = select(MessageRow).where(
        col(MessageRow.session_id) == session_id, col(MessageRow.request_id) == request_id
    )
    return (await session.scalars(query)).first()


async def answer_to(session: WriteSession, session_id: UUID, number: int) -> MessageRow | None:
    """The answer to a message."""
    query = select(MessageRow).where(
        col(MessageRow.session_id) == session_id, col(MessageRow.answers) == number
    )
    return (await session.scalars(query)).first()


async def append(session: WriteSession, row: MessageRow) -> MessageRow:
    """Add a message behind the last one. Whoever appends holds the session's lock."""
    query = select(func.coalesce(func.max(col(MessageRow.number)), 0)).where(
        col(MessageRow.session_id) == row.session_id
    )
    row.number = int(await session.scalar(query) or 0) + 1
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def store_state(session: WriteSession, row: SessionRow, values: dict[str, Any]) -> None:
    """Replace what changed of a session that is still the one that was read.

    Raises:
        KallaError: DATABASE_UNAVAILABLE if somebody else changed it, which its lock forbids: the
            connection that held the lock was lost.
    """
    statement = (
        update(SessionRow)
        .where(col(SessionRow.session_id) == row.session_id, col(SessionRow.version) == row.version)
        .values(version=row.version + 1, updated_at=func.clock_timestamp(), **values)
        .returning(col(SessionRow.version))
        .execution_options(synchronize_session=False)
    )
    if (await session.execute(statement)).first() is None:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE, "The session changed while it was worked on; send the message again."
        )


async def running(session: ReadSession) -> Sequence[UUID]:
    """Sessions that wait for the end of a run."""
    query = select(col(SessionRow.session_id)).where(col(SessionRow.status) == "running")
    return (await session.scalars(query)).all()
