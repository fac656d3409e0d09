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
from tests.differential.model import Case, Table
from tests.differential.predicates import FLOAT_SCALE, exact_name, quoted
from tests.differential.render import ROW, meaning


def arrow_table(table: Table) -> pa.Table:
    """Return the table's rows as they are, with its exact types."""
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    arrays = [
        pa.array(list(cells), column.kind.arrow())
        for column, cells in zip(table.columns, columns, strict=True)
    ]
    return pa.table(arrays, names=[column.name for column in table.columns])


class Oracle:
    """Answers cases in one in-memory DuckDB."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")

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
                at = table.columns.index(column)
                cells = [None if row[at] is None else Decimal(str(row[at])) for row in table.rows]
                rows = rows.append_column(
                    exact_name(column.name), pa.array(cells, pa.decimal128(30, FLOAT_SCALE))
                )
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
            rows_of(self._unmatched(case, "l", grouped=bool(query.groups))),
            rows_of(self._unmatched(case, "r", grouped=bool(query.groups))),
        )

    def _unmatched(self, case: Case, side: Literal["l", "r"], *, grouped: bool) -> pa.Table:
        """The rows of a side without a pair in which it has a key and, unless grouped, the other has one."""
        tables = {"l": case.left, "r": case.right}
        other: Literal["l", "r"] = "r" if side == "l" else "l"
        made_of = f"t.{quoted(ROW)} = p.{side}_row AND {_keyed('t', tables[side])}"
        if not grouped:
            made_of += (
                f" AND EXISTS (SELECT 1 FROM {quoted(tables[other].alias)} o "
                f"WHERE o.{quoted(ROW)} = p.{other}_row AND {_keyed('o', tables[other])})"
            )
        columns = ", ".join(quoted(column.name) for column in tables[side].columns)
        return self._fetch(
            f"SELECT {columns} FROM {quoted(tables[side].alias)} t "
            f"WHERE NOT EXISTS (SELECT 1 FROM pairs p WHERE {made_of})"
        )

    def _fetch(self, query: str) -> pa.Table:
        return self.connection.sql(query).to_arrow_table()


def _keyed(name: str, table: Table) -> str:
    return " AND ".join(f"{name}.{quoted(key)} IS NOT NULL" for key in table.primary_key)
