"""Errors over Arrow Flight: packed as on gRPC, never with a traceback."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from pyarrow import flight

from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.rpc.status import from_status, shortened, to_status
from kalla_common.telemetry import log

T = TypeVar("T")

MAX_EXTRA_INFO_BYTES = 4096
"""gRPC puts the extra info into a header, which must stay small."""


@contextmanager
def flight_errors() -> Generator[None]:
    """Wrap a Flight handler: whatever it raises leaves as a packed KallaError."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the border of the process
        raise to_flight_error(error) from None


def wrap_stream(items: Iterator[T]) -> Iterator[T]:
    """Wrap the generator behind a Flight stream in the same way."""
    with flight_errors():
        yield from items


def to_flight_error(error: Exception) -> flight.FlightError:
    """The Flight error for `error`; only a KallaError keeps its text."""
    if isinstance(error, DecodeError):
        error = KallaError(Code.INVALID_REQUEST, "The Flight ticket cannot be decoded.")
    if not isinstance(error, KallaError):
        log.error("flight_failed", exc_info=error)
        error = KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
    packed = to_status(error).SerializeToString()
    if len(packed) > MAX_EXTRA_INFO_BYTES:
        packed = to_status(KallaError(error.code, error.message[:1000])).SerializeToString()
    return flight.FlightServerError(shortened(error.message), packed)


@contextmanager
def kalla_errors(unavailable: Code = Code.RUNNER_UNAVAILABLE) -> Generator[None]:
    """Wrap the use of a Flight client: the server's KallaError is raised again."""
    try:
        yield
    except (flight.FlightError, pa.ArrowException, OSError) as error:
        raise to_kalla_error(error, unavailable) from None


def to_kalla_error(error: Exception, unavailable: Code) -> KallaError:
    """The KallaError behind an error of a Flight client."""
    packed = getattr(error, "extra_info", b"")
    if packed:
        status = status_pb2.Status()
        try:
            status.ParseFromString(packed)
        except DecodeError:
            pass
        else:
            known = from_status(status)
            if known is not None:
                return known
    if isinstance(error, flight.FlightTimedOutError):
        return KallaError(Code.DEADLINE_EXCEEDED, "The rows did not arrive in time; try again.")
    if isinstance(error, flight.FlightCancelledError):
        return KallaError(Code.CANCELLED, "The call was cancelled.")
    if isinstance(error, flight.FlightUnavailableError | OSError):
        return KallaError(unavailable, "The service cannot be reached; check that it runs and try again.")
    log.error("flight_call_failed", exc_info=error)
    return KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
