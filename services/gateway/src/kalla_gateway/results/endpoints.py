"""The REST endpoint of results: a page as JSON, or rows as a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse
from kalla_common.runner.ports import Output, OutputRows

from kalla_gateway.rest.context import GatewayServices, Services
from kalla_gateway.rest.errors import HttpError, documented
from kalla_gateway.rest.streams import Stream
from kalla_gateway.results.formats import FILE_FORMATS, FileFormat, encoded
from kalla_gateway.results.negotiation import choose
from kalla_gateway.results.schemas import DEFAULT_PAGE, MAX_PAGE, ResultPage
from kalla_gateway.results.service import require_results

JSON = "application/json"
MAX_ROWS = 2**53 - 1

router = APIRouter(prefix="/api/runs", tags=["Results"])


@router.get(
    "/{run_id}/results/{output}",
    response_model=ResultPage,
    responses={
        200: {"content": {name: {} for name in FILE_FORMATS}, "description": "The rows, as accepted."},
        **documented(400, 403, 404, 406, 409, 422, 502, 503, 504, 507),
    },
)
async def get_results(
    run_id: str,
    output: Output,
    services: Services,
    *,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_ROWS,
            description=f"JSON: default {DEFAULT_PAGE}, more than {MAX_PAGE} counts as {MAX_PAGE}."
            " Files: default all.",
        ),
    ] = None,
    offset: Annotated[int, Query(ge=0, le=MAX_ROWS)] = 0,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Return rows of an output in file order: a page as JSON, or all of them as a file."""
    chosen = choose(accept, (JSON, *FILE_FORMATS))
    if chosen is None:
        offered = ", ".join((JSON, *FILE_FORMATS))
        raise HttpError(406, f"Results can be sent as {offered}; name one of them in Accept.")
    await require_results(services.database, run_id)
    if chosen != JSON:
        return await _file(services, OutputRows(run_id, output, limit, offset), FILE_FORMATS[chosen])
    size = min(limit or DEFAULT_PAGE, MAX_PAGE)
    page = await services.rows.page(OutputRows(run_id, output, size, offset))
    # Validated already: a thousand rows need not be walked through again.
    return JSONResponse(ResultPage.of(page, size, offset).model_dump())


async def _file(services: GatewayServices, rows: OutputRows, file_format: FileFormat) -> Response:
    stack = AsyncExitStack()
    # Opened before the answer begins, so that what is wrong still gets a status of its own.
    stream = await stack.enter_async_context(services.rows.stream(rows))

    async def content() -> AsyncIterator[bytes]:
        # Ends the stream on the runner when the client goes away, too.
        async with stack:
            parts = encoded(stream.schema, stream.batches, file_format.encoder, asyncio.to_thread)
            async for part in parts:
                yield part

    name = f"{rows.run_id}_{rows.output.value}.{file_format.suffix}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Stream(content(), media_type=file_format.media_type, headers=headers)
