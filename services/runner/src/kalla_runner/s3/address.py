"""s3://bucket/key: what it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kalla_common.errors import Code, KallaError
from kalla_common.s3 import checked_bucket

_SCHEME: Final = "s3://"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UPLOAD: Final = re.compile(
    r"[A-Za-z0-9_-]{1,128}/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/(?P<name>[^/]+)"
)
_MOST_KEY_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class S3Address:
    """A place in a store.

    Attributes:
        bucket: its name.
        key: of an object; of a prefix, it ends in `/` or is empty.
    """

    bucket: str
    key: str

    @property
    def is_prefix(self) -> bool:
        """Whether it names all objects below it instead of one."""
        return not self.key or self.key.endswith("/")

    def below(self, name: str) -> S3Address:
        """The object `name` right below this prefix, with or without its final slash."""
        return S3Address(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    @property
    def shown(self) -> str:
        """What people call it: an upload by its file's name, anything else by its URI.

        An upload is <session>/<upload's UUID>/<file name>; nobody named the first two.
        """
        upload = _UPLOAD.fullmatch(self.key)
        return upload["name"] if upload else str(self)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.key}"


def is_s3(uri: str) -> bool:
    """Whether a URI or path is one of an S3 store."""
    return uri[: len(_SCHEME)].lower() == _SCHEME


def parse_s3(uri: str) -> S3Address:
    """The place that `uri` names. A key is taken as it is written: nothing in it is percent-decoded.

    Raises:
        KallaError: INVALID_URI.
    """
    bucket, _, key = uri[len(_SCHEME) :].partition("/")
    try:
        checked_bucket(bucket)
    except ValueError as error:
        # The name is not shown: where a bucket should be, people put credentials.
        raise KallaError(
            Code.INVALID_URI,
            f"An S3 URI is s3://bucket/key, and {error}; credentials are settings of Kalla "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), never part of a URI.",
        ) from error
    segments = key.removesuffix("/").split("/") if key else []
    if any(part in ("", ".", "..") for part in segments) or _CONTROL.search(key):
        raise KallaError(
            Code.INVALID_URI,
            f"The S3 key {key[:200]!r} has an empty part, a part . or .., or a control character, which "
            "Kalla does not read; copy the object to another key.",
        )
    if len(key.encode()) > _MOST_KEY_BYTES:
        raise KallaError(Code.INVALID_URI, f"An S3 key has at most {_MOST_KEY_BYTES} bytes.")
    return S3Address(bucket, key)
