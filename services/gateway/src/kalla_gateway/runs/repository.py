"""All queries on runs. Changes only touch live runs: an end stays what it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, cast

from kalla_common.db import ReadSession, WriteSession
from sqlalchemy import cast as cast_to
from sqlalchemy import func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import defer
from sqlmodel import col

from kalla_gateway.runs.status import LIVE, RunStatus
from kalla_gateway.runs.tables import RunRow

CHANNEL: Final = "kalla_run"
"""PostgreSQL channel that names each run that changed."""


async def newest_first(
    session: ReadSession, limit: int | None, before: RunRow | None, *, whole: bool
) -> Sequence[RunRow]:
    """Runs, at most `limit`, only those older than `before`; if not `whole`, without their documents."""
    moment, number = col(RunRow.created_at), col(RunRow.seq)
    query = select(RunRow).order_by(moment.desc(), number.desc()).limit(limit)
    if not whole:
        documents = (RunRow.recipe, RunRow.filters, RunRow.diagnostics, RunRow.progress)
        query = query.options(*(defer(cast("Any", column), raiseload=True) for column in documents))
    if before is not None:
        query = query.where(tuple_(moment, number) < tuple_(before.created_at, before.seq))
    return (await session.scalars(query)).all()


async def find(session: ReadSession | WriteSession, run_id: str) -> RunRow | None:
    """The run with this id, as it is now."""
    return await session.get(RunRow, run_id, populate_existing=True)


async def add(session: WriteSession, row: RunRow) -> None:
    """Add a run. Nobody can wait for its news yet: its id is new."""
    session.add(row)
    await session.flush()


async def store_progress(
    session: WriteSession, run_id: str, progress: dict[str, Any], sequence: int | None, seen: RunRow | None
) -> bool:
    """Store a progress unless the run has ended or a later one is known; say whether it was stored.

    Progress without a sequence that was asked for, rather than reported, is only stored if
    nothing was heard of the run since it was `seen`.
    """
    changes: dict[str, Any] = {
        "status": RunStatus.RUNNING.value,
        "progress": progress,
        "progress_at": func.clock_timestamp(),
    }
    conditions: list[Any] = []
    if sequence is not None:
        changes["progress_sequence"] = sequence
        known = col(RunRow.progress_sequence)
        conditions.append(or_(known.is_(None), known < sequence))
    if seen is not None:
        conditions.append(col(RunRow.heard_at).is_not_distinct_from(seen.heard_at))
    return await _change(session, run_id, changes, *conditions)


async def end(
    session: WriteSession,
    run_id: str,
    status: RunStatus,
    done: dict[str, Any] | None = None,
    **values: Any,
) -> bool:
    """End a live run; say whether it was live. What `done` knows (not None) is merged into its progress."""
    if done is not None:
        known = {name: value for name, value in done.items() if value is not None}
        before = func.coalesce(col(RunRow.progress), cast_to(dict.fromkeys(done), JSONB))
        values["progress"] = before.op("||")(cast_to(known, JSONB))
        values["progress_at"] = func.clock_timestamp()
    return await _change(session, run_id, {"status": status.value, **values})


async def silent(session: ReadSession, seconds: float, limit: int) -> Sequence[RunRow]:
    """Live runs of which nothing was heard for `seconds`, the longest silent first."""
    last = func.coalesce(col(RunRow.heard_at), col(RunRow.created_at))
    query = select(RunRow).where(
        col(RunRow.status).in_(LIVE), last < func.clock_timestamp() - timedelta(seconds=seconds)
    )
    return (await session.scalars(query.order_by(last).limit(limit))).all()


async def note_heard(session: WriteSession, run_id: str) -> None:
    """Remember that the runner still knows a run, though nothing changed."""
    statement = update(RunRow).where(col(RunRow.run_id) == run_id)
    await session.execute(statement.values(heard_at=func.clock_timestamp()))


async def _change(session: WriteSession, run_id: str, values: dict[str, Any], *conditions: Any) -> bool:
    statement = (
        update(RunRow)
        .where(col(RunRow.run_id) == run_id, col(RunRow.status).in_(LIVE), *conditions)
        .values(heard_at=func.clock_timestamp(), updated_at=func.clock_timestamp(), **values)
        .returning(col(RunRow.run_id))
        .execution_options(synchronize_session=False)
    )
    changed = (await session.execute(statement)).first() is not None
    if changed:
        await _notify(session, run_id)
    return changed


async def _notify(session: WriteSession, run_id: str) -> None:
    # Sent by PostgreSQL when the transaction commits, so a listener reads what it is told of.
    await session.execute(text("SELECT pg_notify(:channel, :run_id)"), {"channel": CHANNEL, "run_id": run_id})


async def age_seconds(session: WriteSession, run_id: str) -> float:
    """Seconds since the run was created, by the database's clock; 0 if there is none."""
    age = func.extract("epoch", func.clock_timestamp() - col(RunRow.created_at))
    value = await session.scalar(select(age).where(col(RunRow.run_id) == run_id))
    return float(value or 0)
