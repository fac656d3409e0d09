"""The REST endpoints of runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute
from kalla_gateway.rest.streams import Stream
from kalla_gateway.runs import service
from kalla_gateway.runs.schemas import CreateRun, RunDetails, RunState, RunSummary
from kalla_gateway.runs.status import LIVE, RunStatus
from kalla_gateway.runs.stream import ENDED, run_events

router = APIRouter(prefix="/api/runs", tags=["Runs"], route_class=ExactJsonRoute)


@router.get("", responses=documented(400, 404, 503))
async def list_runs(
    services: Services,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="Default: all.")] = None,
    before: Annotated[str | None, Query(description="Only runs older than the one of this id.")] = None,
) -> list[RunSummary]:
    """List runs, newest first."""
    async with services.database.reading() as session:
        return [RunSummary.of(row) for row in await service.newest_first(session, limit, before)]


@router.post("", responses=documented(400, 403, 404, 409, 422, 502, 503))
async def create_run(body: CreateRun, services: Services) -> RunState:
    """Create a run and hand it to the runner."""
    outcome = "refused"
    try:
        run = await services.dispatcher.create(body.domain())
        outcome = "submitted"
    finally:
        services.metrics.runs.labels(outcome).inc()
    # A small run may have ended by now; what was asked for here is its submission.
    return RunState(run_id=run.run_id, status=RunStatus.SUBMITTED)


@router.get("/{run_id}", responses=documented(404, 503))
async def get_run(run_id: str, services: Services) -> RunDetails:
    """Return a run with its latest progress."""
    async with services.database.reading() as session:
        return RunDetails.of(await service.require(session, run_id))


@router.post("/{run_id}/cancel", responses=documented(404, 502, 503, 504))
async def cancel_run(run_id: str, services: Services) -> RunState:
    """End a run now; a run that has ended stays as it is."""
    run = await services.dispatcher.cancel(run_id)
    return RunState(run_id=run.run_id, status=run.status)


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events until the run has ended."},
        204: {"description": "The client has seen the end already."},
        **documented(404, 503),
    },
)
async def stream_run(
    run_id: str, services: Services, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Follow a run: `state` events carry the run, `progress` events its latest progress."""
    async with services.database.reading() as session:
        run = await service.require(session, run_id)
    if last_event_id == ENDED and run.status not in LIVE:
        return Response(status_code=204)
    events = run_events(services.database, services.events, run_id, services.settings.heartbeat_seconds)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(events, media_type="text/event-stream", headers=headers)
