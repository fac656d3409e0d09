"""PostgreSQL's answer to the meaning of a match: a second oracle for a share of the cases."""

from __future__ import annotations

import struct
from typing import LiteralString, cast

import psycopg
from psycopg.types.numeric import Float8

from tests.differential.answer import Answer, rows_from
from tests.differential.model import Case, Kind, Table, Value
from tests.differential.oracle import exact_cells, unmatched_rows
from tests.differential.predicates import FLOAT_SCALE, exact_name, quoted
from tests.differential.render import ROW, meaning
from tests.differential.terms import QUOTIENT_SCALE

_TYPES = {
    "text": "text",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "boolean": "boolean",
    # A narrow float is kept as the double that it is, so that it is written with all its digits.
    "float": "float8",
}

_FUNCTIONS = (
    # Kalla's division, which PostgreSQL's own would round twice.
    (
        "divided(a numeric, b numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ "
        "SELECT sign(a) * sign(b) * "
        f"div(2 * abs(a) * 1e{QUOTIENT_SCALE} + abs(b), 2 * abs(b)) * 1e-{QUOTIENT_SCALE} $$"
    ),
    (
        "middle(m numeric[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT "
        "(m[(cardinality(m) + 1) / 2] + m[(cardinality(m) + 2) / 2]) * 0.5 $$"
    ),
)


def _sql(text: str) -> LiteralString:
    """Say that the text is ours: the generator's."""
    return cast("LiteralString", text)


class PostgresOracle:
    """Answers cases in one session of a server; nothing stays in it."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET client_min_messages = error")
        for function in _FUNCTIONS:
            self.connection.execute(_sql(f"CREATE FUNCTION pg_temp.{function}"))
        self.connection.commit()

    def close(self) -> None:
        """Close the session."""
        self.connection.close()

    def answer(self, case: Case) -> Answer:
        """Return the right answer.

        Raises:
            psycopg.Error: if PostgreSQL itself cannot run the query.
        """
        try:
            for table in case.tables:
                self._load(table)
            return self._answer(case)
        finally:
            self.connection.rollback()

    def _load(self, table: Table) -> None:
        floats = [c for c in table.columns if c.kind.name == "float"]
        columns = [f"{quoted(c.name)} {_type(c.kind)}" for c in table.columns]
        columns += [f"{quoted(exact_name(c.name))} numeric(30,{FLOAT_SCALE})" for c in floats]
        columns.append(f"{quoted(ROW)} bigint")
        self.connection.execute(_sql(f"CREATE TEMP TABLE incoming ({', '.join(columns)})"))
        exact = [exact_cells(table, column) for column in floats]
        with self.connection.cursor().copy("COPY incoming FROM STDIN") as copy:
            for at, row in enumerate(table.rows):
                cells = [_cell(cell, c.kind) for cell, c in zip(row, table.columns, strict=True)]
                copy.write_row([*cells, *(column[at] for column in exact), at])
        where = " AND ".join(f"({condition.duck})" for condition in table.filters) or "true"
        self.connection.execute(
            _sql(f"CREATE TEMP TABLE {quoted(table.alias)} AS SELECT * FROM incoming WHERE {where}")
        )
        self.connection.execute("DROP TABLE incoming")

    def _answer(self, case: Case) -> Answer:
        query = meaning(case, "postgres")
        self.connection.execute(_sql(f"CREATE TEMP TABLE m AS {query.sql}"))
        described = self.connection.execute("SELECT * FROM m LIMIT 0").description or []
        lists = {i for i, column in enumerate(described) if (column.type_display).endswith("[]")}
        present = " AND ".join(
            f"cardinality(array_remove(c{i}, NULL)) > 0" if i in lists else f"c{i} IS NOT NULL"
            for i in query.left_keys + query.right_keys
        )
        self.connection.execute(_sql(f"DELETE FROM m WHERE NOT coalesce({present}, false)"))
        self.connection.execute(_sql(f"CREATE TEMP TABLE pairs AS {query.rows}"))
        if query.groups:
            same = " AND ".join(f"m.c{i} IS NOT DISTINCT FROM g{n}" for n, i in enumerate(query.groups))
            self.connection.execute(
                _sql(f"DELETE FROM pairs WHERE NOT EXISTS (SELECT 1 FROM m WHERE {same})")
            )
        shown = [*range(query.visible), *query.left_keys, *query.right_keys]
        matched = self._fetch("SELECT " + ", ".join(f"c{i}" for i in shown) + " FROM m")
        unmatched = [
            rows_from(self._fetch(unmatched_rows(case, side, grouped=bool(query.groups))))
            for side in ("l", "r")
        ]
        return Answer(rows_from(matched), unmatched[0], unmatched[1])

    def _fetch(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(_sql(query)).fetchall()


def _type(kind: Kind) -> str:
    match kind.name:
        case "int":
            return {16: "smallint", 32: "integer", 64: "bigint"}[kind.bits]
        case "decimal":
            return f"numeric({kind.precision},{kind.scale})"
        case "list":
            assert kind.element is not None
            return f"{_type(kind.element)}[]"
        case name:
            return _TYPES[name]


def _cell(cell: Value, kind: Kind) -> object:
    match cell:
        case tuple():
            assert kind.element is not None
            return [_cell(part, kind.element) for part in cell]
        case float():
            return Float8(narrowed(cell) if kind.bits == 32 else cell)
        case _:
            return cell


def narrowed(cell: float) -> float:
    """Return the double that equals the nearest 32-bit float."""
    return struct.unpack("f", struct.pack("f", cell))[0]
