"""The REST endpoints of sources."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from kalla_common.filters_json import parse_conditions

from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute
from kalla_gateway.sources import repository, service
from kalla_gateway.sources.schemas import (
    DEFAULT_LOAD,
    DEFAULT_PREVIEW,
    MAX_LOAD,
    MAX_PREVIEW,
    LoadScoped,
    RegisterSource,
    SourceOut,
    SourceRowsOut,
    SourceSaved,
)

_READING = documented(400, 403, 404, 409, 422, 502, 503, 504, 507)

# An alias may hold a slash.
router = APIRouter(prefix="/api/sources", tags=["Sources"], route_class=ExactJsonRoute)


@router.get("", responses=documented(503))
async def list_sources(services: Services) -> list[SourceOut]:
    """List all sources, newest first."""
    async with services.database.reading() as session:
        return [SourceOut.of(row) for row in await repository.newest_first(session)]


@router.post("", responses=_READING, response_model_exclude_none=True)
async def register_source(
    body: RegisterSource,
    services: Services,
    check: Annotated[
        bool, Query(description="Refuse a source that cannot be read, with the error that reading it gives.")
    ] = False,
) -> SourceSaved:
    """Register a source, or update the one with its alias, and look at it."""
    if check:
        async with services.database.reading() as session:
            uri = await service.completed_uri(session, body.alias, body.uri, body.source_type)
        await services.contact.require(body.alias, uri)
    async with services.database.writing() as session:
        row, replaced = await service.register(session, body.alias, body.uri, body.source_type)
    return SourceSaved.of(await services.contact.look(row), replaced=replaced)


@router.get("/{alias:path}/preview", responses=_READING)
async def preview_source(
    alias: str,
    services: Services,
    limit: Annotated[
        int, Query(ge=1, description=f"More than {MAX_PREVIEW} counts as {MAX_PREVIEW}.")
    ] = DEFAULT_PREVIEW,
) -> SourceRowsOut:
    """Show the columns and some rows of a source."""
    page = await services.source_reader.read(alias, (), min(limit, MAX_PREVIEW))
    return SourceRowsOut.of(alias, page)


@router.post("/{alias:path}/load-scoped", responses=_READING)
async def load_scoped(alias: str, services: Services, body: LoadScoped) -> SourceRowsOut:
    """Load the rows of a source that fulfil all conditions."""
    filters = parse_conditions(body.conditions or [])
    limit = DEFAULT_LOAD if body.limit is None else min(body.limit, MAX_LOAD)
    return SourceRowsOut.of(alias, await services.source_reader.read(alias, filters, limit))
