"""Staged rows as tables of DuckDB: the columns that a query needs, exactly, and the filters applied there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kalla_runner.connectors.filters import Comparison, TypedFilter, check_filters
from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.witness.letters import PLAIN
from kalla_runner.matching.witness.translate import Translation
from kalla_runner.matching.witness.typed import not_possible, number, quoted_text, type_of_column
from kalla_runner.staging import StagedTable

_INCOMING: Final = "incoming"
_BATCH_ROWS: Final = 1 << 16


def load_tables(
    connection: duckdb.DuckDBPyConnection,
    translation: Translation,
    infos: Sequence[TableInfo],
    staged: Sequence[StagedTable],
) -> None:
    """Make the tables t0, t1, ... that a translation reads, and check what it needs of them.

    Raises:
        NotPossibleError: a value has no exact type in DuckDB, or the rows make the translation uncertain.
    """
    for table in sorted(translation.tables):
        places = sorted(place for at, place in translation.columns if at == table)
        _load(connection, table, infos[table], staged[table], places)
    for (table, place), what in translation.plain.items():
        _check_plain(connection, table, place, infos[table], what)
    for table, place in translation.columns:
        known = type_of_column(infos[table].schema.field(place).type)
        if known is not None and known[0].family is Family.FLOAT:
            _check_floats(connection, table, place, infos[table])
    for table, what in translation.unique.items():
        _check_unique(connection, table, infos[table], what)


def _load(
    connection: duckdb.DuckDBPyConnection,
    table: int,
    info: TableInfo,
    staged: StagedTable,
    places: Sequence[int],
) -> None:
    filters = check_filters(staged.filters, staged.schema)
    wanted = sorted({*places, *(info.schema.get_field_index(typed.column) for typed in filters)})
    rows = _Rows(staged, info, wanted)
    conditions = " AND ".join(_condition(typed, info.schema) for typed in filters) or "true"
    kept = ", ".join(f"c{place}" for place in places) or "n"
    connection.register(_INCOMING, pa.RecordBatchReader.from_batches(rows.schema, rows.batches()))
    try:
        connection.execute(f"CREATE TABLE t{table} AS SELECT {kept} FROM {_INCOMING} WHERE {conditions}")  # noqa: S608 - numbers and typed literals
    except duckdb.Error:
        if rows.problem:
            not_possible(rows.problem)
        raise
    finally:
        connection.unregister(_INCOMING)
    # A filter that no row passes is not even asked.
    if rows.count not in (0, staged.row_count):
        not_possible(f"the staged rows of {staged.alias} are not as many as there were")


@dataclass(slots=True)
class _Rows:
    """Reads columns of staged files as DuckDB takes them.

    Args:
        staged: the files.
        info: the table; a column of it that no file has is the number of the row, from 1.
        places: the columns to read, as c<place>.
    """

    staged: StagedTable
    info: TableInfo
    places: Sequence[int]
    count: int = 0
    problem: str = ""
    """What is wrong with a value, where the reading ended because of it."""

    @property
    def schema(self) -> pa.Schema:
        """The columns as they are handed to DuckDB."""
        return pa.schema(
            [("n", pa.int64()), *((f"c{place}", self._types(place)[1]) for place in self.places)]
        )

    def _types(self, place: int) -> tuple[pa.DataType, pa.DataType]:
        """The Arrow type in which a column is exact, and the one in which DuckDB gets it."""
        known = type_of_column(self.info.schema.field(place).type)
        if known is None:
            name = self.info.schema.field(place).name
            not_possible(f"the column {name} has a type that DuckDB does not hold exactly")
        exact = known[1]
        return exact, pa.timestamp("us") if pa.types.is_timestamp(exact) else exact

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, in order."""
        for batch in self._read():
            numbers = pa.array(np.arange(self.count + 1, self.count + 1 + batch.num_rows, dtype=np.int64))
            columns = [self._column(batch, place, numbers) for place in self.places]
            self.count += batch.num_rows
            yield pa.RecordBatch.from_arrays([numbers, *columns], schema=self.schema)

    def _read(self) -> Iterator[pa.RecordBatch]:
        names = [self.info.schema.field(place).name for place in self.places]
        names = [name for name in names if name in self.staged.schema.names]
        for path in self.staged.files:
            if self.staged.format == "arrow":
                with pa.memory_map(str(path)) as file:
                    reader = pa.ipc.open_file(file)
                    for index in range(reader.num_record_batches):
                        yield reader.get_batch(index).select(names or self.staged.schema.names[:1])
            else:
                with pq.ParquetFile(path, memory_map=True) as file:
                    yield from file.iter_batches(_BATCH_ROWS, columns=names or self.staged.schema.names[:1])

    def _column(self, batch: pa.RecordBatch, place: int, numbers: pa.Array) -> pa.Array:
        name = self.info.schema.field(place).name
        if name not in self.staged.schema.names:
            return numbers
        exact, given = self._types(place)
        try:
            column = batch.column(name).cast(self.staged.schema.field(name).type).cast(exact)
        except pa.ArrowInvalid:
            self.problem = f"the column {name} of {self.info.alias} holds a value too long for DuckDB's types"
            raise
        if pa.types.is_timestamp(exact):
            # The moment in UTC, whatever its zone: DuckDB shall not look at zones.
            return column.view(pa.int64()).view(given)
        return column


_SIGNS: Final = {
    Comparison.EQ: "=",
    Comparison.NEQ: "<>",
    Comparison.GT: ">",
    Comparison.GTE: ">=",
    Comparison.LT: "<",
    Comparison.LTE: "<=",
}


def _condition(typed: TypedFilter, schema: pa.Schema) -> str:
    """A filter in DuckDB's SQL. What its literals mean is decided; whether a row passes is not."""
    column = f"c{schema.get_field_index(typed.column)}"
    values = [_literal(value) for value in typed.values]
    match typed.comparison:
        case Comparison.NEVER:
            return "false"
        case Comparison.NOT_NULL:
            return f"{column} IS NOT NULL"
        case Comparison.IN:
            return f"{column} IN ({', '.join(values)})"
        case Comparison.LIKE:
            return f"{column} LIKE {values[0]} ESCAPE '\\'"
        case _:
            return f"{column} {_SIGNS[typed.comparison]} {values[0]}"


def _literal(value: Any) -> str:
    data_type: pa.DataType = value.type
    for test, write in _LITERALS:
        if test(data_type):
            return write(value)
    return not_possible("a filter compares a type that DuckDB does not hold exactly")


_LITERALS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], str]], ...]] = (
    (pa.types.is_boolean, lambda value: "true" if value.as_py() else "false"),
    (pa.types.is_integer, lambda value: str(value.as_py())),
    (pa.types.is_decimal, lambda value: number(f"{value.as_py():f}").sql),
    (pa.types.is_string, lambda value: quoted_text(value.as_py())),
    (pa.types.is_large_string, lambda value: quoted_text(value.as_py())),
    (pa.types.is_date, lambda value: f"DATE '{value.as_py().isoformat()}'"),
    (
        pa.types.is_timestamp,
        lambda value: f"make_timestamp({value.cast(pa.timestamp('us', value.type.tz)).value})",
    ),
)


def _check_plain(
    connection: duckdb.DuckDBPyConnection, table: int, place: int, info: TableInfo, what: str
) -> None:
    query = f"SELECT count(*) FROM t{table} WHERE NOT regexp_full_match(c{place}, '{PLAIN}')"  # noqa: S608 - our own pattern
    if _count(connection, query):
        name = info.schema.field(place).name
        not_possible(
            f"{what} looks at the column {name} of {info.alias}, which holds letters whose treatment differs "
            "between editions of Unicode"
        )


def _check_floats(connection: duckdb.DuckDBPyConnection, table: int, place: int, info: TableInfo) -> None:
    column = f"c{place}"
    query = f"SELECT count(*) FROM t{table} WHERE isnan({column}) OR ({column} = 0 AND signbit({column}))"  # noqa: S608 - numbers
    if _count(connection, query):
        name = info.schema.field(place).name
        not_possible(f"the column {name} of {info.alias} holds NaN or a negative zero")


def _check_unique(connection: duckdb.DuckDBPyConnection, table: int, info: TableInfo, what: str) -> None:
    key = ", ".join(f"c{info.schema.get_field_index(name)}" for name in info.primary_key)
    query = f"SELECT count(*) FROM (SELECT 1 FROM t{table} GROUP BY {key} HAVING count(*) > 1)"  # noqa: S608 - numbers
    if _count(connection, query):
        not_possible(f"{what} depends on the order of rows, and primary keys of {info.alias} come twice")


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
