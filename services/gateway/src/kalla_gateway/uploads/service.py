"""The way of an upload: an address for it, a look at it, its confirmation.

What the file holds is asked of the runner alone, which reads it as it reads any source. A
file's content is known by its tag: what was read of it is kept and holds as long as the tag does.
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from kalla_common.arrow_text import text_rows
from kalla_common.db import Database
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerRows, SourceRows

from kalla_gateway.settings import GatewaySettings
from kalla_gateway.uploads import repository
from kalla_gateway.uploads.names import (
    UploadPlace,
    checked_filename,
    checked_session,
    is_upload_id,
    key_name,
    parse_upload_uri,
)
from kalla_gateway.uploads.repository import Content
from kalla_gateway.uploads.store import StoredObject, UploadStore
from kalla_gateway.uploads.tables import UploadRow

SAMPLE_ROWS: Final = 10

Row = list[str | None]


@dataclass(frozen=True, slots=True)
class Signed:
    """A new upload and the address to put it at."""

    place: UploadPlace
    url: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """What can be done with uploads."""

    settings: GatewaySettings
    database: Database
    store: UploadStore
    rows: RunnerRows

    async def presign(self, filename: str, session_id: str) -> Signed:
        """Sign an address for a new upload, and remember it.

        Raises:
            KallaError: INVALID_REQUEST, STORE_NOT_CONFIGURED, DATABASE_UNAVAILABLE.
        """
        bucket = self._bucket()
        name = checked_filename(filename)
        place = UploadPlace(bucket, checked_session(session_id), str(uuid.uuid4()), key_name(name))
        url = await self.store.sign_put(bucket, place.key, self.settings.upload_url_seconds)
        row = UploadRow(
            upload_id=place.upload_id, session_id=place.session_id, filename=name, s3_uri=place.uri
        )
        async with self.database.writing() as session:
            await repository.add(session, row)
        return Signed(place, url)

    async def preview(self, s3_uri: str) -> tuple[Content, list[Row]]:
        """Read the whole file: its columns, its number of rows and its first rows.

        Raises:
            KallaError: INVALID_URI, UPLOAD_NOT_FOUND, DATA_NOT_FOUND, EMPTY_FILE, UPLOAD_TOO_LARGE,
                SOURCE_CHANGED, and what reading raises.
        """
        row, place, stored = await self._found(s3_uri)
        content, sample = await self._read(row, place, stored)
        async with self.database.writing() as session:
            await repository.note_content(session, row.upload_id, content, confirm=False)
        return content, sample

    async def confirm(self, upload_id: str, s3_uri: str, filename: str) -> tuple[UploadRow, Content]:
        """Take the file as complete; doing so again answers the same.

        Raises:
            KallaError: as `preview`; INVALID_REQUEST if the three do not belong to one upload.
        """
        if not is_upload_id(upload_id):
            raise _unknown(upload_id)
        row, place, stored = await self._found(s3_uri)
        if place.upload_id != upload_id:
            raise KallaError(Code.INVALID_REQUEST, "The s3_uri belongs to another upload than the path.")
        if unicodedata.normalize("NFC", filename) != row.filename:
            raise KallaError(
                Code.INVALID_REQUEST,
                f"The upload was signed for the file {row.filename!r}; give that filename.",
                field="filename",
            )
        content = _known(row, stored)
        if content is None:
            content, _ = await self._read(row, place, stored)
        async with self.database.writing() as session:
            await repository.note_content(session, row.upload_id, content, confirm=True)
        return row, content

    async def _found(self, s3_uri: str) -> tuple[UploadRow, UploadPlace, StoredObject]:
        """The upload that `s3_uri` names, and its file, which must be there."""
        place = parse_upload_uri(s3_uri, self._bucket())
        async with self.database.reading() as session:
            row = await repository.find(session, place.upload_id)
        if row is None:
            raise _unknown(place.upload_id)
        if row.s3_uri != s3_uri:
            raise KallaError(
                Code.INVALID_URI, "The s3_uri differs from the one that /api/uploads/presign returned."
            )
        stored = await self.store.head(place.bucket, place.key)
        if stored is None:
            raise KallaError(
                Code.DATA_NOT_FOUND,
                f"The file {row.filename!r} is not there (yet); PUT it to its presigned_url first.",
            )
        self._check_size(row, stored)
        return row, place, stored

    def _check_size(self, row: UploadRow, stored: StoredObject) -> None:
        limit = self.settings.upload_max_bytes
        if stored.size_bytes == 0:
            raise KallaError(
                Code.EMPTY_FILE, f"The file {row.filename!r} is empty; its first line must name the columns."
            )
        if stored.size_bytes > limit:
            raise KallaError(
                Code.UPLOAD_TOO_LARGE,
                f"The file {row.filename!r} has {stored.size_bytes} bytes, and uploads may have {limit}; "
                "split it, or have the limit raised (KALLA_GATEWAY_UPLOAD_MAX_BYTES).",
            )

    async def _read(
        self, row: UploadRow, place: UploadPlace, stored: StoredObject
    ) -> tuple[Content, list[Row]]:
        # The runner types the whole file before its first row: that is no matter of a page's deadline.
        asked = SourceRows(SourceSpec(row.filename, row.s3_uri), SAMPLE_ROWS)
        async with self.rows.stream(asked) as stream:
            sample = [cells async for batch in stream.batches for cells in text_rows(batch)]
        if await self.store.head(place.bucket, place.key) != stored:
            raise KallaError(
                Code.SOURCE_CHANGED, f"The file {row.filename!r} was replaced while it was read; try again."
            )
        columns = tuple(column.name for column in stream.columns)
        return Content(stored.e_tag, stored.size_bytes, columns, stream.total_rows), sample

    def _bucket(self) -> str:
        if self.settings.upload_bucket is None:
            raise KallaError(
                Code.STORE_NOT_CONFIGURED,
                "This Kalla takes no uploads: it was started without KALLA_GATEWAY_UPLOAD_BUCKET.",
            )
        return self.settings.upload_bucket


def _known(row: UploadRow, stored: StoredObject) -> Content | None:
    """What was read of the file before, if it still is that file."""
    if row.columns is None or row.row_count is None:
        return None
    if (row.e_tag, row.size_bytes) != (stored.e_tag, stored.size_bytes):
        return None
    return Content(stored.e_tag, stored.size_bytes, tuple(row.columns), row.row_count)


def _unknown(upload_id: str) -> KallaError:
    return KallaError(
        Code.UPLOAD_NOT_FOUND,
        "There is no such upload; POST /api/uploads/presign begins one.",
        upload_id=upload_id,
    )
