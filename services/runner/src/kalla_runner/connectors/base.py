"""What every connector offers, and nothing of how one does it.

A connector is found by the URI (scheme, else file name) and opens a source inside a
`ReadSession`. Opening pins the source: all that is read through one `OpenSource` is one
state of the source, or a `KallaError(SOURCE_CHANGED)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.s3 import S3Settings

from kalla_runner.staging import StagedTable, StageProgress

Pin = Mapping[str, str | int]
"""What identifies the state of a source that was read; JSON-able, without secrets."""


class ReadSession:
    """The frame in which the sources of one run (or one preview) are read.

    Connectors keep here what several sources of the run share, such as one database
    snapshot for all tables of one database; leaving the session closes it.

    Args:
        allowed_roots: folders under which local paths must lie, resolved.
        threads: how many partitions may be read at once.
        s3: the S3 store and Kalla's credentials, None where there is none.
        scratch: a folder for nameless files, default the system's for temporary ones.
    """

    def __init__(
        self,
        allowed_roots: tuple[Path, ...],
        threads: int = 2,
        *,
        s3: S3Settings | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.allowed_roots = allowed_roots
        self.threads = threads
        self.s3 = s3
        self.scratch = scratch
        self.shared: dict[str, object] = {}
        self.closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.close()


class OpenSource(ABC):
    """One pinned source. Closed by its session.

    Attributes:
        spec: what was asked for.
        pin: the state that is read.
    """

    spec: SourceSpec
    pin: Pin

    @abstractmethod
    def schema(self) -> pa.Schema:
        """The exact types, decided on the whole source; strings are utf8.

        Raises:
            KallaError: DATA_NOT_FOUND, INVALID_DATA, SCHEMA_MISMATCH, SOURCE_UNREACHABLE, ...
        """

    @abstractmethod
    def count(self) -> int:
        """Rows after the filters of the spec."""

    @abstractmethod
    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """Rows after the filters, in the source's order, typed as `schema()`."""

    @abstractmethod
    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """Bring all rows to local disk below `folder` (made if missing), or point to them."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise SOURCE_CHANGED if the source no longer is in the pinned state."""


class Connector(Protocol):
    """Opens sources of one kind. Registered as an entry point of group `kalla.connectors`."""

    def open(self, spec: SourceSpec, session: ReadSession) -> OpenSource:
        """Pin and open a source; raises KallaError where it cannot be read."""
        ...
