"""What other services need of a runner, free of any wire format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import pyarrow as pa

from kalla_common.domain import ColumnInfo, JobProgress, JobResult, JobSpec, JobState, SourceSpec, SqlCheck
from kalla_common.errors import Code, KallaError

_UNANSWERED: Final = {
    Code.RUNNER_UNAVAILABLE: "The runner cannot be reached; check that it runs and try again.",
    Code.DEADLINE_EXCEEDED: (
        "The runner did not answer in time: what it was asked to read is large, or its server slow or silent;"
        " narrow it with filters or try again."
    ),
}


class Output(StrEnum):
    """The three outputs of a run."""

    MATCHED = "matched"
    UNMATCHED_LEFT = "unmatched_left"
    UNMATCHED_RIGHT = "unmatched_right"


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of a source, after its filters."""

    source: SourceSpec
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class OutputRows:
    """Rows of an output of a completed run, in file order."""

    run_id: str
    output: Output
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the runner knows it."""

    run_id: str
    state: JobState
    progress: JobProgress | None = None
    result: JobResult | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows as text cells (NULL as None), and how many there are in all."""

    columns: tuple[ColumnInfo, ...]
    rows: list[list[str | None]]
    total_rows: int


@dataclass(frozen=True, slots=True)
class RowStream:
    """An open stream of rows; `batches` may be consumed once."""

    schema: pa.Schema
    columns: tuple[ColumnInfo, ...]
    total_rows: int
    batches: AsyncIterator[pa.RecordBatch]


@contextmanager
def naming_runner() -> Generator[None]:
    """Let errors of a connection say which service it was that did not answer."""
    try:
        yield
    except KallaError as error:
        message = _UNANSWERED.get(error.code)
        if message is None or error.details:
            raise
        raise KallaError(error.code, message) from error


class RunnerControl(Protocol):
    """Starts, asks for and ends jobs. All methods raise KallaError."""

    async def submit(self, spec: JobSpec) -> None:
        """Return once the job is journaled; DEADLINE_EXCEEDED leaves open whether it is."""
        ...

    async def job(self, run_id: str) -> JobView:
        """Return the job; RUN_NOT_FOUND if the runner never accepted it."""
        ...

    async def cancel(self, run_id: str) -> JobView:
        """End the job now; one that has ended stays as it is."""
        ...

    async def describe(self, source: SourceSpec) -> tuple[ColumnInfo, ...]:
        """Return the columns of a source."""
        ...

    async def check(self) -> None:
        """Raise RUNNER_UNAVAILABLE unless the runner takes calls."""
        ...


class RunnerTrials(Protocol):
    """Puts queries to the test. All methods raise KallaError."""

    async def check_sql(
        self, match_sql: str, sources: Sequence[SourceSpec], primary_keys: Mapping[str, tuple[str, ...]]
    ) -> SqlCheck:
        """Plan a query against the real schemas without running it."""
        ...

    async def ended(self, run_id: str, seconds: float) -> JobView:
        """Wait until the job has ended; DEADLINE_EXCEEDED after `seconds`."""
        ...

    async def discard_trial(self, run_id: str) -> None:
        """Remove the outputs of a trial that has ended."""
        ...


class RunnerRows(Protocol):
    """Brings rows. All methods raise KallaError."""

    async def page(self, rows: SourceRows | OutputRows) -> Page:
        """Return the rows asked for, all at once."""
        ...

    def stream(self, rows: SourceRows | OutputRows) -> AbstractAsyncContextManager[RowStream]:
        """Open the rows asked for as a stream; leaving the block ends it on the runner too."""
        ...
