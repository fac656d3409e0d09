"""Bytes in one pinned state, wherever they lie: what readers of files are written against.

LocalFile (here) · S3Object, Spool (kalla_runner.s3)  ->  CSV, Parquet, outputs
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
from kalla_common.errors import Code, KallaError

_SETTLED_SECONDS: Final = 0.1
"""Within one tick of the file system's clock a second write leaves no trace in the state."""

_FOLDER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

ReadAt = Callable[[int, memoryview], int]
"""Fills a view with the bytes from a position on; less than asked for only at the end."""


class PinnedBytes(ABC):
    """A file or object as it was when it was pinned.

    Attributes:
        size: bytes.
    """

    size: int

    @property
    @abstractmethod
    def name(self) -> str:
        """What people call it."""

    @property
    @abstractmethod
    def identity(self) -> Hashable:
        """Equal for the same place in the same state."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, str | int]:
        """The state as the manifest of a run tells it."""

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether any later write is certain to give another `identity`."""

    @abstractmethod
    def opened(self) -> AbstractContextManager[ReadAt]:
        """A way to read, from several threads at once.

        Raises:
            KallaError: here or while reading; SOURCE_CHANGED where a change is seen.
        """

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise SOURCE_CHANGED if it is not in its pinned state any more."""

    @abstractmethod
    def confirm(self) -> None:
        """Raise SOURCE_CHANGED unless all that was read so far is of the pinned state."""

    def changed(self) -> KallaError:
        """The error for what is no longer in its pinned state."""
        return KallaError(
            Code.SOURCE_CHANGED,
            f"The file {self.name} changed while it was read; start again when nobody writes to it.",
        )

    def nearby(self) -> AbstractContextManager[PinnedBytes]:
        """The same bytes where reading all of them more than once is cheap."""
        return nullcontext(self)

    @property
    def near(self) -> bool:
        """Whether a read from anywhere costs next to nothing."""
        return True

    @abstractmethod
    def arrow_file(self) -> pa.NativeFile:
        """Opened for Arrow's readers."""

    @abstractmethod
    def to_disk(self, path: Path, progress: Callable[[int], None]) -> Path:
        """A local file with these bytes: `path`, written anew, or where they lie already.

        Args:
            path: in an existing folder.
            progress: told how many bytes were done since the last call, from any thread.
        """


@dataclass(frozen=True, slots=True)
class PinnedFiles:
    """The files of one source.

    Attributes:
        parts: in the order of their rows; at least one.
        pin: the state of all together, as the manifest of a run tells it.
        check_unchanged: raises SOURCE_CHANGED if one changed, came or went.
    """

    parts: tuple[PinnedBytes, ...]
    pin: Mapping[str, str | int]
    check_unchanged: Callable[[], None]

    @classmethod
    def one(cls, part: PinnedBytes) -> Self:
        """A source of one file."""
        return cls((part,), part.facts, part.check_unchanged)


@dataclass(frozen=True, slots=True)
class LocalFile(PinnedBytes):
    """A file's state: any write or replacement changes it."""

    path: Path
    size: int
    mtime_ns: int
    inode: int
    called: str = field(default="", compare=False)
    """What people call it, where it is a copy of what they named."""

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.called or self.path.name

    @property
    def identity(self) -> Hashable:
        """See PinnedBytes."""
        return self

    @property
    def facts(self) -> Mapping[str, str | int]:
        """See PinnedBytes."""
        return {"path": str(self.path), "size": self.size, "mtime_ns": self.mtime_ns, "inode": self.inode}

    @property
    def settled(self) -> bool:
        """See PinnedBytes."""
        return time.time() - self.mtime_ns / 1e9 > _SETTLED_SECONDS

    @contextmanager
    def opened(self) -> Generator[ReadAt]:
        """See PinnedBytes."""
        descriptor = self._open()

        def read_at(position: int, view: memoryview) -> int:
            with file_errors(self.path):
                return read_fully(descriptor, position, view)

        try:
            yield read_at
        finally:
            os.close(descriptor)

    def check_unchanged(self) -> None:
        """See PinnedBytes."""
        try:
            same = pin_file(self.path) == self
        except KallaError:
            same = False
        if not same:
            raise self.changed()

    def confirm(self) -> None:
        """See PinnedBytes: only a file that still is what it was has been read in that state."""
        self.check_unchanged()

    def arrow_file(self) -> pa.NativeFile:
        """See PinnedBytes. Read, not mapped: a file that somebody cuts short would end the process."""
        descriptor = self._open()
        try:
            return pa.OSFile(f"/dev/fd/{descriptor}", "r")
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        """The file itself, whatever its name stands for by now; the caller closes it."""
        descriptor = open_regular(self.path)
        if _state(self.path, descriptor) == self:
            return descriptor
        os.close(descriptor)
        raise self.changed()

    def to_disk(self, path: Path, progress: Callable[[int], None]) -> Path:  # noqa: ARG002 - it lies there
        """See PinnedBytes."""
        return self.path


def pin_file(path: Path) -> LocalFile:
    """The state of a file now.

    Args:
        path: resolved: a link in it is a change since then.

    Raises:
        KallaError: as `open_regular`.
    """
    descriptor = open_regular(path)
    try:
        return _state(path, descriptor)
    finally:
        os.close(descriptor)


def _state(path: Path, descriptor: int) -> LocalFile:
    state = os.fstat(descriptor)
    return LocalFile(path, state.st_size, state.st_mtime_ns, state.st_ino)


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file; no link is followed, so its path leads where it was checked.

    Raises:
        KallaError: DATA_NOT_FOUND, ACCESS_DENIED; SOURCE_CHANGED where a link or something else that is
            not a file took its place.
    """
    folder = os.open("/", _FOLDER)
    try:
        with file_errors(path):
            for part in path.absolute().parts[1:-1]:
                inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Not waiting: a pipe in place of the file would keep its reader for ever.
            descriptor = os.open(path.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _replaced(path)
    return descriptor


def _replaced(path: Path) -> KallaError:
    return KallaError(
        Code.SOURCE_CHANGED,
        f"The path of {path.name} leads to something else than when it was checked; start again.",
    )


@contextmanager
def file_errors(path: Path) -> Generator[None]:
    """Turns the operating system's errors on reading into the catalogue's."""
    try:
        yield
    except FileNotFoundError as error:
        raise KallaError(Code.DATA_NOT_FOUND, f"The file {path.name} does not exist.") from error
    except PermissionError as error:
        raise KallaError(
            Code.ACCESS_DENIED, f"Kalla may not read the file {path.name}; change its permissions."
        ) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise _replaced(path) from error
        reason = error.strerror or "the read failed"
        raise KallaError(
            Code.SOURCE_UNREACHABLE, f"The file {path.name} cannot be read: {reason}."
        ) from error


def read_fully(descriptor: int, position: int, view: memoryview) -> int:
    """Read until the view is full or the file ends; OSError as the system says it."""
    # Read, not memory-mapped: a file that somebody cuts short would kill the process at a mapped page.
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], position + done)
        if count == 0:
            break
        done += count
    return done


class ReadAtFile(io.RawIOBase):
    """A file object over a `ReadAt`; closing it closes `opened`."""

    def __init__(self, opened: AbstractContextManager[ReadAt], size: int) -> None:
        super().__init__()
        self._opened = opened
        self._size = size
        self._position = 0
        self._read_at = opened.__enter__()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The next byte to read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as there are bytes."""
        view = memoryview(buffer)[: max(0, self._size - self._position)]
        count = self._read_at(self._position, view) if len(view) else 0
        self._position += count
        return count

    def close(self) -> None:
        """Let go of what is read."""
        if not self.closed:
            super().close()
            self._opened.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self
