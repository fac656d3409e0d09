"""The text of a CSV file, plain or gzip, from its pinned bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.pinned import PinnedBytes, ReadAtFile

ReadInto = Callable[[memoryview], int]
"""Fills as much of a view as there are bytes left; less than asked for only at the end."""


@dataclass(frozen=True, slots=True)
class OpenBytes:
    """An opened stretch of a file's text.

    Attributes:
        read_into: gives its bytes, in order.
        consumed: how many bytes of the file itself, packed where it is packed, were taken so far.
    """

    read_into: ReadInto
    consumed: Callable[[], int]


_SKIP: Final = 1 << 20
_PACKED_PIECE: Final = 1 << 20


@contextmanager
def open_bytes(source: PinnedBytes, start: int = 0, end: int | None = None) -> Generator[OpenBytes]:
    """Opens the file's text from byte `start` up to byte `end` (default: all), unpacked if it is gzip.

    Raises:
        KallaError: DATA_NOT_FOUND, ACCESS_DENIED, INVALID_DATA (not gzip), SOURCE_CHANGED or
            SOURCE_UNREACHABLE, also when the bytes are read.
    """
    if is_gzip(source):
        with _open_gzip(source, start) as text:
            yield text
    else:
        with _open_plain(source, start, source.size if end is None else end) as text:
            yield text


def is_gzip(source: PinnedBytes) -> bool:
    """Whether the file's name says that it is compressed."""
    return source.name.lower().endswith(".gz")


@contextmanager
def _open_plain(source: PinnedBytes, start: int, end: int) -> Generator[OpenBytes]:
    position = start
    with source.opened() as read_at:

        def read_into(view: memoryview) -> int:
            nonlocal position
            count = read_at(position, view[: max(0, end - position)]) if position < end else 0
            position += count
            return count

        yield OpenBytes(read_into, lambda: position - start)


@contextmanager
def _open_gzip(source: PinnedBytes, start: int) -> Generator[OpenBytes]:
    packed = ReadAtFile(source.opened(), source.size)
    with (
        io.BufferedReader(packed, _PACKED_PIECE) as buffered,
        pa.PythonFile(buffered, "r") as raw,
        pa.CompressedInputStream(raw, "gzip") as unpacked,
    ):

        def read_into(view: memoryview) -> int:
            done = 0
            with _gzip_errors(source):
                while done < len(view):
                    count = unpacked.readinto(view[done:])
                    if not count:
                        break
                    done += count
            return done

        while start > 0:
            count = read_into(memoryview(bytearray(min(start, _SKIP))))
            if count == 0:
                break
            start -= count
        yield OpenBytes(read_into, buffered.tell)


@contextmanager
def _gzip_errors(source: PinnedBytes) -> Generator[None]:
    try:
        yield
    except OSError as error:
        # Arrow's decompressor reports through OSError without a number. Of a file that grew, only
        # the pinned size is read, which looks like a file that was cut.
        source.confirm()
        raise KallaError(
            Code.INVALID_DATA,
            f"The file {source.name} is not a whole gzip file; compress or copy it again.",
        ) from error


def read_head(source: PinnedBytes, size: int) -> bytes:
    """The first `size` bytes of the file's text, fewer if it is shorter."""
    buffer = bytearray(size)
    with open_bytes(source) as text:
        return bytes(buffer[: text.read_into(memoryview(buffer))])
