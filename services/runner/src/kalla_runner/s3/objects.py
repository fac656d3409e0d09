"""Objects of an S3 store, read by ranges on the condition that they are what was pinned.

Every request for a range names the ETag (If-Match), and the answer's ETag and size are compared
as well, for stores that ignore the condition. So what was read is of the pinned state for
certain, and nothing needs to be looked at again afterwards.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import obstore
import pyarrow as pa
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from obstore.exceptions import BaseError
from obstore.store import S3Store

from kalla_runner.pinned import PinnedBytes, ReadAt, ReadAtFile
from kalla_runner.s3.address import S3Address
from kalla_runner.s3.errors import changed, is_passing, is_refusal, s3_code, s3_error

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import S3Config

FEWEST_CONNECTIONS: Final = 4
"""One connection alone rarely fills a network."""
CONNECTIONS_A_THREAD: Final = 2
_CONNECT_SECONDS: Final = 5
_REQUEST_SECONDS: Final = 120
_SILENT_SECONDS: Final = 30
_RETRY_SECONDS: Final = 60
_LOOK_SECONDS: Final = 10
"""For a question about objects, whose answer is short."""
_RETRIES: Final = 4
_RESUMPTIONS: Final = 4
_CHUNK_BYTES: Final = 1 << 20
_BACKOFF_SECONDS: Final = 0.2

FAILURES: Final = (BaseError, OSError, ValueError)
"""All that the client raises."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    size: int
    e_tag: str


class S3Reading:
    """The frame in which objects are read: connections, threads, and a folder for what is brought here.

    Args:
        settings: the store and Kalla's credentials.
        scratch: a folder for nameless files, which vanish with this process at the latest.
        threads: that read what comes; as many ranges are on their way at once as they can keep up with.
    """

    def __init__(self, settings: S3Settings, scratch: Path, threads: int = 1) -> None:
        settings.credentials()
        self.endpoint = settings.endpoint
        self.scratch = scratch
        self.fetchers = ThreadPoolExecutor(
            max(FEWEST_CONNECTIONS, CONNECTIONS_A_THREAD * threads), "kalla-s3"
        )
        self._settings = settings
        self._stores: dict[tuple[str, int], S3Store] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Give up what is still on its way."""
        self.fetchers.shutdown(cancel_futures=True)

    def store(self, bucket: str) -> S3Store:
        """A client of one bucket."""
        return self._client(bucket, _REQUEST_SECONDS)

    def _client(self, bucket: str, seconds: int) -> S3Store:
        with self._lock:
            if (bucket, seconds) not in self._stores:
                self._stores[bucket, seconds] = _store(self._settings, bucket, seconds)
            return self._stores[bucket, seconds]

    def pin(self, at: S3Address) -> S3Object:
        """The object in its present state.

        Raises:
            KallaError: DATA_NOT_FOUND, ACCESS_DENIED, SOURCE_UNREACHABLE.
        """
        try:
            found = obstore.head(self._client(at.bucket, _LOOK_SECONDS), at.key)
        except FAILURES as error:
            raise s3_error(error, at, self.endpoint, self._why(error, at)) from error
        return S3Object(self, at, found["size"], _tagged(at, found["e_tag"]))

    def list(self, prefix: S3Address) -> list[Listed]:
        """All objects below a prefix, in the order of their keys as S3 compares them: by bytes.

        Raises:
            KallaError: DATA_NOT_FOUND (no such bucket), ACCESS_DENIED, SOURCE_UNREACHABLE.
        """
        try:
            pages = list(obstore.list(self._client(prefix.bucket, _LOOK_SECONDS), prefix.key or None))
        except FAILURES as error:
            raise s3_error(error, prefix, self.endpoint) from error
        found = [
            Listed(entry["path"], entry["size"], _tagged(prefix, entry["e_tag"]))
            for page in pages
            for entry in page
        ]
        return sorted(found, key=lambda entry: entry.key.encode())

    def _why(self, error: Exception, at: S3Address) -> str:
        """The store's code for a refused HEAD, whose answer has no body: a listing is refused with one."""
        if is_refusal(error):
            try:
                next(iter(obstore.list(self._client(at.bucket, _LOOK_SECONDS), at.key, chunk_size=1)), None)
            except FAILURES as reason:
                code = s3_code(reason)
                # That a listing is not allowed says nothing about the object.
                return "" if code == "AccessDenied" else code
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class S3Object(PinnedBytes):
    """An object in one state."""

    reading: S3Reading
    at: S3Address
    size: int
    e_tag: str

    @property
    def name(self) -> str:
        """See PinnedBytes: its URI, or the name of an uploaded file."""
        return self.at.shown

    @property
    def identity(self) -> Hashable:
        """See PinnedBytes."""
        return self.reading.endpoint, self.at, self.size, self.e_tag

    @property
    def facts(self) -> Mapping[str, str | int]:
        """See PinnedBytes."""
        return {"uri": self.name, "size": self.size, "etag": self.e_tag}

    @property
    def settled(self) -> bool:
        """See PinnedBytes: other bytes have another ETag."""
        return True

    @property
    def near(self) -> bool:
        """See PinnedBytes: every read is a request."""
        return False

    @contextmanager
    def opened(self) -> Generator[ReadAt]:
        """See PinnedBytes."""

        def read_at(position: int, view: memoryview) -> int:
            end = min(position + len(view), self.size)
            done = 0
            for chunk in self.chunks(position, end):
                view[done : done + len(chunk)] = chunk
                done += len(chunk)
            return done

        yield read_at

    def chunks(self, start: int, end: int) -> Generator[bytes]:
        """The bytes from `start` to `end` of the pinned state, in pieces, in order.

        What breaks off on the way is taken up again where it broke.

        Raises:
            KallaError: SOURCE_CHANGED, ACCESS_DENIED, SOURCE_UNREACHABLE.
        """
        failures = 0
        while start < end:
            try:
                for chunk in self._get(start, end).stream(_CHUNK_BYTES):
                    start += len(chunk)
                    failures = 0
                    yield chunk
            except FileNotFoundError as error:
                # It was there when it was pinned.
                raise self.changed() from error
            except FAILURES as error:
                # Requests are repeated by the client itself, so only a body that broke off is of interest.
                if failures == _RESUMPTIONS or not is_passing(error) or "retries" in str(error):
                    raise s3_error(error, self.at, self.reading.endpoint) from error
            if start < end:
                failures += 1
                if failures > _RESUMPTIONS:
                    raise self._short(end - start)
                time.sleep(_BACKOFF_SECONDS * 2**failures * (0.5 + random.random()))  # noqa: S311 - jitter

    def _get(self, start: int, end: int) -> GetResult:
        store = self.reading.store(self.at.bucket)
        result = obstore.get(store, self.at.key, options={"range": (start, end), "if_match": self.e_tag})
        if (result.meta["e_tag"], result.meta["size"]) != (self.e_tag, self.size):
            raise self.changed()
        if result.range != (start, end):
            raise self._short(end - start)
        return result

    def _short(self, missing: int) -> KallaError:
        return KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The S3 store at {self.reading.endpoint} does not send the last {missing} bytes that were asked "
            f"for of {self.name}; run again.",
        )

    def check_unchanged(self) -> None:
        """See PinnedBytes."""
        try:
            same = self.reading.pin(self.at).identity == self.identity
        except KallaError as error:
            if error.code is not Code.DATA_NOT_FOUND:
                raise
            same = False
        if not same:
            raise self.changed()

    def confirm(self) -> None:
        """See PinnedBytes: every range was read on that condition."""

    def changed(self) -> KallaError:
        """See PinnedBytes."""
        return changed(self.at)

    def nearby(self) -> AbstractContextManager[PinnedBytes]:
        """See PinnedBytes: brought here once, readable while it is on its way."""
        from kalla_runner.s3.fetch import spooled  # noqa: PLC0415 - which builds on this module

        return spooled(self)

    def arrow_file(self) -> pa.NativeFile:
        """See PinnedBytes."""
        return pa.PythonFile(ReadAtFile(self.opened(), self.size), "r")

    def to_disk(self, path: Path, progress: Callable[[int], None]) -> Path:
        """See PinnedBytes."""
        from kalla_runner.s3.fetch import fetch_to  # noqa: PLC0415 - which builds on this module

        fetch_to(self, path, progress)
        return path


def _store(settings: S3Settings, bucket: str, seconds: int) -> S3Store:
    key_id, secret, token = settings.credentials()
    config: S3Config = {
        # Named in the path, a bucket is found at any endpoint.
        "virtual_hosted_style_request": False,
        "endpoint": settings.endpoint,
        "region": settings.signing_region,
        "access_key_id": key_id,
        "secret_access_key": secret,
    }
    if token is not None:
        config["session_token"] = token
    return S3Store(
        bucket,
        config=config,
        client_options={
            "allow_http": settings.allow_http,
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "timeout": timedelta(seconds=seconds),
            "read_timeout": timedelta(seconds=min(seconds, _SILENT_SECONDS)),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=min(2 * seconds, _RETRY_SECONDS)),
            "backoff": {
                "init_backoff": timedelta(seconds=_BACKOFF_SECONDS),
                "max_backoff": timedelta(seconds=5),
            },
        },
    )


def _tagged(at: S3Address, e_tag: str | None) -> str:
    if not e_tag:
        raise KallaError(
            Code.INVALID_DATA,
            f"The S3 store gives no ETag for {at.shown}, without which Kalla cannot tell whether it changes.",
        )
    return e_tag
