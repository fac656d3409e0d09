"""Which of the two paths a query takes, and the query in the form that the path needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlglot import exp

from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, TableInfo
from kalla_runner.matching.sql.dialect import bare, render
from kalla_runner.matching.sql.lineage import RowPath, trace_rows
from kalla_runner.matching.sql.output import Keys, Output, is_row_wise, leftmost, scope_of
from kalla_runner.matching.sql.scope import Relation, Resolution, own_parts

_MATCH: Final = "__kalla_match"
_PRESENT: Final = "__kalla_present"


def write_outputs(query: exp.Query, outputs: Sequence[Output]) -> None:
    """Name the columns that the query selects, and append those that were added."""
    select = leftmost(query)
    for projection, output in zip(select.expressions, outputs, strict=False):
        projection.set("alias", exp.to_identifier(output.name, quoted=True))
    for output in outputs:
        if output.added:
            column = exp.column(output.column.name, table=output.relation, quoted=True)
            select.append("expressions", exp.alias_(column, output.name, quoted=True))


def direct_sides(
    query: exp.Query, keys: tuple[Keys, Keys], found: Resolution
) -> tuple[RowPath, RowPath] | None:
    """Where each row of the query is one row of each side, the way of both: what the one_pass path needs."""
    if not isinstance(query, exp.Select) or not is_row_wise(query, found):
        return None
    left = trace_rows(query, keys[0].instance, LEFT_ROW, found)
    right = trace_rows(query, keys[1].instance, RIGHT_ROW, found)
    if left is None or right is None or left.listed or right.listed:
        return None
    return (left, right) if left.exact and right.exact else None


def relations_of(paths: tuple[RowPath, RowPath]) -> tuple[Relation, Relation]:
    """The items of FROM that both sides come from in a query of the one_pass path."""
    left, right = paths[0].relation, paths[1].relation
    assert left is not None  # noqa: S101  # only a set operation has none
    assert right is not None  # noqa: S101
    return left, right


def one_pass(
    query: exp.Select,
    paths: tuple[RowPath, RowPath],
    keys: tuple[Keys, Keys],
    tables: tuple[TableInfo, TableInfo],
    found: Resolution,
) -> exp.Select:
    """Add the row numbers of both sides, and keep only rows in which both keys are present."""
    present = [
        exp.Not(this=exp.Is(this=exp.column(name, table=relation.name, quoted=True), expression=exp.Null()))
        for relation, key, table in zip(relations_of(paths), keys, tables, strict=True)
        for name in _named(relation, key.instance, table.primary_key)
    ]
    condition = exp.and_(*present, copy=False)
    for path in paths:
        path.apply()
    if not looks_at_other_rows(query, found):
        query.where(condition, append=True, copy=False)
        return query
    names = [p.alias for p in query.expressions]
    query.append("expressions", exp.alias_(condition, _PRESENT, quoted=True))
    outer = exp.select(*(exp.column(n, table=_MATCH, quoted=True) for n in names))
    outer = outer.from_(query.subquery(exp.to_identifier(_MATCH, quoted=True), copy=False), copy=False)
    return outer.where(exp.column(_PRESENT, table=_MATCH, quoted=True), copy=False)


def rows_query(
    query: exp.Query, keys: tuple[Keys, Keys], found: Resolution
) -> tuple[exp.Query, tuple[bool, bool]]:
    """The query with the row numbers behind each of its rows, or lists of them, where it can yield them.

    Returns:
        The query, changed in place; for each side whether LEFT_ROW or RIGHT_ROW is among its columns.
    """
    paths = [
        trace_rows(query, key.instance, name, found)
        for key, name in zip(keys, (LEFT_ROW, RIGHT_ROW), strict=True)
    ]
    for path in paths:
        if path is not None:
            path.apply()
    return query, (paths[0] is not None, paths[1] is not None)


def _named(relation: Relation, instance: tuple[int, ...], columns: Sequence[str]) -> list[str]:
    """What columns of a source are called in an item of FROM."""
    names = source_columns(relation, instance)
    return [next(name for name, column in names.items() if column == wanted) for wanted in columns]


def source_columns(relation: Relation, instance: tuple[int, ...]) -> dict[str, str]:
    """The columns of an item of FROM that are those of one use of a source, with their names there."""
    return {
        column.name: column.origin.column
        for column in relation.columns
        if column.origin is not None and column.origin.instance == instance and not column.origin.listed
    }


def looks_at_other_rows(query: exp.Select, found: Resolution) -> bool:
    """Whether a row's place in the result depends on other rows, so that none may be left out before."""
    if any(query.args.get(k) for k in ("limit", "offset", "qualify")):
        return True
    scope = scope_of(query, found)
    return scope is not None and any(isinstance(n, exp.Window) for n in own_parts(scope))


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The terms of a condition that must all hold, in the order of the text."""
    stack = [condition] if condition is not None else []
    while stack:
        inner = stack.pop()
        while isinstance(inner, exp.Paren) and "tolerance" not in inner.meta:
            inner = inner.this
        if isinstance(inner, exp.And):
            stack += (inner.right, inner.left)
        else:
            yield inner


def conditions(query: exp.Select) -> Iterator[exp.Expr]:
    """The terms of WHERE and of all ON of a SELECT."""
    for join in query.args.get("joins") or ():
        yield from conjuncts(join.args.get("on"))
    where = query.args.get("where")
    if where is not None:
        yield from conjuncts(where.this)


def join_keys(
    query: exp.Select, sides: tuple[Relation, Relation], keys: tuple[Keys, Keys]
) -> tuple[tuple[str, str], ...]:
    """The equalities between the two sides, over unqualified quoted columns of their tables."""
    names = [source_columns(relation, key.instance) for relation, key in zip(sides, keys, strict=True)]
    found: list[tuple[str, str]] = []
    for term in conditions(query):
        equality = bare(term)
        if not isinstance(equality, exp.EQ):
            continue
        for one, two in ((equality.left, equality.right), (equality.right, equality.left)):
            if _reads(one, sides[0], names[0]) and _reads(two, sides[1], names[1]):
                pair = (_over_source(one, names[0]), _over_source(two, names[1]))
                if pair not in found:
                    found.append(pair)
                break
    return tuple(found)


def _reads(node: exp.Expr, relation: Relation, names: Mapping[str, str]) -> bool:
    """Whether an expression reads columns that are those of a source, and no others."""
    return reads_only(node, relation.name) and all(c.name in names for c in node.find_all(exp.Column))


def reads_only(node: exp.Expr, relation: str) -> bool:
    """Whether an expression reads columns of this relation, and of no other."""
    tables = {column.table for column in node.find_all(exp.Column)}
    return tables == {relation} and node.find(exp.Query) is None


def columns_read(query: exp.Query) -> set[str]:
    """All columns of any table that a resolved query may read, by name; `t.*` reads all of them."""
    names = {column.name for column in query.find_all(exp.Column)}
    for select in query.find_all(exp.Select):
        names |= {p.alias for p in select.expressions if isinstance(p, exp.Alias)}
    return names


def _over_source(node: exp.Expr, names: Mapping[str, str]) -> str:
    twin = bare(node).copy()
    for column in twin.find_all(exp.Column):
        column.set("this", exp.to_identifier(names[column.name], quoted=True))
        column.set("table", None)
    return render(twin)


def turn_right_joins(query: exp.Query) -> None:
    """Write every RIGHT JOIN of a resolved query as the LEFT JOIN that it is, in place.

    The engine moves a filter over a RIGHT JOIN below it by the name and place of its columns, and takes those
    of the left side for those of the right side, where they have the same ones: `b r RIGHT JOIN a l ON ...
    WHERE r.qty IS NULL AND l.qty > 0` filtered l by `qty IS NULL`.
    """
    for select in query.find_all(exp.Select):
        joins = list(select.args.get("joins") or ())
        while (at := next((i for i, j in enumerate(joins) if j.side.upper() == "RIGHT"), None)) is not None:
            # A comma binds less tightly than JOIN: what is before it is not joined by this one.
            start = max((i for i in range(at) if _is_comma(joins[i])), default=-1)
            head: exp.Expr = select.args["from_"] if start < 0 else joins[start]
            turned, first, before = joins[at], head.this, joins[start + 1 : at]
            head.set("this", turned.this)
            turned.set("this", _nested(first, before))
            turned.set("side", "LEFT")
            joins = [*joins[: start + 1], *joins[at:]]
        select.set("joins", joins or None)


def _is_comma(join: exp.Join) -> bool:
    return not (join.side or join.kind or join.args.get("on"))


def _nested(first: exp.Expr, joins: Sequence[exp.Join]) -> exp.Expr:
    if not joins:
        return first
    first.set("joins", list(joins))
    return exp.Subquery(this=first)
