"""A KallaError as a google.rpc.Status and back: the one form in which errors travel."""

from __future__ import annotations

from google.rpc import error_details_pb2, status_pb2

from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError

DOMAIN = "kalla"
MOST_LETTERS = 1000
"""Errors travel in headers, of which all together may have 16 KB, and a letter up to four bytes, twice."""


def shortened(text: str) -> str:
    """A text that fits into a header: what a caller sent may come back in the sentence about it."""
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def to_status(error: KallaError) -> status_pb2.Status:
    """Pack code, message and details; the code is the reason of the ErrorInfo."""
    status = status_pb2.Status(code=error.info.grpc_status.value[0], message=shortened(error.message))
    details = {name: shortened(text) for name, text in error.details.items()}
    info = error_details_pb2.ErrorInfo(reason=error.code.value, domain=DOMAIN, metadata=details)
    status.details.add().Pack(info)
    return status


def from_status(status: status_pb2.Status) -> KallaError | None:
    """The error that `to_status` packed; None if the status came from elsewhere."""
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            try:
                code = Code(info.reason)
            except ValueError:
                # A newer service may know codes that this one does not.
                return KallaError(Code.INTERNAL, status.message or INTERNAL_MESSAGE)
            # The sentence arguments are named positionally, so any metadata key is allowed here.
            error = KallaError(code, status.message)
            error.details.update(info.metadata)
            return error
    return None
