"""Looks at sources when they are registered, through the runner."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

from kalla_common.db import Database
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerControl
from kalla_common.telemetry import log

from kalla_gateway.sources.service import CONNECTED, UNREACHABLE, note_contact
from kalla_gateway.sources.tables import SourceRow

MAX_WAITING: Final = 1000
AT_ONCE: Final = 4
"""Looks under way at once: a source that does not answer must not hold up the others."""

OF_THE_RUNNER: Final = frozenset(
    {
        Code.RUNNER_UNAVAILABLE,
        Code.DATABASE_UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.QUEUE_FULL,
        Code.CANCELLED,
        Code.INTERNAL,
    }
)
"""Errors that leave open what the source is like."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a source showed; `unknown` while there is no answer."""

    status: Literal["connected", "error", "unknown"]
    error: KallaError | None = None


class SourceContact:
    """Has the runner look at sources. A lost look leaves a status unknown.

    Args:
        database: where the outcome is noted.
        control: of the runner.
        seconds: how long `look` waits; the look itself goes on.
    """

    def __init__(self, database: Database, control: RunnerControl, seconds: float) -> None:
        self._database = database
        self._control = control
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._looks: set[asyncio.Task[Look]] = set()

    def look_soon(self, source: SourceRow) -> None:
        """Have a source looked at in the background."""
        self._start(source)

    async def look(self, source: SourceRow) -> Look:
        """Look at a registered source, as long as callers should wait, and note the outcome."""
        look = self._start(source)
        if look is None:
            return Look("unknown", KallaError(Code.QUEUE_FULL, "Too many sources wait to be looked at."))
        await asyncio.wait({look}, timeout=self._seconds)
        if look.done():
            return look.result()
        sentence = (
            f"The look at the source takes longer than {self._seconds:g} s; GET /api/sources shows its end."
        )
        return Look("unknown", KallaError(Code.DEADLINE_EXCEEDED, sentence))

    async def require(self, alias: str, uri: str) -> None:
        """Look at a source that is not registered yet.

        Raises:
            KallaError: whatever keeps it from being read, or RUNNER_UNAVAILABLE.
        """
        await self._control.describe(SourceSpec(alias, uri))

    async def close(self) -> None:
        """Give up all looks."""
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    def _start(self, source: SourceRow) -> asyncio.Task[Look] | None:
        if len(self._looks) >= MAX_WAITING:
            log.warning("source_contact_skipped", alias=source.alias)
            return None
        look = asyncio.create_task(self._look(source), name=f"look at {source.alias}")
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        return look

    async def _look(self, source: SourceRow) -> Look:
        async with self._slots:
            try:
                look = await self._outcome(source)
                if look.status != "unknown":
                    status = CONNECTED if look.status == "connected" else UNREACHABLE
                    await note_contact(self._database, source, status)
            except KallaError as error:
                # The database is away; the caller has been answered, or is told so by the next request.
                look = Look("unknown", error)
        if look.error is not None:
            log.info("source_contact_failed", alias=source.alias, code=look.error.code.value)
        return look

    async def _outcome(self, source: SourceRow) -> Look:
        try:
            await self._control.describe(SourceSpec(source.alias, source.uri))
        except KallaError as error:
            return Look("unknown" if error.code in OF_THE_RUNNER else "error", error)
        return Look("connected")
