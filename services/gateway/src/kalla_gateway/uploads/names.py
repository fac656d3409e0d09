"""File names, session ids and s3:// URIs of uploads.

A file name is what a person reads, never a path: what would make it one is refused. In the
object's key it keeps letters and digits of every script, and what a URI, a shell or a
terminal could take for something else becomes `_`.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from kalla_common.errors import Code, KallaError

SUFFIX: Final = ".csv"
MAX_NAME_BYTES: Final = 255
"""As most file systems; S3 has 1024 bytes for a whole key."""

_PLAIN: Final = frozenset("-_.()+=,")
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_URI: Final = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)
_KEY_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class UploadPlace:
    """Where an upload lies: <session_id>/<upload_id>/<name> in the bucket of uploads."""

    bucket: str
    session_id: str
    upload_id: str
    name: str

    @property
    def key(self) -> str:
        """The object's key."""
        return f"{self.session_id}/{self.upload_id}/{self.name}"

    @property
    def uri(self) -> str:
        """The URI that a recipe can name as a source."""
        return f"s3://{self.bucket}/{self.key}"


def checked_filename(filename: str) -> str:
    """`filename` in one Unicode form, as it is shown.

    Raises:
        KallaError: INVALID_REQUEST, says what a name may not be.
    """
    name = unicodedata.normalize("NFC", filename)
    if not name.lower().endswith(SUFFIX):
        raise _refused("filename", f"The file's name must end with {SUFFIX}; only CSV files can be uploaded.")
    if not name[: -len(SUFFIX)].strip(" ."):
        raise _refused("filename", f"The file needs a name before {SUFFIX}.")
    if "/" in name or "\\" in name:
        raise _refused("filename", "Give the file's name alone, without the folders it lies in.")
    # Controls, marks that turn the direction of text, unassigned and private characters.
    if any(unicodedata.category(letter).startswith("C") for letter in name):
        raise _refused("filename", "The file's name holds characters that cannot be seen; rename the file.")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _refused("filename", f"The file's name is longer than {MAX_NAME_BYTES} bytes; shorten it.")
    return name


def key_name(filename: str) -> str:
    """The last part of the key for a name that `checked_filename` returned."""
    stem = filename[: -len(SUFFIX)]
    kept = "".join(letter if _is_plain(letter) else "_" for letter in stem)
    # A key that begins with a dot is hidden by many tools.
    return re.sub(r"^\.+", "_", kept) + SUFFIX


def checked_session(session_id: str) -> str:
    """`session_id`, if it can be part of a key.

    Raises:
        KallaError: INVALID_REQUEST.
    """
    if not _SESSION.fullmatch(session_id):
        raise _refused(
            "session_id", "A session_id has 1 to 128 ASCII letters, digits, - and _, and begins with no sign."
        )
    return session_id


def parse_upload_uri(uri: str, bucket: str) -> UploadPlace:
    """The place that an s3_uri names.

    Raises:
        KallaError: INVALID_URI if it is no s3:// URI of an upload in `bucket`.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise KallaError(
            Code.INVALID_URI, "The s3_uri must be s3://bucket/session_id/upload_id/filename.csv."
        )
    if match["bucket"] != bucket:
        raise KallaError(Code.INVALID_URI, "The s3_uri names another bucket than the one of uploads.")
    parts = match["key"].split("/")
    if len(parts) != _KEY_PARTS or not _SESSION.fullmatch(parts[0]) or not is_upload_id(parts[1]):
        raise KallaError(
            Code.INVALID_URI, "The s3_uri names no upload; take the one that /api/uploads/presign returned."
        )
    return UploadPlace(bucket, *parts)


def is_upload_id(text: str) -> bool:
    """Whether `text` is an upload id as Kalla writes it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _is_plain(letter: str) -> bool:
    return letter in _PLAIN or unicodedata.category(letter)[0] in "LMN"


def _refused(field: str, message: str) -> KallaError:
    return KallaError(Code.INVALID_REQUEST, message, field=field)
