"""Follows the rows of a source through a query, so that the query can yield their numbers.

A result names primary keys. Where a key is that of several rows, only a row's number says which of
them the result contains: it is selected beside the author's columns, from the source's table up
through CTEs, queries in FROM, UNION and GROUP BY (where array_agg gathers the numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlglot import exp

from kalla_runner.matching.plan import ROW_COLUMN
from kalla_runner.matching.sql.dialect import bare
from kalla_runner.matching.sql.output import scope_of
from kalla_runner.matching.sql.resolve import is_aggregate
from kalla_runner.matching.sql.scope import Relation, Resolution, Scope, own_parts

_FIRST: Final = -1
_SECOND: Final = -2
_GATHERED: Final = -4
"""Marks in an instance, as resolve.py sets them: both sides of a set operation, a gathering of array_agg."""

Instance = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RowPath:
    """How a query can yield the number of the source's row behind each of its rows.

    Attributes:
        relation: the item of FROM that the number comes from; None for a set operation.
        listed: whether a row of the query has a list of numbers, as it comes from several rows.
        exact: whether the query has the same rows with the numbers as without. With them DISTINCT and
            UNION keep rows apart that were one: the same source rows are in the result all the same.
        edits: what adds the numbers, in order.
    """

    relation: Relation | None
    listed: bool
    exact: bool
    edits: tuple[Callable[[], None], ...]

    def apply(self) -> None:
        """Add the numbers to the query, in place."""
        for edit in self.edits:
            edit()


def trace_rows(query: exp.Query, instance: Instance, name: str, found: Resolution) -> RowPath | None:
    """Find the way of one use of a source through a query.

    Args:
        query: resolved, not changed.
        instance: the use, as the origin of the key's output columns states it.
        name: of the column that the numbers are to have, the last one then.
        found: what names in the query stand for.

    Returns:
        None where the query does not allow it: INTERSECT, EXCEPT, a key chosen by an aggregate such as
        min, or rows made one before they are counted, numbered or cut off.
    """
    return _Tracer(query, name, found).query(query, instance, name)


@dataclass(slots=True)
class _Tracer:
    root: exp.Query
    name: str
    found: Resolution
    carried: dict[tuple[int, Instance], tuple[str, bool, bool]] = field(default_factory=dict)
    """Queries that yield the numbers already, under which name, whether listed and whether exact."""

    def query(self, node: exp.Expr, instance: Instance, name: str) -> RowPath | None:
        if isinstance(node, exp.Select):
            return self._select(node, instance, name)
        if isinstance(node, exp.Subquery):
            path = self.query(node.this, instance, name)
        elif isinstance(node, exp.Union):
            path = self._union(node, instance, name)
        else:
            return None
        return None if path is None or (_is_cut(node) and not path.exact) else path

    def _union(self, node: exp.Union, instance: Instance, name: str) -> RowPath | None:
        pair = _two_instances(instance)
        if pair is None:
            return None
        one = self.query(node.left, pair[0], name)
        two = self.query(node.right, pair[1], name)
        if one is None or two is None or one.listed != two.listed:
            return None
        exact = one.exact and two.exact and not node.args.get("distinct")
        return RowPath(None, one.listed, exact, (*one.edits, *two.edits))

    def _select(self, select: exp.Select, instance: Instance, name: str) -> RowPath | None:
        scope = scope_of(select, self.found)
        if scope is None:
            return None
        grouped = _is_grouped(select, scope)
        relation = _relation(scope, instance)
        if relation is None and grouped and instance[-2:-1] == (_GATHERED,):
            relation = _relation(scope, instance[:-2])
        source = self._source(relation, instance) if relation is not None else None
        if relation is None or source is None:
            return None
        number, inner = source
        distinct = select.args.get("distinct")
        makes_one = isinstance(distinct, exp.Expr)
        if makes_one and (distinct.args.get("on") or _is_cut(select)):
            return None
        if not inner.exact and (grouped or _is_cut(select) or _has_windows(scope)):
            return None
        if grouped:
            gathered: exp.Expr = exp.Anonymous(this="array_agg", expressions=[number])
            condition = _filter_of(scope, instance)
            number = exp.Filter(this=gathered, expression=condition) if condition is not None else gathered

        def add() -> None:
            select.append("expressions", exp.alias_(number, name, quoted=True))

        return RowPath(relation, inner.listed or grouped, inner.exact and not makes_one, (*inner.edits, add))

    def _source(self, relation: Relation, instance: Instance) -> tuple[exp.Expr, RowPath] | None:
        """The number of the row of an item of FROM, and the edits that bring it there."""
        if relation.side is not None:
            plain = RowPath(relation, listed=False, exact=True, edits=())
            return exp.column(ROW_COLUMN, table=relation.name, quoted=True), plain
        node = relation.node
        inner, alias = (node.this, None) if isinstance(node, exp.Subquery) else _cte_of(node)
        if not isinstance(inner, exp.Query):
            return None
        known = self.carried.get((id(inner), instance[1:]))
        if known is not None:
            name, listed, exact = known
            path: RowPath | None = RowPath(None, listed, exact, ())
        else:
            name = f"{self.name}_{len(self.carried)}"
            # Taken before the way down, on which further names are needed.
            self.carried[id(inner), instance[1:]] = (name, False, False)
            path = self.query(inner, instance[1:], name)
            if path is None:
                return None
            self.carried[id(inner), instance[1:]] = (name, path.listed, path.exact)
            if alias is not None:
                path = _also_named(path, alias, name)
        if not path.exact and self._uses(alias) > 1:
            return None
        own_alias = node.args.get("alias")
        if isinstance(own_alias, exp.TableAlias):
            path = _also_named(path, own_alias, name)
        return exp.column(name, table=relation.name, quoted=True), path

    def _uses(self, alias: exp.TableAlias | None) -> int:
        if alias is None:
            return 1
        return sum(table.name == alias.name for table in self.root.find_all(exp.Table))


def _also_named(path: RowPath, alias: exp.TableAlias, name: str) -> RowPath:
    """Where an alias lists the columns of a query, it must list the added one as well."""
    if not alias.args.get("columns"):
        return path

    def add() -> None:
        alias.append("columns", exp.to_identifier(name, quoted=True))

    return RowPath(path.relation, path.listed, path.exact, (*path.edits, add))


def _relation(scope: Scope, instance: Instance) -> Relation | None:
    """The item of FROM whose rows are those of this use of a source."""
    for relation in scope.relations:
        if relation.visible and any(c.origin and c.origin.instance == instance for c in relation.columns):
            return relation
    return None


def _cte_of(table: exp.Expr) -> tuple[exp.Expr | None, exp.TableAlias | None]:
    """The query behind the name of a CTE, with the alias that names it and perhaps its columns."""
    below, node = table, table.parent
    while node is not None:
        clause = node.args.get("with_")
        if isinstance(clause, exp.With):
            visible: list[exp.CTE] = []
            for cte in clause.expressions:
                if cte is below:
                    break  # a CTE sees those before it
                visible.append(cte)
            for cte in reversed(visible):
                if cte.alias == table.name:
                    return cte.this, cte.args["alias"]
        if isinstance(node, exp.CTE):
            below = node
        node = node.parent
    return None, None


def _two_instances(instance: Instance) -> tuple[Instance, Instance] | None:
    """The uses of both sides of a set operation, as resolve.py joined them; either may be such a pair."""
    if instance[:1] != (_FIRST,):
        return None
    depth = 0
    for position, mark in enumerate(instance):
        depth += (mark == _FIRST) - (mark == _SECOND)
        if mark == _SECOND and depth == 0:
            return instance[1:position], instance[position + 1 :]
    return None


def _is_grouped(select: exp.Select, scope: Scope) -> bool:
    return any(select.args.get(k) for k in ("group", "having")) or any(
        is_aggregate(node) for node in own_parts(scope)
    )


def _is_cut(node: exp.Expr) -> bool:
    return any(node.args.get(k) for k in ("limit", "offset", "qualify"))


def _has_windows(scope: Scope) -> bool:
    return any(isinstance(node, exp.Window) for node in own_parts(scope))


def _filter_of(scope: Scope, instance: Instance) -> exp.Expr | None:
    """The FILTER of the array_agg that gathers the key of this use."""
    for output, projection in zip(scope.outputs, scope.select.expressions, strict=False):
        origin = output.origin
        if origin is not None and origin.listed and origin.instance == instance:
            gathering = bare(projection.this)
            return gathering.expression.copy() if isinstance(gathering, exp.Filter) else None
    return None
