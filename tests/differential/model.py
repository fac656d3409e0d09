"""A case: two or three tables and a match query. Its repr is Python that builds it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import pyarrow as pa

Value = int | Decimal | str | date | datetime | bool | float | tuple["Value", ...] | None
KindName = Literal["int", "decimal", "text", "date", "timestamp", "timestamptz", "boolean", "float", "list"]
Format = Literal["csv", "parquet", "arrow"]
Side = Literal["l", "r", "x", "g"]
"""The FROM names: left, right, look-up, and a grouped query over one of the sides."""
Dialect = Literal["kalla", "duck", "postgres"]


@dataclass(frozen=True)
class Kind:
    """A column's type; `bits` is the width of ints and floats, `element` the type in a list."""

    name: KindName
    precision: int = 0
    scale: int = 0
    bits: int = 64
    element: Kind | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is an integer, a decimal or a float."""
        return self.name in ("int", "decimal", "float")

    @property
    def exact(self) -> bool:
        """Whether it is an integer or a decimal."""
        return self.name in ("int", "decimal")

    def arrow(self) -> pa.DataType:
        """Return the Arrow type."""
        match self.name:
            case "int":
                return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[self.bits]
            case "decimal":
                return pa.decimal128(self.precision, self.scale)
            case "text":
                return pa.string()
            case "date":
                return pa.date32()
            case "timestamp":
                return pa.timestamp("us")
            case "timestamptz":
                return pa.timestamp("us", "UTC")
            case "boolean":
                return pa.bool_()
            case "float":
                return pa.float64() if self.bits == 64 else pa.float32()
            case "list":
                assert self.element is not None
                return pa.list_(self.element.arrow())


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Filter:
    """A source filter, as the REST surface knows it; `duck` is its meaning."""

    column: str
    op: str
    values: tuple[Value, ...]
    duck: str


@dataclass(frozen=True)
class Table:
    """A source: its rows as tuples in the order of its columns."""

    alias: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    primary_key: tuple[str, ...]
    format: Format
    filters: tuple[Filter, ...] = ()

    def column(self, name: str) -> Column:
        """Return the column of this name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns of the primary key."""
        return tuple(self.column(name) for name in self.primary_key)


@dataclass(frozen=True)
class Expr:
    """One expression in all dialects, with the columns it reads as (side, name).

    `postgres` is empty where it is DuckDB's text, None where PostgreSQL has no text for it. `uses` are the
    entries of the catalogue in it. A `risky` one may fail on the data, in Kalla and in the oracles.
    """

    kalla: str
    duck: str
    columns: tuple[tuple[Side, str], ...] = ()
    postgres: str | None = ""
    uses: tuple[str, ...] = ()
    risky: bool = False

    def text(self, dialect: Dialect) -> str:
        """Return the text of one dialect; asking for one that is not there is a fault of the generator."""
        match dialect:
            case "kalla":
                return self.kalla
            case "duck":
                return self.duck
            case "postgres":
                assert self.postgres is not None, self.kalla
                return self.postgres or self.duck


@dataclass(frozen=True)
class Item:
    """One output column. Without alias it is a plain column and keeps its name."""

    expr: Expr
    alias: str = ""
    key: bool = False

    @property
    def name(self) -> str:
        """The name before duplicates are told apart."""
        return self.alias or self.expr.columns[0][1]


@dataclass(frozen=True)
class Lookup:
    """How the look-up table is joined: `on` holds at least one conjunct."""

    join: Literal["JOIN", "LEFT JOIN"]
    on: tuple[Expr, ...]


@dataclass(frozen=True)
class Level:
    """One query between a table and the join: `SELECT t.*, extra FROM t WHERE where`, perhaps twice.

    With `again`, the rows of a second SELECT that differs in its WHERE (`second`) are combined with them.
    """

    where: tuple[Expr, ...] = ()
    extra: tuple[Item, ...] = ()
    again: Literal["", "union all", "union", "except", "intersect"] = ""
    second: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Grouped:
    """A grouped query over one side, joined as `g`: `by` are its columns k0..., `items` its aggregates."""

    side: Side
    by: tuple[Item, ...]
    items: tuple[Item, ...]
    where: tuple[Expr, ...]
    having: tuple[Expr, ...]
    join: Literal["JOIN", "LEFT JOIN"]
    on: tuple[Expr, ...]
    rollup: bool = False


@dataclass(frozen=True)
class Query:
    """A match query in parts, so that it can be drawn, rendered and shrunk.

    `select` empty means `*` (`star`: "*" or "l.*, r.*"). `finish` says what is put on top:
    grouping and set operations need all keys among the items.
    """

    join: Literal["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "comma"]
    on: tuple[Expr, ...]
    where: tuple[Expr, ...] = ()
    select: tuple[Item, ...] = ()
    star: Literal["", "*", "l.*, r.*", "r.*, l.*"] = ""
    sources: Literal["plain", "cte", "subquery"] = "plain"
    whole_cte: bool = False
    swapped: bool = False
    side_names: bool = False
    left_where: tuple[Expr, ...] = ()
    right_where: tuple[Expr, ...] = ()
    lookup: Lookup | None = None
    finish: Literal["none", "distinct", "group", "union all", "union"] = "none"
    second_on: tuple[Expr, ...] = ()
    having: tuple[Expr, ...] = ()
    left_levels: tuple[Level, ...] = ()
    right_levels: tuple[Level, ...] = ()
    grouped: Grouped | None = None


@dataclass(frozen=True)
class Case:
    """Two sides, perhaps a look-up table, and the query.

    `postgres` says that every expression has a text for PostgreSQL, which is to answer too; `refused` that
    Kalla must refuse the query before it runs.
    """

    seed: int
    left: Table
    right: Table
    query: Query
    lookup: Table | None = None
    postgres: bool = False
    refused: bool = False

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, left and right first."""
        return (self.left, self.right, *((self.lookup,) if self.lookup else ()))
