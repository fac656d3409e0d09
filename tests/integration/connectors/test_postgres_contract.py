"""The connector contract for PostgreSQL tables, partitioned tables and views."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pyarrow as pa
import pytest
from psycopg import sql

from tests.integration.connectors.contract import ConnectorContract, SourceMaker
from tests.integration.connectors.postgres_tables import Database, opened_database

TYPES = {
    "int64": "bigint",
    "decimal128(18, 2)": "numeric(18,2)",
    "string": "text",
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
    "timestamp[us, tz=UTC]": "timestamptz",
    "bool": "boolean",
}


class PostgresMaker(SourceMaker):
    def __init__(self, database: Database, kind: str) -> None:
        self.database = database
        self.kind = kind
        self.names = (f"t{number}" for number in itertools.count())

    def make(self, table: pa.Table) -> str:
        name = next(self.names)
        columns = [f'"{field.name}" {TYPES[str(field.type)]}' for field in table.schema]
        partitioned = self.kind == "partitioned"
        tail = " PARTITION BY HASH (id)" if partitioned else ""
        self.database.run(f"CREATE TABLE {name} ({', '.join(columns)}){tail}")
        if partitioned:
            for rest in range(3):
                of = f"FOR VALUES WITH (MODULUS 3, REMAINDER {rest})"
                self.database.run(f"CREATE TABLE {name}_{rest} PARTITION OF {name} {of}")
        self.insert(name, table)
        if self.kind == "view":
            self.database.run(f"CREATE VIEW {name}_view AS SELECT * FROM {name} ORDER BY id")
            return self.database.uri(f"{name}_view")
        return self.database.uri(name)

    def insert(self, name: str, table: pa.Table) -> None:
        insert = sql.SQL("INSERT INTO {} VALUES ({})").format(
            sql.Identifier(name), sql.SQL(", ").join([sql.Placeholder()] * table.num_columns)
        )
        with self.database.connection.cursor() as cursor:
            cursor.executemany(insert, [list(row.values()) for row in table.to_pylist()])

    def change(self, uri: str) -> None:
        name = uri.rpartition("table=")[2].removesuffix("_view")
        self.database.run(f"UPDATE {name} SET name = 'changed'", f"DELETE FROM {name} WHERE id = 1")

    def missing(self) -> str:
        return self.database.uri("no_such_table")

    def unreachable(self) -> str:
        return "postgresql://user:secret@127.0.0.1:1/db?table=x"

    def refused(self) -> tuple[str, str]:
        user, _, server = self.database.uri("x").partition("@")
        return f"{user.rpartition(':')[0]}:wr0ng-s3cret@{server}", "wr0ng-s3cret"


class TestPostgresContract(ConnectorContract):
    @pytest.fixture(params=["table", "partitioned", "view"])
    def maker(self, database_url: str, request: pytest.FixtureRequest) -> Iterator[SourceMaker]:
        with opened_database(database_url) as database:
            yield PostgresMaker(database, request.param)
