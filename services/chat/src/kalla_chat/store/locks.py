"""One answer at a time to each session, across all processes of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from kalla_common.db import database_errors


class SessionLocks:
    """Locks by session, granted in the order in which they were asked for.

    In this process a queue decides, between processes an advisory lock of PostgreSQL, on a
    connection of its own: it may be held for minutes, and ends with its holder.

    Args:
        dsn: postgresql://... as asyncpg takes it.
        wait_seconds: how long to wait for earlier messages.
    """

    def __init__(self, dsn: str, wait_seconds: float) -> None:
        self._dsn = dsn
        self._wait_seconds = wait_seconds
        self._queues: dict[UUID, asyncio.Lock] = {}
        self._waiting: dict[UUID, int] = {}

    def busy(self, session_id: UUID) -> bool:
        """Whether somebody of this process holds the session's lock or waits for it."""
        return session_id in self._queues

    @asynccontextmanager
    async def holding(self, session_id: UUID) -> AsyncGenerator[None]:
        """Hold the session's lock while inside.

        Raises:
            KallaError: DATABASE_UNAVAILABLE.
        """
        queue = self._queues.setdefault(session_id, asyncio.Lock())
        self._waiting[session_id] = self._waiting.get(session_id, 0) + 1
        try:
            async with queue, self._advisory(session_id):
                yield
        finally:
            self._waiting[session_id] -= 1
            if not self._waiting[session_id]:
                del self._waiting[session_id], self._queues[session_id]

    @asynccontextmanager
    async def _advisory(self, session_id: UUID) -> AsyncGenerator[None]:
        key = int.from_bytes(session_id.bytes[:8], signed=True)
        with database_errors():
            connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            with database_errors():
                await connection.execute("SELECT pg_advisory_lock($1)", key, timeout=self._wait_seconds)
            yield
        finally:
            # PostgreSQL lets go of the lock with the connection.
            connection.terminate()
