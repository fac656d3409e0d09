"""All queries on sources."""

from __future__ import annotations

from collections.abc import Sequence

from kalla_common.db import ReadSession, WriteSession
from sqlalchemy import Boolean, case, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from kalla_gateway.sources.tables import SourceRow


async def newest_first(session: ReadSession) -> Sequence[SourceRow]:
    """All sources."""
    order = (col(SourceRow.created_at).desc(), col(SourceRow.seq).desc())
    return (await session.scalars(select(SourceRow).order_by(*order))).all()


async def find(session: ReadSession | WriteSession, alias: str) -> SourceRow | None:
    """The source with this alias."""
    return await session.get(SourceRow, alias)


async def find_all(session: WriteSession, aliases: Sequence[str]) -> dict[str, SourceRow]:
    """The sources among `aliases`, by alias."""
    rows = await session.scalars(select(SourceRow).where(col(SourceRow.alias).in_(aliases)))
    return {row.alias: row for row in rows}


async def save(session: WriteSession, alias: str, uri: str, source_type: str) -> tuple[SourceRow, bool]:
    """Add the source, or update the one with its alias (True); a new URI makes its status unknown."""
    new = insert(SourceRow).values(alias=alias, uri=uri, source_type=source_type, status="unknown")
    statement = new.on_conflict_do_update(
        index_elements=["alias"],
        set_={
            "uri": new.excluded.uri,
            "source_type": new.excluded.source_type,
            "status": case((col(SourceRow.uri) == new.excluded.uri, col(SourceRow.status)), else_="unknown"),
            "updated_at": func.clock_timestamp(),
        },
    )
    # An inserted row has no transaction that deleted or locked it; an updated one has this one.
    returning = statement.returning(SourceRow, literal_column("(xmax <> 0)", Boolean))
    found = await session.execute(returning, execution_options={"populate_existing": True})
    row, replaced = found.one()
    return row, replaced


async def note_status(session: WriteSession, alias: str, uri: str, status: str) -> None:
    """Store what the last contact showed, unless the source was changed meanwhile."""
    statement = update(SourceRow).where(
        col(SourceRow.alias) == alias, col(SourceRow.uri) == uri, col(SourceRow.status) != status
    )
    await session.execute(statement.values(status=status))
