"""From match_sql, as its author wrote it, to the query of DuckDB that finds the keys of the matched rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa
from kalla_common.errors import KallaError
from sqlglot import exp

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.sql.output import Output, find_keys, outputs_of, scope_of, top_select
from kalla_runner.matching.sql.resolve import resolve
from kalla_runner.matching.sql.sandbox import read_query
from kalla_runner.matching.sql.scope import Resolution, Side, tables_of
from kalla_runner.matching.sql.types import Typer
from kalla_runner.matching.witness.functions import Functions
from kalla_runner.matching.witness.queries import Found, Queries, certain
from kalla_runner.matching.witness.typed import Column, Type, not_possible

_KEY_FAMILIES: Final = frozenset(
    {Family.INTEGER, Family.DECIMAL, Family.TEXT, Family.DATE, Family.TIMESTAMP, Family.ZONED}
    | {Family.BOOLEAN, Family.FLOAT, Family.BINARY}
)


@dataclass(frozen=True, slots=True)
class Translation:
    """A match query for DuckDB.

    Attributes:
        sql: gives a row for each matched row: the left key as l0, l1, ..., the right key as r0, r1, ...;
            a key may be in lists.
        lists: for the left and the right key, which of its columns are lists.
        tables: the numbers of the tables that it reads, t0, t1, ...; both sides are among them.
        columns: the columns of them that must be there, the primary keys among them.
        unique: tables in which no primary key may come twice, with what depends on it.
        plain: columns of text in which every character must be one that both engines treat alike, with
            the function that depends on it.
    """

    sql: str
    lists: tuple[tuple[bool, ...], tuple[bool, ...]]
    tables: frozenset[int]
    columns: frozenset[Column]
    unique: dict[int, str]
    plain: dict[Column, str]


def translate(
    match_sql: str,
    left: TableInfo,
    right: TableInfo,
    lookups: Sequence[TableInfo],
    connection: duckdb.DuckDBPyConnection,
) -> Translation:
    """Translate a match query that Kalla has accepted.

    Args:
        match_sql: as its author wrote it.
        left: the left side, table 0.
        right: the right side, table 1.
        lookups: further tables, from number 2.
        connection: asked for the types of functions.

    Raises:
        NotPossibleError: no translation is certain.
    """
    try:
        return _translated(match_sql, (left, right, *lookups), connection)
    except KallaError as error:
        not_possible(f"it cannot be read as it is written: {error.message.rstrip('.')}")
    except RecursionError:
        not_possible("the query is nested too deeply")


class _NoTypes(Typer):
    """Leaves out the types of expressions, which the match engine states."""

    def __init__(self) -> None:
        pass

    def types(
        self,
        expressions: Sequence[exp.Expr],
        found: Resolution,  # noqa: ARG002 - the base class's
        *,
        quiet: bool = False,  # noqa: ARG002
    ) -> list[pa.DataType | None]:
        return [None] * len(expressions)

    def united(self, a: pa.DataType | None, b: pa.DataType | None) -> pa.DataType | None:
        return a or b


def _translated(
    match_sql: str, infos: Sequence[TableInfo], connection: duckdb.DuckDBPyConnection
) -> Translation:
    tables = tables_of(infos[0], infos[1], infos[2:])
    query = top_select(read_query(match_sql))
    columns, found = resolve(query, tables, match_sql, _NoTypes(), as_written=True)
    outputs = outputs_of(query, columns, found)
    sides: tuple[tuple[Side, TableInfo], ...] = (("left", infos[0]), ("right", infos[1]))
    keys = [find_keys(query, outputs, side, info, found) for side, info in sides]
    if found.problems:
        raise found.problems[0]
    positions = [key.positions if key is not None else () for key in keys]
    queries = Queries(found, tables, infos, Functions(connection))
    sql, key_columns = _keys(query, outputs, positions, queries, found)
    needed = {
        (number, info.schema.get_field_index(name))
        for number, (_, info) in enumerate(sides)
        for name in info.primary_key
    }
    return Translation(
        sql,
        (_lists(key_columns[0]), _lists(key_columns[1])),
        frozenset(queries.tables | {0, 1}),
        frozenset(queries.needs.columns | needed),
        queries.needs.unique,
        queries.functions.plain_needed,
    )


def _keys(
    query: exp.Query,
    outputs: Sequence[Output],
    positions: Sequence[Sequence[int]],
    queries: Queries,
    found: Resolution,
) -> tuple[str, tuple[tuple[Type, ...], tuple[Type, ...]]]:
    wanted = [position for key in positions for position in key]
    if isinstance(query, exp.Select) and not query.args.get("distinct"):
        # No other output has a say in which rows there are.
        keep = [_projection(query, outputs, position, found) for position in wanted]
        sql, columns = queries.query(query, {}, keep)
        places = range(len(wanted))
    else:
        sql, columns = queries.query(query, {})
        places = wanted
    types = [_key_type(columns[place]) for place in places]
    names = [f"{side}{at}" for side, key in zip("lr", positions, strict=True) for at in range(len(key))]
    listed = ", ".join(f"q.c{place} AS {name}" for place, name in zip(places, names, strict=True))
    count = len(positions[0])
    present = [
        _present([f"q.c{place}" for place in part], kinds)
        for part, kinds in ((places[:count], types[:count]), (places[count:], types[count:]))
    ]
    whole = f"SELECT {listed} FROM ({sql}) AS q WHERE {' AND '.join(present)}"  # noqa: S608 - composed from a syntax tree
    return whole, (tuple(types[:count]), tuple(types[count:]))


def _projection(query: exp.Select, outputs: Sequence[Output], position: int, found: Resolution) -> exp.Expr:
    output = outputs[position]
    if not output.added:
        return query.expressions[position].this
    scope = scope_of(query, found)
    assert scope is not None  # noqa: S101 - keys are added only to a SELECT
    relation = next(r for r in scope.relations if r.name == output.relation)
    node = exp.column(output.column.name, table=relation.name, quoted=True)
    found.bindings[id(node)] = relation, output.column
    found.kept.append(node)
    return node


def _key_type(column: Found) -> Type:
    data_type = certain(column).type
    simple = data_type.element if data_type.element is not None else data_type
    if simple.family not in _KEY_FAMILIES:
        not_possible("a primary key has a type that cannot be compared")
    return data_type


def _lists(types: Sequence[Type]) -> tuple[bool, ...]:
    return tuple(data_type.family is Family.LIST for data_type in types)


def _present(names: Sequence[str], types: Sequence[Type]) -> str:
    """Whether a row names a whole key: its columns, or one place of its lists, hold no NULL."""
    pairs = list(zip(names, types, strict=True))
    terms = [f"{name} IS NOT NULL" for name, _ in pairs]
    lists = [name for name, data_type in pairs if data_type.family is Family.LIST]
    if lists:
        terms.append(f"len({whole_keys(lists)}) > 0")
    return f"({' AND '.join(terms)})"


def whole_keys(lists: Sequence[str]) -> str:
    """The keys in lists of their columns, as a list of structs, without those that hold a NULL."""
    zipped = f"list_zip({', '.join(lists)})" if len(lists) > 1 else f"list_zip({lists[0]}, {lists[0]})"
    present = " AND ".join(f"z[{at}] IS NOT NULL" for at in range(1, max(len(lists), 2) + 1))
    return f"list_filter({zipped}, lambda z: {present})"
