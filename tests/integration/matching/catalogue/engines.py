"""One expression over one table, in three engines: the values, or an error, row by row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final, LiteralString, cast

import duckdb
import psycopg
import pyarrow as pa
from kalla_common.errors import KallaError
from kalla_runner.matching.check import plan_match

from tests.integration.matching.catalogue.values import Kind
from tests.unit.runner.matching.sql.tables import info, session_with

_CONTEXT: Final = Context(prec=100)
ERROR: Final = "(error)"
"""Stands for the value where a row makes the query fail."""


@dataclass(frozen=True)
class Columns:
    """Arguments: column `name` of a type, with as many values as the table has rows."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    cells: tuple[tuple[Any, ...], ...]

    @property
    def rows(self) -> int:
        return len(self.cells[0]) if self.cells else 1


@dataclass(frozen=True)
class Trial:
    """An expression with {0}, {1}, ... for its columns.

    `shape` is row; or group, where it aggregates rows of one `k`; or window, over the rows of one `k` by id.
    """

    columns: Columns
    sql: str
    shape: str = "row"


def groups(rows: int) -> list[int]:
    """The group of each row; the last one has the NULLs of most columns."""
    return [row // 4 for row in range(rows)]


def table_of(columns: Columns) -> pa.Table:
    arrays: dict[str, pa.Array] = {"id": pa.array(range(columns.rows), pa.int64())}
    arrays["k"] = pa.array(groups(columns.rows), pa.int64())
    for name, kind, cells in zip(columns.names, columns.kinds, columns.cells, strict=True):
        arrays[name] = pa.array(list(cells), kind.arrow)
    return pa.table(arrays)


def plain(value: Any) -> Any:
    """A value as it is compared: all exact numbers as decimals, zoned moments in UTC."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | Decimal):
        number = Decimal(value)
        return _CONTEXT.normalize(number) if number else Decimal(0)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        # An interval of DuckDB, as Arrow has it: months, days, nanoseconds.
        _, days, nanoseconds = cast("tuple[int, int, int]", value)
        return dt.timedelta(days=days, microseconds=nanoseconds // 1000)
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def _split(rows: Sequence[int], run: Callable[[Sequence[int]], list[Any]]) -> list[Any]:
    """Run on all rows; where that fails on halves of them, down to the row that fails."""
    try:
        return run(rows)
    except (KallaError, duckdb.Error, psycopg.Error, _EngineError):
        if len(rows) == 1:
            return [ERROR]
        half = len(rows) // 2
        return _split(rows[:half], run) + _split(rows[half:], run)


class _EngineError(Exception):
    pass


def kalla(trial: Trial) -> list[Any]:
    """By the query that match_sql becomes; raises KallaError where it is refused."""
    table = table_of(trial.columns)
    expression = trial.sql.format(*(f"l.{name}" for name in trial.columns.names))
    if trial.shape == "group":
        inner = f"WITH a AS (SELECT l.k AS k, {expression} AS v FROM l GROUP BY l.k) "
        query = inner + "SELECT l.id, r.id AS rid, a.v AS v FROM l JOIN r ON l.id = r.id JOIN a ON a.k = l.k"
    else:
        query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    ids = pa.table({"id": table.column("id")})
    made = plan_match(query, info("l", table, "id"), info("r", ids, "id"), allow_quadratic=True)

    def run(rows: Sequence[int]) -> list[Any]:
        part = table.take(pa.array(rows))
        try:
            frame = session_with({"l": part, "r": ids}).sql(made.sql)
            stated = {field.name: field.type for field in frame.schema()}["v"]
            found = frame.to_arrow_table().sort_by(made.output_columns[0])
        except Exception as error:  # noqa: BLE001 - the engine raises what it likes; a panic is no Exception
            raise _EngineError(str(error)) from None
        assert found.column("v").type == stated, (trial.sql, found.column("v").type, stated)
        return [plain(value) for value in _python(found.column("v"))]

    return run(range(table.num_rows)) if trial.shape != "row" else _split(range(table.num_rows), run)


def _python(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        # Python has no year 10000: such a value is compared as the number that it is.
        values: list[Any] = []
        for item in column:
            try:
                values.append(item.as_py())
            except (OverflowError, ValueError):
                values.append(f"beyond: {item.value}")
        return values
    return cast("list[Any]", column.to_pylist())


def in_duckdb(connection: duckdb.DuckDBPyConnection, trial: Trial, sql: str) -> list[Any]:
    """By DuckDB, with the arguments as columns of the same types."""
    table = table_of(trial.columns)
    query = _oracle_query(trial, sql, "t")

    def run(rows: Sequence[int]) -> list[Any]:
        connection.register("t", table.take(pa.array(rows)))
        try:
            return [plain(value) for value in _python(connection.sql(query).to_arrow_table().column(0))]
        finally:
            connection.unregister("t")

    return run(range(table.num_rows)) if trial.shape != "row" else _split(range(table.num_rows), run)


def _oracle_query(trial: Trial, sql: str, table: str) -> str:
    names = [f"({table}.{name})" for name in trial.columns.names]
    expression = sql.format(*names, all=", ".join(names))
    if trial.shape == "group":
        return (
            f"SELECT (SELECT v FROM (SELECT {table}.k AS k, {expression} AS v FROM {table} "
            f"GROUP BY {table}.k) g "
            f"WHERE g.k = o.k) FROM {table} o ORDER BY o.id"
        )
    return f"SELECT {expression} FROM {table} ORDER BY {table}.id"


def in_postgres(connection: psycopg.Connection, trial: Trial, sql: str) -> list[Any]:
    """By PostgreSQL, with the arguments as columns of the same types."""
    columns = trial.columns
    declared = ", ".join(f"{n} {k.postgres}" for n, k in zip(columns.names, columns.kinds, strict=True))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS t")
        cursor.execute(_sql(f"CREATE TEMP TABLE t (id bigint, k bigint{', ' if declared else ''}{declared})"))
        numbers = groups(columns.rows)
        with cursor.copy("COPY t FROM STDIN") as copy:
            for i in range(columns.rows):
                copy.write_row((i, numbers[i], *(cells[i] for cells in columns.cells)))

    def run(rows: Sequence[int]) -> list[Any]:
        where = f"t WHERE t.id BETWEEN {rows[0]} AND {rows[-1]}"
        query = _oracle_query(trial, sql, "t")
        if trial.shape == "row":
            query = query.replace("FROM t ", f"FROM {where} ", 1)
        with connection.transaction():
            return [plain(row[0]) for row in connection.execute(_sql(query)).fetchall()]

    return run(range(columns.rows)) if trial.shape != "row" else _split(range(columns.rows), run)


def _sql(text: str) -> LiteralString:
    return cast("LiteralString", text)
