"""An S3 store of the user's own, looked at before anything is started: so what is wrong is said well."""

from __future__ import annotations

from typing import Final

import httpx
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings, checked_bucket

from kalla_cli.buckets import look_at

_SECONDS: Final = 10.0
_NOT_LISTED: Final = "AccessDenied"
"""Also said to keys that may read and write but not list."""


def check_store(settings: S3Settings, bucket: str | None) -> None:
    """See that the store has the bucket of uploads and knows the credentials; None looks at nothing.

    Raises:
        KallaError: INVALID_REQUEST for a name that no bucket can have, else STORE_UNAVAILABLE.
    """
    if bucket is None:
        return
    try:
        checked_bucket(bucket)
    except ValueError as error:
        raise KallaError(Code.INVALID_REQUEST, f"--upload-bucket {bucket!r} is wrong: {error}.") from None
    try:
        with httpx.Client(timeout=_SECONDS) as client:
            code = look_at(settings, bucket, client)
    except httpx.TransportError as error:
        raise KallaError(
            Code.STORE_UNAVAILABLE,
            f"The S3 store {settings.endpoint} cannot be reached ({type(error).__name__}); "
            "see AWS_ENDPOINT_URL and AWS_REGION.",
        ) from error
    if code not in ("", _NOT_LISTED):
        raise KallaError(Code.STORE_UNAVAILABLE, _sentence(settings, bucket, code))


def _sentence(settings: S3Settings, bucket: str, code: str) -> str:
    place = f"The S3 store {settings.endpoint}"
    match code:
        case "NoSuchBucket":
            return f"{place} has no bucket {bucket}; make it, or name another with --upload-bucket."
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch":
            return (
                f"{place} refuses the credentials ({code}); see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        case "PermanentRedirect" | "AuthorizationHeaderMalformed":
            return f"{place} has the bucket {bucket} in another region ({code}); see AWS_REGION."
        case _:
            return f"{place} does not give access to the bucket {bucket} ({code})."
