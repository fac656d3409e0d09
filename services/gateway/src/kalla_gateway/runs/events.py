"""Tells whoever waits for a run that it changed, whichever gateway learned of the change.

PostgreSQL carries the news: every change of a run notifies the channel `kalla_run`, and each
gateway listens on one connection. News may be lost while that connection is down, so
listeners also look at the run themselves from time to time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import asyncpg
from kalla_common.telemetry import log

from kalla_gateway.runs.repository import CHANNEL

RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 5.0


class RunEvents:
    """One listening connection, any number of listeners.

    Args:
        dsn: postgresql://... as asyncpg takes it.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.closing = asyncio.Event()
        """Set when the process stops: event streams end."""

    async def run(self) -> None:
        """Listen until cancelled; connect anew when the connection is lost."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("run_events_lost", error=type(error).__name__)
            self._wake_all()
            await asyncio.sleep(RECONNECT_SECONDS)

    @contextmanager
    def listener(self, run_id: str) -> Generator[asyncio.Event]:
        """An event that is set at every change of the run."""
        event = asyncio.Event()
        self._listeners[run_id].add(event)
        try:
            yield event
        finally:
            self._listeners[run_id].discard(event)
            if not self._listeners[run_id]:
                del self._listeners[run_id]

    def close(self) -> None:
        """End all streams."""
        self.closing.set()
        self._wake_all()

    async def _listen(self) -> None:
        connection: Any = await asyncpg.connect(self._dsn, timeout=5)
        try:
            await connection.add_listener(CHANNEL, self._on_notify)
            # What changed while nobody listened is found by looking.
            self._wake_all()
            while True:
                await asyncio.sleep(PROBE_SECONDS)
                # A connection may die without a word; only using it shows that.
                await connection.execute("SELECT 1", timeout=5.0)
        finally:
            await _close(connection)

    def _on_notify(self, _connection: Any, _pid: int, _channel: str, run_id: str) -> None:
        for event in self._listeners.get(run_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._listeners.values():
            for event in events:
                event.set()


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=1.0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        connection.terminate()
