"""All queries on uploads."""

from __future__ import annotations

from dataclasses import dataclass

from kalla_common.db import ReadSession, WriteSession
from sqlalchemy import func, update
from sqlmodel import col

from kalla_gateway.uploads.tables import UploadRow


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of an upload's file while it had this tag."""

    e_tag: str
    size_bytes: int
    columns: tuple[str, ...]
    row_count: int


async def find(session: ReadSession, upload_id: str) -> UploadRow | None:
    """The upload with this id."""
    return await session.get(UploadRow, upload_id)


async def add(session: WriteSession, row: UploadRow) -> None:
    """Store a new upload."""
    session.add(row)
    await session.flush()


async def note_content(session: WriteSession, upload_id: str, content: Content, *, confirm: bool) -> None:
    """Store what was read; confirming again keeps the first moment."""
    now = func.clock_timestamp()
    values = {
        "e_tag": content.e_tag,
        "size_bytes": content.size_bytes,
        "columns": list(content.columns),
        "row_count": content.row_count,
        "updated_at": now,
    }
    if confirm:
        values["confirmed_at"] = func.coalesce(col(UploadRow.confirmed_at), now)
    await session.execute(update(UploadRow).where(col(UploadRow.upload_id) == upload_id).values(**values))
