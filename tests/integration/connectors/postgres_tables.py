"""What the PostgreSQL tests share: tables in a fresh database, opened as sources."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pyarrow as pa
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar, SourceSpec
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.postgres import PostgresConnector
from kalla_runner.staging import StagedTable


class Database:
    """A fresh database, and sources in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement.encode())

    def count(self, table: str, condition: str = "true") -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}".encode()).fetchone()
        assert row is not None
        return int(row[0])

    def uri(self, table: str, **parameters: str) -> str:
        given = {"table": table, **parameters}
        return self.url + "?" + "&".join(f"{key}={quote(value)}" for key, value in given.items())

    @contextmanager
    def source(
        self,
        table: str,
        *filters: FilterCondition,
        schema: Sequence[str] = (),
        threads: int = 2,
        **parameters: str,
    ) -> Generator[OpenSource]:
        spec = SourceSpec("t", self.uri(table, **parameters), filters, tuple(schema))
        with ReadSession((), threads) as session:
            yield PostgresConnector().open(spec, session)


def table_of(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(list(batches), schema)


def read(source: OpenSource) -> pa.Table:
    return table_of(source.rows(), source.schema())


def staged_rows(staged: StagedTable) -> pa.Table:
    parts = []
    for path in staged.files:
        with pa.memory_map(str(path)) as file:
            parts.append(pa.ipc.open_file(file).read_all())
    table = pa.concat_tables(parts)
    assert table.schema == staged.schema
    assert table.num_rows == staged.row_count
    table.validate(full=True)
    return table


def stage(source: OpenSource, folder: Path) -> pa.Table:
    told: list[float] = []
    staged = source.stage(folder, told.append)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert staged.filters == ()
    return staged_rows(staged)


def only(column: str, op: str, *values: FilterScalar) -> FilterCondition:
    return FilterCondition(column, FilterOp(op), values)


def values_of(table: pa.Table, column: str = "v") -> list[Any]:
    return table.column(column).to_pylist()


@contextmanager
def opened_database(url: str) -> Generator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.connection.close()
