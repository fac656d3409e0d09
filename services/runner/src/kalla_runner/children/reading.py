"""What a reader process does: the questions about sources and queries, and rows.

Everything here runs in a process that may be killed at any moment, and is killed where it needs
more memory or time than it may have.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

import pyarrow as pa
from kalla_common.domain import ColumnInfo, SqlCheck
from kalla_common.errors import Code, KallaError

from kalla_runner.children.protocol import CheckSql, Describe, Frame, Opened, SourceRows
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.connectors.type_names import columns_of
from kalla_runner.matching.check import check_match_sql
from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.deadline import killed_in_time

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Rows travel in pieces of about this size, so that the runner never holds many of them."""
MOST_ROW_BYTES: Final = 64 * 1024 * 1024


def answer(task: Describe | CheckSql) -> tuple[tuple[ColumnInfo, ...], int | None] | SqlCheck:
    """The value that a task asks for."""
    match task:
        case Describe():
            return describe(task)
        case CheckSql():
            return check_sql(task)


def describe(task: Describe) -> tuple[tuple[ColumnInfo, ...], int | None]:
    """The columns of a source and, if asked for, its rows after the filters."""
    with _session(task.frame) as session:
        source = open_source(task.spec, session)
        return tuple(columns_of(source.schema())), source.count() if task.count else None


def check_sql(task: CheckSql) -> SqlCheck:
    """Plan a match query against the real schemas without running it."""
    with _session(task.frame) as session:
        tables = [
            TableInfo.of(
                spec.alias, open_source(spec, session).schema(), task.primary_keys.get(spec.alias, ())
            )
            for spec in task.sources
        ]
    with killed_in_time():
        return check_match_sql(task.match_sql, tables[0], tables[1], tables[2:])


def source_rows(task: SourceRows) -> Generator[Opened | pa.RecordBatch]:
    """A page of a source: first what it is, then its rows in small pieces."""
    with _session(task.frame) as session:
        source = open_source(task.spec, session)
        schema, total = source.schema(), source.count()
        yield Opened(schema, tuple(columns_of(schema)), total)
        for batch in source.rows(task.limit, task.offset):
            yield from _pieces(batch, task.spec.alias)


def _session(frame: Frame) -> ReadSession:
    return ReadSession(frame.allowed_roots, frame.threads, s3=frame.s3, scratch=frame.scratch)


def _pieces(batch: pa.RecordBatch, alias: str) -> Iterator[pa.RecordBatch]:
    if batch.nbytes <= PIECE_BYTES:
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half), alias)
        yield from _pieces(batch.slice(half), alias)
    elif batch.nbytes <= MOST_ROW_BYTES:
        yield batch
    else:
        raise KallaError(
            Code.INVALID_DATA,
            f"A row of the source {alias!r} holds {batch.nbytes // 2**20} MB; rows of up to"
            f" {MOST_ROW_BYTES // 2**20} MB can be shown.",
        )
