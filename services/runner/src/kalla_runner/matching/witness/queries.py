"""Queries of match_sql in DuckDB's SQL: SELECT, CTEs, joins, set operations and queries within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.sql.dialect import bare
from kalla_runner.matching.sql.marks import shown
from kalla_runner.matching.sql.output import is_aggregate
from kalla_runner.matching.sql.scope import Relation, Resolution, Scope, Table
from kalla_runner.matching.witness.expressions import Expressions
from kalla_runner.matching.witness.functions import Functions, arguments_of
from kalla_runner.matching.witness.typed import (
    Column,
    NotPossibleError,
    Type,
    Typed,
    not_possible,
    only,
    type_of_column,
    united,
)

Found = Typed | NotPossibleError
"""A column, or why it cannot be had; that matters only where it is used."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Something with rows: its SQL as an item of FROM, its columns c0, c1, ..., which source it is."""

    sql: str
    columns: tuple[Found, ...]
    table: int | None = None


@dataclass(slots=True)
class Needs:
    """What the tables must offer for the translation to hold.

    Attributes:
        columns: the columns that are read.
        unique: tables (by number) in which no primary key may come twice, with what needs that.
    """

    columns: set[Column] = field(default_factory=set[Column])
    unique: dict[int, str] = field(default_factory=dict[int, str])


class Queries:
    """Translates one resolved match_sql.

    Args:
        found: the meaning of every name in it.
        tables: the sources by the names that FROM may use.
        infos: the sources; the number of a table is its place here, its columns are t<number>.c<place>.
        functions: writes calls.
    """

    def __init__(
        self, found: Resolution, tables: Sequence[Table], infos: Sequence[TableInfo], functions: Functions
    ) -> None:
        self.needs = Needs()
        self.tables: set[int] = set()
        """The numbers of the tables that are read."""
        self.functions = functions
        self.infos = infos
        self._found = found
        self._numbers = {table.name: _place(infos, table.info) for table in tables}
        self._scopes = {id(scope.select): scope for scope in found.scopes}
        self._items: dict[int, tuple[str, Rows]] = {}
        self._names = 0

    def query(
        self, node: exp.Expr, ctes: Mapping[str, Rows], keep: Sequence[exp.Expr] | None = None
    ) -> tuple[str, tuple[Found, ...]]:
        """A query and its columns c0, c1, ...

        Args:
            node: the resolved query.
            ctes: the queries that WITH around it names.
            keep: what to select in place of its own outputs; only for a SELECT without DISTINCT.
        """
        clause, ctes = self._with(node, ctes)
        if isinstance(node, exp.Subquery):
            only(node, {"this", "with_", "order", "alias"})
            sql, columns = self.query(node.this, ctes, keep)
        elif isinstance(node, exp.SetOperation):
            sql, columns = self._set_operation(node, ctes)
        elif isinstance(node, exp.Select):
            sql, columns = _Select(self, self._scopes[id(node)], ctes).sql(keep)
        else:
            not_possible(f"there is no certain translation of {shown(node)}")
        return f"{clause}{sql}", columns

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _with(self, node: exp.Expr, ctes: Mapping[str, Rows]) -> tuple[str, Mapping[str, Rows]]:
        clause = node.args.get("with_")
        if not isinstance(clause, exp.With):
            return "", ctes
        known = dict(ctes)
        written: list[str] = []
        for cte in clause.expressions:
            name = self._name("w")
            sql, columns = self.query(cte.this, known)
            written.append(f"{name} AS ({sql})")
            known[cte.args["alias"].this.name] = Rows(name, columns)
        return f"WITH {', '.join(written)} ", known

    def _set_operation(
        self, node: exp.SetOperation, ctes: Mapping[str, Rows]
    ) -> tuple[str, tuple[Found, ...]]:
        only(node, {"this", "expression", "distinct", "with_", "order"})
        word, every = node.key.upper(), not node.args.get("distinct")
        if every and word != "UNION":
            not_possible(f"there is no certain translation of {word} ALL")
        sides = [self.query(side, ctes) for side in (node.left, node.right)]
        pairs = [
            united([certain(one), certain(two)], word)
            for one, two in zip(sides[0][1], sides[1][1], strict=True)
        ]
        if any(data_type.family is Family.LIST for _, data_type in pairs):
            not_possible(f"{word} meets lists")
        texts = [
            f"SELECT {_listed([same[at] for same, _ in pairs])} FROM ({sql}) AS {self._name('s')}"  # noqa: S608 - composed from a syntax tree
            for at, (sql, _) in enumerate(sides)
        ]
        columns = tuple(
            Typed(f"c{at}", data_type, texts=same[0].texts | same[1].texts)
            for at, (same, data_type) in enumerate(pairs)
        )
        return f"{texts[0]} {word}{' ALL' * every} {texts[1]}", columns

    def item(self, node: exp.Expr, relation: Relation, ctes: Mapping[str, Rows]) -> str:
        """An item of FROM under a name of its own."""
        if isinstance(node, exp.Table):
            only(node, {"this", "alias"})
            rows = ctes.get(node.name) or self._table(self._numbers[node.name])
        elif isinstance(node, exp.Subquery):
            only(node, {"this", "alias"})
            sql, columns = self.query(node.this, ctes)
            rows = Rows(f"({sql})", columns)
        else:
            not_possible("there is no certain translation of what FROM reads")
        name = self._name("r")
        self._items[id(relation)] = name, rows
        return f"{rows.sql} AS {name}"

    def _table(self, number: int) -> Rows:
        self.tables.add(number)
        columns: list[Found] = []
        for place, column in enumerate(self.infos[number].schema):
            known = type_of_column(column.type)
            if known is None:
                reason = f"the column {column.name} has a type that DuckDB does not hold exactly"
                columns.append(NotPossibleError(reason))
                continue
            texts = frozenset({(number, place)} if known[0].family is Family.TEXT else ())
            columns.append(Typed(f"c{place}", known[0], texts=texts))
        return Rows(f"t{number}", tuple(columns), number)

    def rows_of(self, relation: Relation) -> Rows:
        """The rows of an item of FROM that was translated."""
        return self._items[id(relation)][1]

    def column(self, relation: Relation, at: int) -> Typed:
        """A column of an item of FROM."""
        name, rows = self._items[id(relation)]
        column = certain(rows.columns[at])
        if rows.table is not None:
            self.needs.columns.add((rows.table, at))
        return replace(column, sql=f"{name}.{column.sql}", literal=None)

    def bound(self, node: exp.Column) -> Typed:
        """The column that a name means."""
        relation, column = self._found.bindings[id(node)]
        return self.column(relation, next(at for at, c in enumerate(relation.columns) if c is column))


@dataclass(slots=True)
class _Select:
    """One SELECT."""

    queries: Queries
    scope: Scope
    ctes: Mapping[str, Rows]

    @property
    def _write(self) -> Expressions:
        return Expressions(self, self.queries.functions)

    def sql(self, keep: Sequence[exp.Expr] | None) -> tuple[str, tuple[Found, ...]]:
        select = self.scope.select
        only(select, _CLAUSES)
        distinct = select.args.get("distinct")
        if distinct is not None and (keep is not None or distinct.args.get("on")):
            not_possible("DISTINCT ON keeps one of several rows")
        source = self._from()
        parts = [p.this for p in select.expressions] if keep is None else keep
        found = [self._projection(part) for part in parts]
        if distinct is not None and any(certain(column).family is Family.LIST for column in found):
            not_possible("DISTINCT compares lists")
        values = [c if isinstance(c, Typed) else Typed("NULL", _NOTHING) for c in found] or [_ONE]
        columns = tuple(
            replace(c, sql=f"c{at}", literal=None) if isinstance(c, Typed) else c
            for at, c in enumerate(found)
        )
        head = f"SELECT {'DISTINCT ' * (distinct is not None)}{_listed(values)}"
        return f"{head}{source}{self._rest()}", columns

    def _projection(self, part: exp.Expr) -> Found:
        try:
            return self._write.gathered(part) or self._write(part)
        except NotPossibleError as reason:
            return reason

    def exists(self, query: exp.Query) -> str:
        """See Surroundings."""
        inner = query
        while isinstance(inner, exp.Subquery):
            inner = inner.this
        if not isinstance(inner, exp.Select) or inner.args.get("distinct"):
            return self.queries.query(query, self.ctes)[0]
        limit = inner.args.get("limit")
        if inner.args.get("offset") or (limit is not None and bare(limit.expression).name == "0"):
            not_possible("EXISTS looks at a query with OFFSET or LIMIT 0")
        gathers = any(is_aggregate(node) for part in inner.expressions for node in part.walk())
        # Any further limit leaves a row where there is one.
        inner.set("limit", None)
        return self.queries.query(inner, self.ctes, None if gathers else ())[0]

    def value_of(self, query: exp.Query) -> Typed:
        """See Surroundings."""
        sql, columns = self.queries.query(query, self.ctes)
        return replace(certain(columns[0]), sql=f"({sql})")

    def column(self, node: exp.Column) -> Typed:
        """See Surroundings."""
        return self.queries.bound(node)

    def _from(self) -> str:
        select, relations = self.scope.select, self.scope.relations
        source = select.args.get("from_")
        if source is None:
            not_possible("a SELECT reads no table")
        text = f" FROM {self.queries.item(source.this, relations[0], self.ctes)}"
        for join, relation in zip(select.args.get("joins") or (), relations[1:], strict=True):
            text += self._join(join, relation)
        return text

    def _join(self, join: exp.Join, relation: Relation) -> str:
        only(join, {"this", "side", "kind", "on"})
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        words = _JOINS.get((side, kind))
        on = join.args.get("on")
        if words is None or (on is None and words not in ("JOIN", "CROSS JOIN")):
            not_possible(f"there is no certain translation of a {f'{side} {kind}'.strip()} JOIN of this form")
        item = self.queries.item(join.this, relation, self.ctes)
        return f" CROSS JOIN {item}" if on is None else f" {words} {item} ON {self._write.condition(on).sql}"

    def _rest(self) -> str:
        select = self.scope.select
        text = ""
        for key in ("where", "group", "having", "qualify"):
            part = select.args.get(key)
            if isinstance(part, exp.Group):
                text += self._group(part)
            elif isinstance(part, exp.Expr):
                text += f" {key.upper()} {self._write.condition(part.this).sql}"
        if select.args.get("limit") or select.args.get("offset"):
            text += self._limit()
        return text

    def _group(self, group: exp.Group) -> str:
        only(group, {"expressions"})
        keys: list[str] = []
        for key in group.expressions:
            at = bare(key)
            by_number = isinstance(at, exp.Literal) and not at.is_string
            keys.append(
                self._write(self.scope.select.expressions[int(at.name) - 1].this if by_number else key).sql
            )
        return f" GROUP BY {', '.join(keys)}"

    def _limit(self) -> str:
        select = self.scope.select
        order = select.args.get("order")
        if not isinstance(order, exp.Order):
            not_possible("LIMIT has no ORDER BY")
        self._need_total_order(order.expressions, "LIMIT")
        text = self._write.order(order)
        for key in ("limit", "offset"):
            part = select.args.get(key)
            if part is None:
                continue
            only(part, {"expression"})
            count = bare(part.expression)
            if not isinstance(count, exp.Literal) or not count.name.isdecimal():
                not_possible(f"{key.upper()} is not a plain number")
            text += f" {key.upper()} {count.name}"
        return text

    def window(self, node: exp.Window) -> Typed:
        """See Surroundings."""
        only(node, {"this", "partition_by", "order", "spec", "over"})
        order, spec = node.args.get("order"), node.args.get("spec")
        parts: list[exp.Expr] = node.args.get("partition_by") or []
        call, name = self._window_call(node.this)
        if name not in _OF_PEERS or spec is not None:
            self._need_total_order(
                [*parts, *(order.expressions if isinstance(order, exp.Order) else ())], name
            )
        by = f"PARTITION BY {', '.join(self._write(part).sql for part in parts)}" if parts else ""
        text = self._write.order(order) if isinstance(order, exp.Order) else ""
        frame = "" if spec is None else _frame(spec)
        return replace(call, sql=f"{call.sql} OVER ({by}{text}{frame})")

    def _window_call(self, node: exp.Expr) -> tuple[Typed, str]:
        filtered = isinstance(node, exp.Filter)
        called = arguments_of(node.this if filtered else node)
        if called is None:
            not_possible("OVER follows something that is no function")
        name, arguments = called
        if filtered:
            return self._write(node), name
        if self.queries.functions.is_aggregate(name):
            return self._write.aggregate(node), name
        return self.queries.functions.window(name, [self._write(argument) for argument in arguments]), name

    def _need_total_order(self, ordered: Sequence[exp.Expr], what: str) -> None:
        """Note that rows must not tie: the order must hold the only table's primary key, each key once."""
        relations = self.scope.relations
        number = self.queries.rows_of(relations[0]).table if len(relations) == 1 else None
        key = () if number is None else self.queries.infos[number].primary_key
        nodes = [bare(item.this if isinstance(item, exp.Ordered) else item) for item in ordered]
        names = {node.name for node in nodes if isinstance(node, exp.Column)}
        grouped = any(self.scope.select.args.get(clause) for clause in ("group", "distinct"))
        if number is None or not key or grouped:
            not_possible(f"{what} depends on the order of rows that may tie")
        schema = self.queries.infos[number].schema
        if not {relations[0].columns[schema.get_field_index(column)].name for column in key} <= names:
            not_possible(f"{what} depends on the order of rows that may tie")
        self.queries.needs.columns.update((number, schema.get_field_index(column)) for column in key)
        self.queries.needs.unique.setdefault(number, what)


_OF_PEERS: Final = frozenset(
    {"rank", "dense_rank", "sum", "count", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or"}
)
"""Functions that give rows of one rank the same, as long as no frame is written."""
_CLAUSES: Final = frozenset(
    {"expressions", "from_", "joins", "where", "group", "having", "qualify", "order", "limit", "offset"}
    | {"distinct", "with_"}
)
_JOINS: Final[dict[tuple[str, str], str]] = {
    ("", ""): "JOIN",
    ("", "INNER"): "JOIN",
    ("", "CROSS"): "CROSS JOIN",
    **{(side, kind): f"{side} JOIN" for side in ("LEFT", "RIGHT", "FULL") for kind in ("", "OUTER")},
    **{(side, kind): f"{kind} JOIN" for side in ("", "LEFT") for kind in ("SEMI", "ANTI")},
}
_NOTHING: Final = Type(None)
_ONE: Final = Typed("1", Type(Family.INTEGER, 1))


def certain(column: Found) -> Typed:
    """A column that is used, so that it must be there."""
    if isinstance(column, NotPossibleError):
        raise column
    return column


def _place(infos: Sequence[TableInfo], wanted: TableInfo) -> int:
    return next(place for place, info in enumerate(infos) if info is wanted)


def _listed(values: Sequence[Typed]) -> str:
    return ", ".join(f"{value.sql} AS c{at}" for at, value in enumerate(values))


def _frame(spec: exp.Expr) -> str:
    parts = [str(spec.args.get(key) or "") for key in ("kind", "start", "start_side", "end", "end_side")]
    kind, start, before, end, after = (part.upper() for part in parts)
    whole = (start, before) == ("UNBOUNDED", "PRECEDING")
    if (
        kind not in ("ROWS", "RANGE")
        or not whole
        or (end, after) not in (("CURRENT ROW", ""), ("UNBOUNDED", "FOLLOWING"))
    ):
        not_possible("a window has a frame without a translation")
    return f" {kind} BETWEEN UNBOUNDED PRECEDING AND {end}{' ' * bool(after)}{after}"
