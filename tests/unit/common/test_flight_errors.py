"""Which exceptions of the libraries that read are failures of the data, and which are defects."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pyarrow as pa
import pytest
from kalla_common.errors import Code
from kalla_common.rpc.flight import flight_errors, to_flight_error, to_kalla_error, wrap_stream
from pyarrow import flight
from structlog.testing import capture_logs


class PanicException(BaseException):
    """A panic of a library written in Rust."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (pa.ArrowInvalid("Corrupt snappy compressed data, s3cret"), Code.INVALID_DATA),
        (pa.ArrowNotImplementedError("no cast"), Code.INVALID_DATA),
        (OSError("Unexpected end of stream"), Code.INVALID_DATA),
        (Exception("DataFusion error: Arrow error: Cast error: s3cret"), Code.INVALID_DATA),
        (PanicException("index out of bounds"), Code.INVALID_DATA),
        (Exception("DataFusion error: Resources exhausted: s3cret"), Code.MEMORY_LIMIT),
        (pa.ArrowMemoryError("malloc of size 99 failed"), Code.MEMORY_LIMIT),
        (MemoryError(), Code.MEMORY_LIMIT),
        (OSError(errno.ENOSPC, "No space left on device"), Code.STORAGE_FULL),
        (FileNotFoundError(errno.ENOENT, "gone", "/s3cret"), Code.DATA_NOT_FOUND),
        (PermissionError(errno.EACCES, "denied", "/s3cret"), Code.ACCESS_DENIED),
        (TimeoutError(), Code.DEADLINE_EXCEEDED),
        (CancelledError(), Code.RUNNER_UNAVAILABLE),
    ],
)
def test_what_the_libraries_say_is_an_error_with_a_code_and_one_line_in_the_log(
    error: BaseException, code: Code
) -> None:
    with capture_logs() as logs:
        raised = to_kalla_error(to_flight_error(error), Code.RUNNER_UNAVAILABLE)
    assert raised.code is code
    assert "s3cret" not in raised.message
    assert [("exc_info" in line, line["log_level"]) for line in logs] == [(False, "warning")]


def test_a_defect_is_internal_and_its_trace_is_in_the_log() -> None:
    with capture_logs() as logs:
        raised = to_kalla_error(to_flight_error(KeyError("s3cret")), Code.RUNNER_UNAVAILABLE)
    assert (raised.code, "s3cret" in raised.message) == (Code.INTERNAL, False)
    assert logs[0]["exc_info"]


def test_an_error_in_mid_stream_is_wrapped_and_a_stream_that_is_given_up_is_none() -> None:
    def rows() -> Iterator[int]:
        yield 1
        raise PanicException("index out of bounds")

    stream = wrap_stream(rows())
    assert next(stream) == 1
    with pytest.raises(flight.FlightServerError):
        next(stream)
    with capture_logs() as logs:
        given_up = wrap_stream(rows())
        next(given_up)
        given_up.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
        with pytest.raises(KeyboardInterrupt), flight_errors():
            raise KeyboardInterrupt
    assert logs == []
