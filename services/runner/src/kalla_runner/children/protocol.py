"""What runner and child say to each other: length-prefixed pickles over a socket pair.

Both ends are the same program of the same version on one machine, so pickle is safe here
and carries schemas, paths and KallaErrors as they are.

    runner -> child    a task
    child -> runner    Ready, then for every task Progress* and one of Done, Failed, Crashed
    runner -> reader   a reader's task
    reader -> runner   Ready, then for every task Done, Failed or Crashed; for rows before it Opened and
                       batches, each a frame of BATCH with an Arrow IPC message
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from kalla_common.domain import ColumnInfo, JobProgress, JobSpec, SourceSpec
from kalla_common.errors import KallaError
from kalla_common.s3 import S3Settings

HEADER: Final = struct.Struct("!Q")
"""Length of the pickle that follows, in bytes."""

READER_HEADER: Final = struct.Struct("!cQ")
"""Kind and length of what a reader says."""
MESSAGE: Final = b"M"
"""A pickled `ReaderReply`."""
BATCH: Final = b"B"
"""An Arrow IPC message of one record batch."""


@dataclass(frozen=True, slots=True)
class StageTask:
    """Pin and read all sources of `spec` into `folder`, an empty directory of this attempt.

    A source that gives nothing for `silence_seconds` ends the task.
    """

    spec: JobSpec
    folder: Path
    allowed_roots: tuple[Path, ...]
    threads: int
    s3: S3Settings
    silence_seconds: float = inf


@dataclass(frozen=True, slots=True)
class MatchTask:
    """Match what a StageTask left in `staged` and write outputs and manifest into `folder`.

    `output` is where the outputs will appear when they are published: a folder or an S3 prefix. `witness`
    says whether a second engine answers too.
    """

    spec: JobSpec
    staged: Path
    folder: Path
    output: str
    allowed_roots: tuple[Path, ...]
    threads: int
    memory_bytes: int
    witness: bool = False


Task = StageTask | MatchTask


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a reader reads sources.

    Attributes:
        allowed_roots: resolved folders below which local sources must lie.
        threads: how many partitions of one source are read at once.
        s3: the S3 store and Kalla's credentials.
        scratch: a folder for nameless files.
    """

    allowed_roots: tuple[Path, ...]
    threads: int
    s3: S3Settings
    scratch: Path


@dataclass(frozen=True, slots=True)
class Describe:
    """The columns of a source and, if asked for, how many rows it has after its filters."""

    frame: Frame
    spec: SourceSpec
    count: bool


@dataclass(frozen=True, slots=True)
class CheckSql:
    """Plan a match query against the real schemas of its sources."""

    frame: Frame
    match_sql: str
    sources: tuple[SourceSpec, ...]
    primary_keys: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SourceRows:
    """A page of a source after its filters: `Opened`, then batches."""

    frame: Frame
    spec: SourceSpec
    limit: int | None
    offset: int


ReaderTask = Describe | CheckSql | SourceRows


@dataclass(frozen=True, slots=True)
class Opened:
    """Rows are about to come.

    Attributes:
        schema: of the rows, strings as utf8.
        columns: the same for people.
        total_rows: rows there are without limit and offset.
    """

    schema: pa.Schema
    columns: tuple[ColumnInfo, ...]
    total_rows: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The child has imported all it needs."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the present task is."""

    progress: JobProgress


@dataclass(frozen=True, slots=True)
class Done:
    """The task's result."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The task failed in a way that may be shown."""

    error: KallaError


@dataclass(frozen=True, slots=True)
class Crashed:
    """The task failed in an unexpected way; the traceback is for the log alone."""

    traceback: str


Reply = Ready | Progress | Done | Failed | Crashed
ReaderReply = Ready | Opened | Done | Failed | Crashed


def pack(message: Task | ReaderTask | Reply | Opened) -> bytes:
    """One frame."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


def unpack(body: bytes | bytearray) -> Any:
    """The message in a frame's body."""
    return pickle.loads(body)  # noqa: S301 - both ends are this program
