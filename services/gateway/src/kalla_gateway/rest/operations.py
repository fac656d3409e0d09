"""Is it alive, can it work, what did it do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from kalla_common.errors import KallaError

from kalla_gateway.metrics import CONTENT_TYPE
from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import error_response
from kalla_gateway.rest.schemas import ErrorBody

router = APIRouter(tags=["Operations"])

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorBody, "description": "The database or the runner cannot be reached."}
}


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the process lives."""
    return {"status": "ok"}


@router.get("/ready", responses=_NOT_READY)
async def ready(services: Services) -> JSONResponse:
    """Say whether requests can be served: database and runner answer."""
    try:
        await services.database.ping()
        await services.control.check()
    except KallaError as error:
        response = error_response(error)
        response.status_code = 503
        return response
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(services: Services) -> Response:
    """Prometheus metrics."""
    return Response(services.metrics.text(), headers={"content-type": CONTENT_TYPE})
