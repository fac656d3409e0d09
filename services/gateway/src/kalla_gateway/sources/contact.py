"""Looks at sources soon after they were registered, one at a time."""

from __future__ import annotations

import asyncio

from kalla_common.db import Database
from kalla_common.domain import SourceSpec
from kalla_common.errors import KallaError
from kalla_common.runner.ports import RunnerControl
from kalla_common.telemetry import log

from kalla_gateway.sources.service import CONNECTED, FAILED_CONTACT, UNREACHABLE, note_contact
from kalla_gateway.sources.tables import SourceRow

MAX_WAITING = 1000


class SourceContact:
    """A queue of sources that the runner shall look at. A lost look leaves a status unknown."""

    def __init__(self, database: Database, control: RunnerControl) -> None:
        self._database = database
        self._control = control
        self._waiting: asyncio.Queue[SourceRow] = asyncio.Queue(MAX_WAITING)

    def look_soon(self, source: SourceRow) -> None:
        """Have a source looked at in the background."""
        try:
            self._waiting.put_nowait(source)
        except asyncio.QueueFull:
            log.warning("source_contact_skipped", alias=source.alias)

    async def run(self) -> None:
        """Work the queue until cancelled."""
        while True:
            source = await self._waiting.get()
            try:
                await self._look(source)
            except KallaError as error:
                log.info("source_contact_failed", alias=source.alias, code=error.code.value)

    async def _look(self, source: SourceRow) -> None:
        try:
            await self._control.describe(SourceSpec(source.alias, source.uri))
        except KallaError as error:
            if error.code not in FAILED_CONTACT:
                raise
            await note_contact(self._database, source, UNREACHABLE)
        else:
            await note_contact(self._database, source, CONNECTED)
