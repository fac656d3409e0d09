"""Errors over Arrow Flight: packed as on gRPC, never with a traceback."""

from __future__ import annotations

import errno
import re
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
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

_LOGGED = 300
"""Characters of a library's message that are logged."""
_MEMORY = re.compile(r"resources exhausted|memory exhausted|failed to allocate|malloc of size", re.IGNORECASE)

MAX_EXTRA_INFO_BYTES = 4096
"""gRPC puts the extra info into a header, which must stay small."""


@contextmanager
def flight_errors() -> Generator[None]:
    """Wrap a Flight handler: whatever it raises leaves as a packed KallaError."""
    try:
        yield
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the border of the process; a panic of Rust is no Exception
        raise to_flight_error(error) from None


def wrap_stream(items: Iterator[T]) -> Iterator[T]:
    """Wrap the generator behind a Flight stream in the same way."""
    with flight_errors():
        yield from items


def to_flight_error(error: BaseException) -> flight.FlightError:
    """The Flight error for `error`; only a KallaError keeps its text."""
    if not isinstance(error, KallaError):
        known = _known(error)
        if known is None:
            log.error("flight_failed", exc_info=error)
        else:
            # What is wrong with the data or the machine is no defect: a line is enough.
            reason = str(error).partition("\n")[0][:_LOGGED]
            log.warning("flight_refused", code=known.code.value, cause=type(error).__name__, reason=reason)
        error = known or KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
    packed = to_status(error).SerializeToString()
    if len(packed) > MAX_EXTRA_INFO_BYTES:
        packed = to_status(KallaError(error.code, error.message[:1000])).SerializeToString()
    return flight.FlightServerError(shortened(error.message), packed)


def _known(error: BaseException) -> KallaError | None:
    """What the libraries that read say by their exceptions; None for a defect."""
    text = str(error)
    if isinstance(error, DecodeError):
        return KallaError(Code.INVALID_REQUEST, "The Flight ticket cannot be decoded.")
    if isinstance(error, CancelledError):
        return KallaError(Code.RUNNER_UNAVAILABLE, "The runner is stopping: try again in a moment.")
    if isinstance(error, TimeoutError):
        return KallaError(Code.DEADLINE_EXCEEDED, "The rows could not be found in time; try again.")
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return KallaError(Code.MEMORY_LIMIT, "Reading the rows needs more memory than there is; filter them.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return KallaError(Code.STORAGE_FULL, "The runner's disk is full; free some space and try again.")
    if isinstance(error, FileNotFoundError):
        return KallaError(Code.DATA_NOT_FOUND, "The file that holds the rows does not exist any more.")
    if isinstance(error, PermissionError):
        return KallaError(Code.ACCESS_DENIED, "The file that holds the rows may not be read.")
    # DataFusion raises a bare Exception, and Rust that panics what is not even that.
    engine = type(error) is Exception or type(error).__name__ == "PanicException"
    if isinstance(error, pa.ArrowException | OSError) or engine:
        return KallaError(
            Code.INVALID_DATA,
            "The rows cannot be read: the data are damaged, or the filters ask for what cannot be computed.",
        )
    return None


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
