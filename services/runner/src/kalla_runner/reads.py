"""What callers ask about sources, queries and outputs without running a job.

These functions block while they read; callers run them in threads. Sources are read in reader
processes. Outputs are Kalla's own files, and are read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
from kalla_common.domain import ColumnInfo, SourceSpec, SqlCheck
from kalla_common.errors import Code, KallaError

from kalla_runner.checks import check_keys, check_sources
from kalla_runner.children.protocol import CheckSql, Describe, Frame, SourceRows
from kalla_runner.children.reader_process import Watch
from kalla_runner.children.readers import Readers


@dataclass(frozen=True, slots=True)
class Page:
    """Rows on their way to a caller.

    Attributes:
        schema: of the rows, strings as utf8.
        columns: the same for people.
        total_rows: rows there are without limit and offset.
        batches: the rows, read as they are asked for.
    """

    schema: pa.Schema
    columns: tuple[ColumnInfo, ...]
    total_rows: int
    batches: Iterator[pa.RecordBatch]


class Reads:
    """Reads sources and outputs for callers.

    Args:
        frame: where sources are read.
        readers: the processes that read sources.
    """

    def __init__(self, frame: Frame, readers: Readers) -> None:
        self._frame = frame
        self._readers = readers

    def describe(
        self, spec: SourceSpec, watch: Watch, *, count: bool
    ) -> tuple[tuple[ColumnInfo, ...], int | None]:
        """The columns of a source and, if asked for, its rows after the filters."""
        task = Describe(self._frame, spec, count)
        found: tuple[tuple[ColumnInfo, ...], int | None] = self._readers.ask(
            task, what=_of(spec), watch=watch, key=spec.uri
        )
        return found

    def source_rows(self, spec: SourceSpec, limit: int | None, offset: int, watch: Watch) -> Page:
        """A page of a source, after its filters."""
        _check_page(limit, offset)
        task = SourceRows(self._frame, spec, limit, offset)
        opened, batches = self._readers.rows(task, what=_of(spec), watch=watch, key=spec.uri)
        return Page(opened.schema, opened.columns, opened.total_rows, batches)

    def output_rows(self, path: str, limit: int | None, offset: int) -> Page:
        """A page of a published output."""
        from kalla_runner.connectors.type_names import columns_of  # noqa: PLC0415 - starts fast without
        from kalla_runner.outputs.reader import pinned_output, read_output  # noqa: PLC0415

        _check_page(limit, offset)
        with ExitStack() as stack:
            output = stack.enter_context(pinned_output(path, self._frame.s3, self._frame.scratch))
            schema, total, batches = read_output(output, limit, offset)
            closing = stack.pop_all()
        return Page(schema, tuple(columns_of(schema)), total, _Closing(batches, closing))

    def check_sql(
        self,
        match_sql: str,
        sources: Sequence[SourceSpec],
        primary_keys: Mapping[str, tuple[str, ...]],
        watch: Watch,
    ) -> SqlCheck:
        """Plan a match query against the real schemas without running it."""
        check_sources(sources)
        check_keys(sources, primary_keys)
        keys = {alias: tuple(columns) for alias, columns in primary_keys.items()}
        task = CheckSql(self._frame, match_sql, tuple(sources), keys)
        check: SqlCheck = self._readers.ask(
            task, what="Checking the match query", watch=watch, key=sources[0].uri
        )
        return check


class _Closing(Iterator[pa.RecordBatch]):
    """Batches whose session is closed when they end, fail or are given up, even before the first."""

    def __init__(self, batches: Iterator[pa.RecordBatch], closing: ExitStack) -> None:
        self._batches = batches
        self._closing = closing

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except BaseException:
            self._closing.close()
            raise

    def __del__(self) -> None:
        # A client that hangs up only lets go of the stream.
        self._closing.close()


def _of(spec: SourceSpec) -> str:
    return f"Reading the source {spec.alias!r}"


def _check_page(limit: int | None, offset: int) -> None:
    if (limit is not None and limit < 0) or offset < 0:
        raise KallaError(Code.INVALID_REQUEST, "limit and offset must not be negative.")
