"""The bytes of a CSV file, plain or gzip, in one pinned state."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

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


@dataclass(frozen=True, slots=True)
class FilePin:
    """A file's state: any write or replacement changes it."""

    path: Path
    size: int
    mtime_ns: int
    inode: int


def pin_file(path: Path) -> FilePin:
    """The state of a file now.

    Raises:
        KallaError: DATA_NOT_FOUND or ACCESS_DENIED.
    """
    with read_errors(path):
        state = path.stat()
    return FilePin(path, state.st_size, state.st_mtime_ns, state.st_ino)


def check_pin(pin: FilePin) -> None:
    """Raise SOURCE_CHANGED if the file is no longer in its pinned state."""
    try:
        same = pin_file(pin.path) == pin
    except KallaError:
        same = False
    if not same:
        raise changed(pin)


def changed(pin: FilePin) -> KallaError:
    """The error for a file that is no longer in its pinned state."""
    return KallaError(
        Code.SOURCE_CHANGED,
        f"The file {pin.path.name} changed while it was read; start again when nobody writes to it.",
    )


@contextmanager
def read_errors(path: Path) -> Generator[None]:
    """Turns the operating system's and the decompressor's errors into the catalogue's."""
    try:
        yield
    except FileNotFoundError as error:
        raise KallaError(Code.DATA_NOT_FOUND, f"The file {path.name} does not exist.") from error
    except PermissionError as error:
        raise KallaError(
            Code.ACCESS_DENIED, f"Kalla may not read the file {path.name}; change its permissions."
        ) from error
    except OSError as error:
        if is_gzip(path) and error.errno in (None, errno.EINVAL, errno.EIO):
            # Arrow's decompressor reports through OSError without a number.
            raise KallaError(
                Code.INVALID_DATA,
                f"The file {path.name} is not a whole gzip file; compress or copy it again.",
            ) from error
        reason = error.strerror or "the read failed"
        raise KallaError(
            Code.SOURCE_UNREACHABLE, f"The file {path.name} cannot be read: {reason}."
        ) from error


@contextmanager
def open_bytes(pin: FilePin, start: int = 0, end: int | None = None) -> Generator[OpenBytes]:
    """Opens the file's text from byte `start` up to byte `end` (default: all), unpacked if it is gzip.

    Raises:
        KallaError: DATA_NOT_FOUND, ACCESS_DENIED, INVALID_DATA (not gzip) or SOURCE_UNREACHABLE, also
            when the bytes are read.
    """
    opened = ExitStack()
    with opened:
        # Only the file's own errors are translated, not those of the code that reads it.
        with read_errors(pin.path):
            stretch = opened.enter_context(
                _open_gzip(pin.path, start)
                if is_gzip(pin.path)
                else _open_plain(pin.path, start, pin.size if end is None else end)
            )

        def read_into(view: memoryview) -> int:
            with read_errors(pin.path):
                return stretch.read_into(view)

        yield OpenBytes(read_into, stretch.consumed)


def is_gzip(path: Path) -> bool:
    """Whether the file's name says that it is compressed."""
    return path.name.lower().endswith(".gz")


@contextmanager
def _open_plain(path: Path, start: int, end: int) -> Generator[OpenBytes]:
    descriptor = os.open(path, os.O_RDONLY)
    position = start

    # Read, not memory-mapped: a file that somebody cuts short would kill the process at a mapped page.
    def read_into(view: memoryview) -> int:
        nonlocal position
        done = 0
        wanted = min(len(view), end - position)
        while done < wanted:
            count = os.preadv(descriptor, [view[done:wanted]], position)
            if count == 0:
                break
            done += count
            position += count
        return done

    try:
        yield OpenBytes(read_into, lambda: position - start)
    finally:
        os.close(descriptor)


@contextmanager
def _open_gzip(path: Path, start: int) -> Generator[OpenBytes]:
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "gzip") as unpacked:

        def read_into(view: memoryview) -> int:
            done = 0
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
        yield OpenBytes(read_into, raw.tell)


def read_head(pin: FilePin, size: int) -> bytes:
    """The first `size` bytes of the file's text, fewer if it is shorter."""
    buffer = bytearray(size)
    with open_bytes(pin) as text:
        return bytes(buffer[: text.read_into(memoryview(buffer))])
