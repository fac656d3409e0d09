"""DuckDB's answer to the meaning of a match, written from that meaning alone.

matched = rows of the query with both keys present; unmatched = rows of a side that no such row is made
from, even where their key is that of a matched row; a NULL in a key matches nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import duckdb
import pyarrow as pa

from tests.differential.answer import Answer, rows_of
from tests.differential.functions import add_functions
from tests.differential.model import Case, Column, Table
from tests.differential.predicates import FLOAT_SCALE, exact_name, quoted
from tests.differential.render import ROW, meaning
from tests.differential.terms import QUOTIENT_SCALE

_MACROS = (
    # An exact number as the integer of all its digits.
    "digits_of(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    "ten(n) AS CAST('1' || repeat('0', n) AS HUGEINT)",
    "halved(n, d) AS (2 * abs(n) + abs(d)) // (2 * abs(d)) * sign(n) * sign(d)",
    # Kalla's division: 16 digits after the point, rounded half away from zero; `one`, `two`: the scales.
    (
        f"divided(a, b, one, two) AS CASE WHEN b IS NOT NULL THEN CAST(halved(digits_of(a) * "
        f"ten({QUOTIENT_SCALE} - one + two), digits_of(b)) AS DECIMAL(38,0)) "
        f"* CAST('1e-{QUOTIENT_SCALE}' AS DECIMAL(38,{QUOTIENT_SCALE})) END"
    ),
    # The middle of a sorted list, or the mean of its two middle values.
    "middle(m) AS (m[(len(m) + 1) // 2] + m[(len(m) + 2) // 2]) * 0.5",
)
"""What DuckDB does in floats is written out in integers."""


def arrow_table(table: Table) -> pa.Table:
    """Return the table's rows as they are, with its exact types."""
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    arrays = [
        pa.array(list(cells), column.kind.arrow())
        for column, cells in zip(table.columns, columns, strict=True)
    ]
    return pa.table(arrays, names=[column.name for column in table.columns])


def exact_cells(table: Table, column: Column) -> list[Decimal | None]:
    """Return the shortest decimal forms of a column of floats."""
    at = table.columns.index(column)
    return [None if row[at] is None else Decimal(str(row[at])) for row in table.rows]


class Oracle:
    """Answers cases in one in-memory DuckDB."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET order_by_non_integer_literal = true")
        add_functions(self.connection)
        for macro in _MACROS:
            self.connection.execute(f"CREATE TEMP MACRO {macro}")

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def answer(self, case: Case) -> Answer:
        """Return the right answer.

        Raises:
            duckdb.Error: if DuckDB itself cannot run the query (an overflow, say).
        """
        try:
            for table in case.tables:
                self._load(table)
            return self._answer(case)
        finally:
            for name in (*(table.alias for table in case.tables), "m", "pairs"):
                self.connection.execute(f"DROP TABLE IF EXISTS {quoted(name)}")

    def _load(self, table: Table) -> None:
        rows = arrow_table(table)
        for column in table.columns:
            if column.kind.name == "float":
                cells = pa.array(exact_cells(table, column), pa.decimal128(30, FLOAT_SCALE))
                rows = rows.append_column(exact_name(column.name), cells)
        rows = rows.append_column(ROW, pa.array(range(rows.num_rows)))
        self.connection.register("incoming", rows)
        where = " AND ".join(f"({condition.duck})" for condition in table.filters) or "true"
        self.connection.execute(
            f"CREATE TEMP TABLE {quoted(table.alias)} AS SELECT * FROM incoming WHERE {where}"
        )
        self.connection.unregister("incoming")

    def _answer(self, case: Case) -> Answer:
        query = meaning(case)
        self.connection.execute(f"CREATE TEMP TABLE m AS {query.sql}")
        described = self.connection.execute("DESCRIBE m").fetchall()
        lists = {i for i, row in enumerate(described) if str(row[1]).endswith("[]")}
        present = " AND ".join(
            f"len(list_filter(c{i}, lambda v: v IS NOT NULL)) > 0" if i in lists else f"c{i} IS NOT NULL"
            for i in query.left_keys + query.right_keys
        )
        self.connection.execute(f"DELETE FROM m WHERE NOT coalesce({present}, false)")
        self.connection.execute(f"CREATE TEMP TABLE pairs AS {query.rows}")
        if query.groups:
            same = " AND ".join(f"m.c{i} IS NOT DISTINCT FROM g{n}" for n, i in enumerate(query.groups))
            self.connection.execute(f"DELETE FROM pairs WHERE NOT EXISTS (SELECT 1 FROM m WHERE {same})")
        shown = [*range(query.visible), *query.left_keys, *query.right_keys]
        matched = self._fetch("SELECT " + ", ".join(f"c{i} AS o{n}" for n, i in enumerate(shown)) + " FROM m")
        return Answer(
            rows_of(matched),
            rows_of(self._fetch(unmatched_rows(case, "l", grouped=bool(query.groups)))),
            rows_of(self._fetch(unmatched_rows(case, "r", grouped=bool(query.groups)))),
        )

    def _fetch(self, query: str) -> pa.Table:
        return self.connection.sql(query).to_arrow_table()


def unmatched_rows(case: Case, side: Literal["l", "r"], *, grouped: bool) -> str:
    """Write the query for the rows of a side that are in no pair.

    In the pair it must have a key and, unless grouped, the other side too.
    """
    tables = {"l": case.left, "r": case.right}
    other: Literal["l", "r"] = "r" if side == "l" else "l"
    made_of = f"t.{quoted(ROW)} = p.{side}_row AND {_keyed('t', tables[side])}"
    if not grouped:
        made_of += (
            f" AND EXISTS (SELECT 1 FROM {quoted(tables[other].alias)} o "
            f"WHERE o.{quoted(ROW)} = p.{other}_row AND {_keyed('o', tables[other])})"
        )
    columns = ", ".join(f"t.{quoted(column.name)}" for column in tables[side].columns)
    return (
        f"SELECT {columns} FROM {quoted(tables[side].alias)} t "
        f"WHERE NOT EXISTS (SELECT 1 FROM pairs p WHERE {made_of})"
    )


def _keyed(name: str, table: Table) -> str:
    return " AND ".join(f"{name}.{quoted(key)} IS NOT NULL" for key in table.primary_key)
