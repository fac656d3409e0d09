"""What the names in a match query stand for.

resolve.py fills these in, bottom up -> types_check, tolerance, band, sql_output read them
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
from kalla_common.errors import Code, KallaError
from sqlglot import exp

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.dialect import sql_error

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The source column whose values a column holds unchanged.

    Attributes:
        instance: which use of the source it is; columns of one instance are of one row.
        listed: whether values are gathered into a list by array_agg.
    """

    side: Side
    column: str
    instance: tuple[int, ...]
    listed: bool = False


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column that SQL can name; `type` is None where an error hides it."""

    name: str
    type: pa.DataType | None
    origin: Origin | None = None


@dataclass(eq=False, slots=True)
class Relation:
    """An item of FROM under the name that SQL uses for it; `side` only where it is a source itself."""

    name: str
    columns: tuple[ScopeColumn, ...]
    node: exp.Expr
    side: Side | None = None
    merged: frozenset[str] = frozenset()
    visible: bool = True
    _index: tuple[tuple[ScopeColumn, ...], dict[str, list[ScopeColumn]]] | None = None

    def fitting(self, identifier: exp.Identifier) -> list[ScopeColumn]:
        """The columns that an identifier may mean; a source may have ten thousand."""
        if self._index is None or self._index[0] is not self.columns:
            by_name: dict[str, list[ScopeColumn]] = {}
            for column in self.columns:
                by_name.setdefault(column.name.casefold(), []).append(column)
            self._index = (self.columns, by_name)
        alike = self._index[1].get(identifier.name.casefold(), [])
        return [c for c in alike if fitting(identifier, (c.name,))]


@dataclass(eq=False, slots=True)
class Scope:
    """One SELECT with what it reads; `outer` is the SELECT around it, if it may refer to that one."""

    select: exp.Select
    outer: Scope | None
    relations: list[Relation] = field(default_factory=list)
    outputs: tuple[ScopeColumn, ...] = ()


Binding = tuple[Relation, ScopeColumn]


@dataclass(eq=False, slots=True)
class Resolution:
    """All that name resolution found; problems are gathered, not raised.

    `bindings` maps the identity of a Column node to what it stands for, `query_types` the identity
    of a nested query to the type of its only column.
    """

    text: str
    problems: list[KallaError] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    bindings: dict[int, Binding] = field(default_factory=dict)
    query_types: dict[int, pa.DataType | None] = field(default_factory=dict)

    def problem(self, code: Code, message: str, at: exp.Expr | None = None) -> None:
        """Note a problem at the position of a node."""
        self.problems.append(sql_error(code, message, self.text, at))

    def bind(self, node: exp.Column, binding: Binding) -> None:
        """Say what a column stands for."""
        self.bindings[id(node)] = binding
        self.kept.append(node)

    def type_query(self, node: exp.Query, data_type: pa.DataType | None) -> None:
        """Say of which type the only column of a nested query is."""
        self.query_types[id(node)] = data_type
        self.kept.append(node)

    def copy(self, node: exp.Expr) -> exp.Expr:
        """Copy a resolved expression together with what its columns stand for."""
        twin = node.copy()
        for old, new in zip(node.walk(), twin.walk(), strict=True):
            if isinstance(new, exp.Column) and id(old) in self.bindings:
                self.bind(new, self.bindings[id(old)])
            if isinstance(new, exp.Query) and id(old) in self.query_types:
                self.type_query(new, self.query_types[id(old)])
        return twin

    kept: list[exp.Expr] = field(default_factory=list)
    """Nodes whose identity is a key above must outlive it, also when a rewrite takes them out of the tree:
    the next node at their place in memory would stand for what they stood for."""


@dataclass(frozen=True, slots=True)
class Table:
    """A source as match_sql may name it."""

    name: str
    info: TableInfo
    side: Side | None


def tables_of(left: TableInfo, right: TableInfo, lookups: Sequence[TableInfo]) -> tuple[Table, ...]:
    """All names that FROM may use: the aliases, and left_src and right_src unless taken."""
    named = [Table(left.alias, left, "left"), Table(right.alias, right, "right")]
    named += [Table(info.alias, info, None) for info in lookups]
    taken = {t.name.casefold() for t in named}
    sides = (Table("left_src", left, "left"), Table("right_src", right, "right"))
    return (*named, *(t for t in sides if t.name not in taken))


def fitting(identifier: exp.Identifier, names: Iterable[str]) -> list[str]:
    """Which names an identifier may mean: quoted ones exactly, others whatever their case."""
    if identifier.args.get("quoted"):
        return [n for n in names if n == identifier.name]
    wanted = identifier.name.casefold()
    return [n for n in names if n.casefold() == wanted]


def candidates(name: str, names: Sequence[str]) -> str:
    """List names for an error message, the closest ones first, at most ten."""
    folded = {n.casefold(): n for n in names}
    close = [folded[c] for c in difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.6)]
    ordered = close + [n for n in names if n not in close]
    shown = ", ".join(ordered[:10])
    return shown + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")  # noqa: PLR2004


def own_nodes(root: exp.Expr) -> Iterator[exp.Expr]:
    """Walk an expression, parents first; a nested query is yielded, what is in it is not."""
    stack: list[exp.Expr] = [root]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, exp.Query) or (isinstance(node, exp.Exists) and isinstance(node.this, exp.Query)):
            continue
        stack.extend(reversed(list(node.iter_expressions())))


def own_parts(scope: Scope) -> Iterator[exp.Expr]:
    """Walk all expressions of a SELECT itself, without its tables and nested queries."""
    select = scope.select
    for projection in select.expressions:
        yield from own_nodes(projection)
    for join in select.args.get("joins") or ():
        on = join.args.get("on")
        if on is not None:
            yield from own_nodes(on)
    for key in ("where", "group", "having", "qualify", "order", "limit", "offset", "distinct"):
        part = select.args.get(key)
        if isinstance(part, exp.Expr):
            yield from own_nodes(part)
