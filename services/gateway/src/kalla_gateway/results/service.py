"""Which runs have results."""

from __future__ import annotations

from kalla_common.db import Database
from kalla_common.errors import Code, KallaError

from kalla_gateway.runs import service as run_service
from kalla_gateway.runs.status import LIVE, RunStatus


async def require_results(database: Database, run_id: str) -> None:
    """Require a completed run.

    Raises:
        KallaError: RUN_NOT_FOUND, RESULTS_NOT_READY.
    """
    async with database.reading() as session:
        run = await run_service.require(session, run_id)
    if run.status == RunStatus.COMPLETED:
        return
    hint = "wait until it is completed" if run.status in LIVE else "it will have none; start a new run"
    raise KallaError(
        Code.RESULTS_NOT_READY,
        f"The run is {run.status} and has no results: {hint}.",
        run_id=run_id,
        status=run.status,
    )
