"""What an S3 store says, as errors of the catalogue. Nothing of its own words is shown but the code."""

from __future__ import annotations

import re
from typing import Final

from kalla_common.errors import Code, KallaError
from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

from kalla_runner.s3.address import S3Address

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_BAD_CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthorizationHeaderMalformed"}
)
_OTHER_REGION: Final = frozenset({"PermanentRedirect", "IllegalLocationConstraintException"})


def s3_code(error: BaseException) -> str:
    """The store's own code for what went wrong, such as NoSuchBucket; "" if it sent none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def is_refusal(error: BaseException) -> bool:
    """Whether the store answered, with a 403 or 404: the body that says why is missing in a HEAD."""
    return isinstance(error, FileNotFoundError | PermissionDeniedError | UnauthenticatedError)


def is_passing(error: BaseException) -> bool:
    """Whether the connection failed, not the request."""
    return _STATUS.search(str(error)) is None


def s3_error(error: BaseException, at: S3Address, endpoint: str, code: str = "") -> KallaError:
    """The error of the catalogue for a failed request.

    Args:
        error: what the client raised.
        at: what was asked for.
        endpoint: of the store.
        code: the store's own code, where it was found out otherwise.
    """
    code = code or s3_code(error)
    found = _STATUS.search(str(error))
    status = int(found[1]) if found else 0
    if isinstance(error, PreconditionError):
        return changed(at)
    if code in _OTHER_REGION or status == 301:  # noqa: PLR2004 - moved
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The bucket {at.bucket} lies in another region; set AWS_REGION to the region of the bucket.",
        )
    if code in _BAD_CREDENTIALS:
        return KallaError(
            Code.ACCESS_DENIED,
            f"The S3 store at {endpoint} refuses Kalla's credentials ({code}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_REGION.",
        )
    if code == "ExpiredToken":
        return KallaError(
            Code.ACCESS_DENIED,
            f"The session of Kalla's credentials for the S3 store at {endpoint} has expired; renew "
            "AWS_SESSION_TOKEN and the keys that go with it.",
        )
    if code == "NoSuchBucket":
        return KallaError(Code.DATA_NOT_FOUND, f"There is no bucket {at.bucket} at {endpoint}.")
    if code == "InvalidObjectState":
        return KallaError(Code.ACCESS_DENIED, f"The object {at.shown} is archived; restore it first.")
    if isinstance(error, FileNotFoundError) or status == 404:  # noqa: PLR2004 - not found
        return KallaError(
            Code.DATA_NOT_FOUND,
            f"There is no object {at}; a URI of all objects below a prefix ends in a slash."
            if at.shown == str(at)
            else f"The uploaded file {at.shown} is no longer in the store; upload it again.",
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403):
        return KallaError(
            Code.ACCESS_DENIED,
            f"Kalla's credentials may not read {at.shown} at {endpoint}; allow s3:GetObject and "
            "s3:ListBucket.",
        )
    reason = code or (f"HTTP status {status}" if status else "no connection or no answer in time")
    return KallaError(
        Code.SOURCE_UNREACHABLE,
        f"The S3 store at {endpoint} cannot be read ({reason}); check AWS_ENDPOINT_URL and the network.",
    )


def changed(at: S3Address) -> KallaError:
    """The error for an object that is not what was pinned."""
    return KallaError(
        Code.SOURCE_CHANGED,
        f"The object {at.shown} changed while it was read; start again when nobody writes to it.",
    )
