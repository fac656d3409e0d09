"""The client that publishing uses, and its failures as errors of the catalogue.

Not the client that reads objects: that one cannot complete several multipart uploads at the end,
nor find those that a dead process left.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings

from kalla_runner.s3.address import S3Address

if TYPE_CHECKING:
    import aioboto3
    from types_aiobotocore_s3 import S3Client

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 120
ATTEMPTS: Final = 6
"""With the pauses between them about 20 seconds: so long a store may be away while outputs are published."""
FEW_ATTEMPTS: Final = 3
"""For a look before the run, whose caller waits."""

NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket", "NoSuchUpload"})
TAKEN: Final = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict", "409"})
_BAD_CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "401"}
)


@asynccontextmanager
async def s3_client(settings: S3Settings, at: S3Address, *, attempts: int) -> AsyncGenerator[S3Client]:
    """A client whose failures leave this frame as KallaErrors about outputs at `at`.

    Args:
        settings: the store and Kalla's credentials.
        at: where the outputs go.
        attempts: of each request.

    Raises:
        KallaError: STORE_NOT_CONFIGURED, STORE_UNAVAILABLE (no answer, credentials refused),
            OUTPUT_NOT_WRITABLE (no such bucket, no permission, something else lies there).
    """
    # Imported late: half a second that only runs with outputs in S3 need to spend.
    from aiobotocore.config import AioConfig  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from kalla_common.s3_http import StayingSession  # noqa: PLC0415

    config = AioConfig(
        http_session_cls=StayingSession,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "max_attempts": attempts},
        s3={"addressing_style": "path"},
        # Every part is sent with its MD5, which all stores know; not all know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        async with _session(*settings.credentials(), settings.signing_region).client(
            "s3", endpoint_url=settings.endpoint, config=config
        ) as client:
            yield client
    except ClientError as error:
        raise output_error(error_code(error), at, settings.endpoint) from error
    except BotoCoreError as error:
        raise KallaError(
            Code.STORE_UNAVAILABLE,
            f"The S3 store at {settings.endpoint} does not answer, so outputs cannot be written to {at}; "
            "check AWS_ENDPOINT_URL and the network.",
        ) from error


@lru_cache(maxsize=1)
def _session(key_id: str, secret: str, token: str | None, region: str) -> aioboto3.Session:
    # Kept: what it knows of S3 takes a quarter of a second to read.
    import aioboto3  # noqa: PLC0415

    return aioboto3.Session(key_id, secret, token, region)


def error_code(error: Exception) -> str:
    """The store's own code of a refused request, or the HTTP status where it sent no body."""
    response: dict[str, dict[str, str]] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "")


def output_error(code: str, at: S3Address, endpoint: str) -> KallaError:
    """The error for a request about outputs that the store refused with `code`."""
    if code in _BAD_CREDENTIALS:
        return KallaError(
            Code.STORE_UNAVAILABLE,
            f"The S3 store at {endpoint} refuses Kalla's credentials ({code}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION.",
        )
    if code in TAKEN:
        return not_writable(at, "was written to by somebody else meanwhile; name a prefix of its own")
    if code == "NoSuchBucket":
        return not_writable(at, f"names a bucket that does not exist at {endpoint}; make it first")
    if code in ("AccessDenied", "403"):
        return not_writable(
            at,
            "may not be written with Kalla's credentials; allow s3:PutObject, s3:GetObject, s3:DeleteObject, "
            "s3:ListBucket, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads",
        )
    return KallaError(
        Code.STORE_UNAVAILABLE,
        f"The S3 store at {endpoint} refused to take outputs at {at} ({code or 'unknown reason'}).",
    )


def not_writable(at: S3Address, why: str) -> KallaError:
    """The error for an output path that cannot be used."""
    return KallaError(Code.OUTPUT_NOT_WRITABLE, f"The output path {at} {why}.")
