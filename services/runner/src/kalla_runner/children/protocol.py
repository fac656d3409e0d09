"""What runner and child say to each other: length-prefixed pickles over a socket pair.

Both ends are the same program of the same version on one machine, so pickle is safe here
and carries schemas, paths and KallaErrors as they are.

    runner -> child   Request(task)
    child -> runner   Ready, then for every request Progress* and one of Done, Failed, Crashed
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kalla_common.domain import JobProgress, JobSpec
from kalla_common.errors import KallaError
from kalla_common.s3 import S3Settings

HEADER: Final = struct.Struct("!Q")
"""Length of the pickle that follows, in bytes."""


@dataclass(frozen=True, slots=True)
class StageTask:
    """Pin and read all sources of `spec` into `folder`, an empty directory of this attempt."""

    spec: JobSpec
    folder: Path
    allowed_roots: tuple[Path, ...]
    threads: int
    s3: S3Settings


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


def pack(message: Task | Reply) -> bytes:
    """One frame."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> Any:
    """The message in a frame's body."""
    return pickle.loads(body)  # noqa: S301 - both ends are this program
