"""What can be done with sources.

A source's `status` says how its last contact ended: `connected`, `unreachable`, or `unknown`
while there was none since its URI was set. Contacts are previews, filtered loads and the look of
the runner when it is registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kalla_common.db import Database, ReadSession, WriteSession
from kalla_common.domain import FilterCondition, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import Page, RunnerRows, SourceRows

from kalla_gateway.sources import repository
from kalla_gateway.sources.tables import SourceRow
from kalla_gateway.sources.uris import check_source, check_uri, with_secret

CONNECTED: Final = "connected"
UNREACHABLE: Final = "unreachable"

FAILED_CONTACT: Final = frozenset(
    {
        Code.SOURCE_UNREACHABLE,
        Code.ACCESS_DENIED,
        Code.INVALID_URI,
        Code.DATA_NOT_FOUND,
        Code.EMPTY_FILE,
        Code.INVALID_DATA,
        Code.SCHEMA_MISMATCH,
        Code.STORE_NOT_CONFIGURED,
        Code.STORE_UNAVAILABLE,
        Code.PATH_NOT_ALLOWED,
        Code.CONNECTOR_MISSING,
    }
)
"""Errors that speak of the source, not of the request or of the runner."""


async def register(session: WriteSession, alias: str, uri: str, source_type: str) -> tuple[SourceRow, bool]:
    """Add or update a source; a masked password keeps the stored one.

    Returns:
        The source, and whether another one had its alias.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_URI.
    """
    uri = await completed_uri(session, alias, uri, source_type)
    return await repository.save(session, alias, uri, source_type)


async def completed_uri(session: ReadSession | WriteSession, alias: str, uri: str, source_type: str) -> str:
    """Return the URI under which a source would be stored.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_URI.
    """
    if not alias.strip():
        raise KallaError(Code.INVALID_REQUEST, "A source needs an alias.", field="alias")
    stored = await repository.find(session, alias)
    uri = with_secret(alias, uri, [stored.uri if stored else None])
    check_source(alias, source_type, uri)
    return uri


async def require(session: ReadSession | WriteSession, alias: str) -> SourceRow:
    """Return the source with this alias.

    Raises:
        KallaError: SOURCE_NOT_FOUND.
    """
    row = await repository.find(session, alias)
    if row is None:
        raise KallaError(
            Code.SOURCE_NOT_FOUND,
            f"No source is registered as {alias!r}; GET /api/sources lists them.",
            alias=alias,
        )
    return row


@dataclass(frozen=True, slots=True)
class SourceReader:
    """Reads rows of registered sources by way of the runner."""

    database: Database
    rows: RunnerRows

    async def read(self, alias: str, filters: tuple[FilterCondition, ...], limit: int) -> Page:
        """Return up to `limit` rows of a source, after `filters`.

        Raises:
            KallaError: SOURCE_NOT_FOUND, INVALID_URI, INVALID_FILTER and what reading raises.
        """
        async with self.database.reading() as session:
            source = await require(session, alias)
        check_uri(alias, source.uri)
        try:
            page = await self.rows.page(SourceRows(SourceSpec(alias, source.uri, filters), limit))
        except KallaError as error:
            if error.code in FAILED_CONTACT:
                await note_contact(self.database, source, UNREACHABLE)
            raise
        await note_contact(self.database, source, CONNECTED)
        return page


async def note_contact(database: Database, source: SourceRow, status: str) -> None:
    """Remember how a contact with `source` ended; most find what they expect and write nothing."""
    if source.status == status:
        return
    async with database.writing() as session:
        await repository.note_status(session, source.alias, source.uri, status)
