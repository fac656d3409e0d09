"""The same rows as a PostgreSQL table, a CSV file and a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "numeric(12,2)": pa.decimal128(12, 2),
    "date": pa.date32(),
}


@dataclass(frozen=True)
class Column:
    """A column; `type` is one of PostgreSQL's names that the other two formats have too."""

    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """Columns and rows, wherever they lie."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]

    def store(self, kind: str, name: str, folder: Path, database_url: str) -> str:
        """Write the rows as postgres, csv or parquet; the URI."""
        if kind == "postgres":
            return write_postgres(self, database_url, name)
        path = folder / f"{name}.{kind}"
        (write_csv if kind == "csv" else write_parquet)(self, path)
        return str(path)


def write_postgres(table: Table, database_url: str, name: str) -> str:
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        definitions = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))  # pyright: ignore[reportArgumentType] - a constant of this module
            for column in table.columns
        )
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), definitions))
        with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
            for row in table.rows:
                copy.write_row(row)
    return f"{database_url.replace('postgresql://', 'postgres://')}?table={name}"


def write_csv(table: Table, path: Path) -> None:
    """Text is quoted, so that an empty text is no NULL."""
    lines = [",".join(table.names)]
    lines += [",".join(_csv_cell(value) for value in row) for row in table.rows]
    path.write_text("\n".join(lines) + "\n", newline="")


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return str(value)


def write_parquet(table: Table, path: Path) -> None:
    arrays = [
        pa.array([row[number] for row in table.rows], _ARROW[column.type])
        for number, column in enumerate(table.columns)
    ]
    pq.write_table(pa.Table.from_arrays(arrays, names=table.names), path)
