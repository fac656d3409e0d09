"""The callbacks of the runner. Each may come again, late or out of order: it is applied once."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from kalla_common.errors import Code
from kalla_common.telemetry import log

from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute
from kalla_gateway.runs import service
from kalla_gateway.runs.service import Outcome
from kalla_gateway.runs.status import RunStatus
from kalla_gateway.worker.auth import check_caller
from kalla_gateway.worker.schemas import CompletionReport, ErrorReport, Ok, ProgressReport


async def _allowed(request: Request, services: Services) -> None:
    secret = services.settings.webhook_secret
    check_caller(
        None if secret is None else secret.get_secret_value(),
        request.client.host if request.client else None,
        request.headers,
        await request.body(),
    )


router = APIRouter(
    prefix="/api/worker",
    tags=["Worker Callbacks"],
    route_class=ExactJsonRoute,
    dependencies=[Depends(_allowed)],
    responses=documented(400, 401, 403, 404, 503),
)


@router.post("/progress")
async def report_progress(body: ProgressReport, services: Services, later: BackgroundTasks) -> Ok:
    """Take a progress; an older one than is known changes nothing."""
    async with services.database.writing() as session:
        outcome = await service.report_progress(session, body.run_id, body.domain())
        orphaned = False
        if outcome is Outcome.IGNORED:
            run = await service.require(session, body.run_id)
            orphaned = run.status in (RunStatus.FAILED, RunStatus.CANCELLED)
    _count(services, "progress", body.run_id, outcome)
    if orphaned:
        # Its hand-over went unanswered, or it was cancelled before the runner had it.
        later.add_task(services.dispatcher.end_orphan, body.run_id)
    return Ok()


@router.post("/complete")
async def report_completion(body: CompletionReport, services: Services) -> Ok:
    """Take the end of a completed run."""
    async with services.database.writing() as session:
        outcome = await service.report_completion(session, body.run_id, body.domain())
    _count(services, "complete", body.run_id, outcome)
    return Ok()


@router.post("/error")
async def report_error(body: ErrorReport, services: Services) -> Ok:
    """Take the end of a failed or cancelled run."""
    code = body.code if body.code in set(Code) else None
    async with services.database.writing() as session:
        outcome = await service.report_error(session, body.run_id, body.error, code)
    _count(services, "error", body.run_id, outcome)
    return Ok()


def _count(services: Services, kind: str, run_id: str, outcome: Outcome) -> None:
    services.metrics.callbacks.labels(kind, outcome.value).inc()
    if kind != "progress":
        log.info("run_end_reported", run_id=run_id, kind=kind, outcome=outcome.value)
