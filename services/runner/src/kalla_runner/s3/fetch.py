"""Brings objects to the disk in parallel ranges; what has arrived can be read before the rest has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Condition
from typing import Final

import pyarrow as pa
from kalla_common.errors import KallaError

from kalla_runner.pinned import PinnedBytes, ReadAt, ReadAtFile, read_fully
from kalla_runner.s3.objects import S3Object
from kalla_runner.storage import check_room, storage_errors

_RANGE_BYTES: Final = 1 << 25
"""Of one request: larger ones cost the store less, smaller ones arrive more in order."""


class Download:
    """One object on its way into a file, its first ranges first.

    Args:
        source: the object.
        descriptor: of the file, for writing.
        folder: where the file is, for errors.
        progress: told the bytes of every range that arrived, from any thread.
    """

    def __init__(
        self,
        source: S3Object,
        descriptor: int,
        folder: Path,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._folder = folder
        self._progress = progress
        self._arrived = [number * _RANGE_BYTES for number in range(-(-source.size // _RANGE_BYTES))]
        """Of each range, up to which byte."""
        self._error: Exception | None = None
        self._stopped = False
        self._news = Condition()
        self._tasks = [
            source.reading.fetchers.submit(self._fetch, number) for number in range(len(self._arrived))
        ]

    def wait_for(self, start: int, end: int) -> None:
        """Wait until the bytes from `start` to `end` are in the file.

        Raises:
            KallaError: SOURCE_CHANGED, SOURCE_UNREACHABLE, ACCESS_DENIED or STORAGE_FULL.
        """
        end = min(end, self._source.size)
        with self._news:
            self._news.wait_for(lambda: self._error is not None or self._is_here(start, end))
            if isinstance(self._error, KallaError):
                # A copy for each who waits: raising one object in several threads mixes their traces.
                raise KallaError(self._error.code, self._error.message, **self._error.details)
            if self._error is not None:
                raise self._error

    def _is_here(self, start: int, end: int) -> bool:
        ranges = range(start // _RANGE_BYTES, -(-end // _RANGE_BYTES))
        return all(self._arrived[number] >= min(end, (number + 1) * _RANGE_BYTES) for number in ranges)

    def close(self) -> None:
        """Give up what has not arrived; nothing is written any more when this returns."""
        self._stopped = True
        for task in self._tasks:
            if not task.cancel():
                # Its error was kept for those who wait.
                task.exception()

    def _fetch(self, number: int) -> None:
        start = number * _RANGE_BYTES
        end = min(start + _RANGE_BYTES, self._source.size)
        if self._stopped or self._error is not None:
            return
        try:
            for chunk in self._source.chunks(start, end):
                if self._stopped:
                    return
                with storage_errors(self._folder):
                    check_room(self._folder)
                    _write_fully(self._descriptor, start, chunk)
                start += len(chunk)
                self._progress(len(chunk))
                with self._news:
                    self._arrived[number] = start
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in those who wait
            with self._news:
                self._error = self._error or error
                self._news.notify_all()


class Spool(PinnedBytes):
    """A local copy of an object, complete or on its way here."""

    def __init__(self, source: S3Object, descriptor: int, download: Download) -> None:
        self.size = source.size
        self._source = source
        self._descriptor = descriptor
        self._download = download

    @property
    def name(self) -> str:
        """The object's."""
        return self._source.name

    @property
    def identity(self) -> Hashable:
        """See PinnedBytes."""
        return self._source.identity

    @property
    def facts(self) -> Mapping[str, str | int]:
        """See PinnedBytes."""
        return self._source.facts

    @property
    def settled(self) -> bool:
        """See PinnedBytes."""
        return self._source.settled

    @contextmanager
    def opened(self) -> Generator[ReadAt]:
        """See PinnedBytes."""

        def read_at(position: int, view: memoryview) -> int:
            self._download.wait_for(position, position + len(view))
            with storage_errors(self._source.reading.scratch):
                return read_fully(self._descriptor, position, view)

        yield read_at

    def check_unchanged(self) -> None:
        """See PinnedBytes."""
        self._source.check_unchanged()

    def confirm(self) -> None:
        """See PinnedBytes."""

    def changed(self) -> KallaError:
        """See PinnedBytes."""
        return self._source.changed()

    def nearby(self) -> AbstractContextManager[PinnedBytes]:
        """See PinnedBytes: it is."""
        return nullcontext(self)

    def arrow_file(self) -> pa.NativeFile:
        """See PinnedBytes."""
        return pa.PythonFile(ReadAtFile(self.opened(), self.size), "r")

    def to_disk(self, path: Path, progress: Callable[[int], None]) -> Path:
        """See PinnedBytes."""
        return self._source.to_disk(path, progress)


@contextmanager
def spooled(source: S3Object) -> Generator[Spool]:
    """The object in a nameless file, which is gone when this is left or the process ends.

    Raises:
        KallaError: STORAGE_FULL or OUTPUT_NOT_WRITABLE; the rest is raised where it is read.
    """
    scratch = source.reading.scratch
    with storage_errors(scratch):
        file = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115 - closed below
    with file:
        download = Download(source, file.fileno(), scratch)
        try:
            yield Spool(source, file.fileno(), download)
        finally:
            download.close()


def fetch_to(source: S3Object, path: Path, progress: Callable[[int], None]) -> None:
    """Bring the whole object into a file; nothing remains of it on failure.

    Raises:
        KallaError: SOURCE_CHANGED, SOURCE_UNREACHABLE, ACCESS_DENIED, STORAGE_FULL, ...
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        download = Download(source, descriptor, path.parent, progress)
        try:
            download.wait_for(0, source.size)
        finally:
            download.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _write_fully(descriptor: int, position: int, data: bytes) -> None:
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], position + done)
