"""What callers ask about sources and queries without running a job.

These functions block while they read; callers run them in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from kalla_common.domain import ColumnInfo, SourceSpec, SqlCheck
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings

from kalla_runner.checks import check_keys, check_sources

if TYPE_CHECKING:
    from kalla_runner.connectors.base import ReadSession


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
        allowed_roots: resolved folders below which local sources must lie.
        threads: how many partitions of one source are read at once.
        s3: the S3 store and Kalla's credentials.
        scratch: a folder for nameless files.
    """

    def __init__(self, allowed_roots: tuple[Path, ...], threads: int, s3: S3Settings, scratch: Path) -> None:
        self._roots = allowed_roots
        self._threads = threads
        self._s3 = s3
        self._scratch = scratch

    def describe(self, spec: SourceSpec, *, count: bool) -> tuple[tuple[ColumnInfo, ...], int | None]:
        """The columns of a source and, if asked for, its rows after the filters."""
        from kalla_runner.connectors.registry import open_source  # noqa: PLC0415 - starts fast without
        from kalla_runner.connectors.type_names import columns_of  # noqa: PLC0415

        with self._session() as session:
            source = open_source(spec, session)
            return tuple(columns_of(source.schema())), source.count() if count else None

    def source_rows(self, spec: SourceSpec, limit: int | None, offset: int) -> Page:
        """A page of a source, after its filters."""
        from kalla_runner.connectors.registry import open_source  # noqa: PLC0415
        from kalla_runner.connectors.type_names import columns_of  # noqa: PLC0415

        _check_page(limit, offset)
        with ExitStack() as stack:
            session = stack.enter_context(self._session())
            source = open_source(spec, session)
            schema, total = source.schema(), source.count()
            rows = source.rows(limit, offset)
            closing = stack.pop_all()
        return Page(schema, tuple(columns_of(schema)), total, _Closing(rows, closing))

    def output_rows(self, path: str, limit: int | None, offset: int) -> Page:
        """A page of a published output."""
        from kalla_runner.connectors.type_names import columns_of  # noqa: PLC0415
        from kalla_runner.outputs.reader import pinned_output, read_output  # noqa: PLC0415

        _check_page(limit, offset)
        with ExitStack() as stack:
            output = stack.enter_context(pinned_output(path, self._s3, self._scratch))
            schema, total, batches = read_output(output, limit, offset)
            closing = stack.pop_all()
        return Page(schema, tuple(columns_of(schema)), total, _Closing(batches, closing))

    def _session(self) -> ReadSession:
        from kalla_runner.connectors.base import ReadSession  # noqa: PLC0415

        return ReadSession(self._roots, self._threads, s3=self._s3, scratch=self._scratch)

    def check_sql(
        self, match_sql: str, sources: Sequence[SourceSpec], primary_keys: Mapping[str, tuple[str, ...]]
    ) -> SqlCheck:
        """Plan a match query against the real schemas without running it."""
        from kalla_runner.connectors.registry import open_source  # noqa: PLC0415
        from kalla_runner.matching.check import check_match_sql  # noqa: PLC0415
        from kalla_runner.matching.plan import TableInfo  # noqa: PLC0415

        check_sources(sources)
        check_keys(sources, primary_keys)
        with self._session() as session:
            tables = [
                TableInfo.of(
                    spec.alias, open_source(spec, session).schema(), primary_keys.get(spec.alias, ())
                )
                for spec in sources
            ]
        return check_match_sql(match_sql, tables[0], tables[1], tables[2:])


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


def _check_page(limit: int | None, offset: int) -> None:
    if (limit is not None and limit < 0) or offset < 0:
        raise KallaError(Code.INVALID_REQUEST, "limit and offset must not be negative.")
