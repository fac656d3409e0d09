"""Objects of an S3 store as a source: one CSV or Parquet object, or all of them below a prefix."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final, cast

from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.csv import CsvSource
from kalla_runner.connectors.parquet import ParquetSource
from kalla_runner.connectors.paths import is_text_file
from kalla_runner.pinned import PinnedFiles
from kalla_runner.s3.address import S3Address, parse_s3
from kalla_runner.s3.objects import S3Object, S3Reading

_SHARED: Final = "s3"
_NOTES: Final = (".", "_")
"""Names that begin so are notes of other programs (_SUCCESS, .crc files), not data."""


class S3Connector:
    """Opens `s3://bucket/key` and `s3://bucket/prefix/`."""

    def open(self, spec: SourceSpec, session: ReadSession) -> OpenSource:
        """Pin the object, or all objects below the prefix, and read headers or footers.

        Raises:
            KallaError: INVALID_URI, STORE_NOT_CONFIGURED, DATA_NOT_FOUND, ACCESS_DENIED,
                SOURCE_UNREACHABLE, INVALID_DATA, SCHEMA_MISMATCH.
        """
        at = parse_s3(spec.uri)
        reading = s3_reading(session)
        pinned = _pin_all(reading, at) if at.is_prefix else PinnedFiles.one(reading.pin(at))
        if is_text_file(pinned.parts[0].name):
            return CsvSource(spec, pinned, session)
        return ParquetSource(spec, pinned)


def s3_reading(session: ReadSession) -> S3Reading:
    """The session's frame for reading objects, made when first asked for.

    Raises:
        KallaError: STORE_NOT_CONFIGURED.
    """
    if _SHARED not in session.shared:
        # Settings without credentials have the error that says what to set.
        settings = session.s3 or S3Settings()
        reading = S3Reading(settings, session.scratch or Path(tempfile.gettempdir()), session.threads)
        session.closing.callback(reading.close)
        session.shared[_SHARED] = reading
    return cast("S3Reading", session.shared[_SHARED])


def _pin_all(reading: S3Reading, prefix: S3Address) -> PinnedFiles:
    parts = _data_below(reading, prefix)
    if not parts:
        raise KallaError(Code.DATA_NOT_FOUND, f"There are no objects below {prefix}.")
    _check_one_kind(parts, prefix)
    state = [part.identity for part in parts]

    def check_unchanged() -> None:
        if [part.identity for part in _data_below(reading, prefix)] != state:
            raise KallaError(
                Code.SOURCE_CHANGED, f"Below {prefix} are other objects than before; start again."
            )

    pin: dict[str, str | int] = {
        "uri": str(prefix),
        "objects": len(parts),
        "size": sum(part.size for part in parts),
        **{f"object {part.at.key}": f"{part.size} bytes, ETag {part.e_tag}" for part in parts},
    }
    return PinnedFiles(tuple(parts), pin, check_unchanged)


def _data_below(reading: S3Reading, prefix: S3Address) -> list[S3Object]:
    """The objects below a prefix that hold data, in the order of their keys."""
    found: list[S3Object] = []
    for listed in reading.list(prefix):
        names = listed.key[len(prefix.key) :].split("/")
        # An object whose key ends in a slash, or is the prefix, is what consoles make as a "folder".
        if names[-1] and not any(name.startswith(_NOTES) for name in names):
            at = S3Address(prefix.bucket, listed.key)
            found.append(S3Object(reading, at, listed.size, listed.e_tag))
    return found


def _check_one_kind(parts: list[S3Object], prefix: S3Address) -> None:
    text = [part for part in parts if is_text_file(part.name)]
    parquet = [part for part in parts if part.name.lower().endswith(".parquet")]
    other = [part for part in parts if part not in text and part not in parquet]
    if other:
        raise KallaError(
            Code.INVALID_DATA,
            f"Below {prefix} lies {other[0].at.key!r}, which is neither .csv, .tsv (or these with .gz) nor "
            ".parquet; name a prefix with objects of one kind only.",
        )
    if text and parquet:
        raise KallaError(
            Code.INVALID_DATA,
            f"Below {prefix} lie text files ({text[0].at.key!r}) and Parquet files ({parquet[0].at.key!r}); "
            "name a prefix with objects of one kind only.",
        )
