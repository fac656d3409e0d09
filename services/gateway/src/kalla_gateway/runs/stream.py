"""The server-sent events of one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from kalla_common.db import Database
from kalla_common.errors import KallaError
from kalla_common.telemetry import log

from kalla_gateway.runs import service
from kalla_gateway.runs.events import RunEvents
from kalla_gateway.runs.schemas import RunDetails
from kalla_gateway.runs.status import LIVE

ENDED = "ended"
"""Id of the last event: a client that reconnects with it is told that nothing more comes."""


async def run_events(
    database: Database, events: RunEvents, run_id: str, heartbeat_seconds: float
) -> AsyncIterator[str]:
    """Yield events as text until the run has ended or the process stops.

    `state` carries the whole run, first and whenever its status changes; `progress` its
    latest progress. Between them a comment shows that the stream lives.
    """
    status: str | None = None
    progress: str | None = None
    with events.listener(run_id) as changed:
        while not events.closing.is_set():
            changed.clear()
            try:
                async with database.reading() as session:
                    run = RunDetails.of(await service.require(session, run_id))
            except KallaError as error:
                # The stream outlives a database that comes back.
                log.warning("run_events_unread", run_id=run_id, code=error.code.value)
                yield ": waiting for the database\n\n"
            else:
                latest = run.latest_progress.model_dump_json() if run.latest_progress else None
                if run.status != status:
                    event_id = ENDED if run.status not in LIVE else run.status
                    yield _event("state", event_id, run.model_dump_json())
                elif latest is not None and latest != progress:
                    yield _event("progress", "progress", latest)
                status, progress = run.status, latest
                if run.status not in LIVE:
                    return
            try:
                await asyncio.wait_for(changed.wait(), heartbeat_seconds)
            except TimeoutError:
                yield ": alive\n\n"


def _event(name: str, event_id: str, data: str) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n"
