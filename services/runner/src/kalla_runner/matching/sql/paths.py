"""Which of the two paths a query takes, and the query in the form that the path needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlglot import exp

from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, ROW_COLUMN, TableInfo
from kalla_runner.matching.sql.dialect import bare, render
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
) -> tuple[Relation, Relation] | None:
    """The two sides where each row of the query is one row of each: what the one_pass path needs."""
    scope = scope_of(query, found)
    if scope is None or not is_row_wise(query, found):
        return None
    pair: list[Relation] = []
    for side, key in zip(("left", "right"), keys, strict=True):
        direct = [r for r in scope.relations if r.side == side and r.visible]
        if len(direct) != 1:
            return None
        origin = direct[0].columns[0].origin
        if origin is None or origin.instance != key.instance:
            return None
        pair.append(direct[0])
    return pair[0], pair[1]


def one_pass(
    query: exp.Select,
    sides: tuple[Relation, Relation],
    tables: tuple[TableInfo, TableInfo],
    found: Resolution,
) -> exp.Select:
    """Add the row numbers of both sides, and keep only rows in which both keys are present."""
    columns = [
        exp.alias_(exp.column(ROW_COLUMN, table=relation.name, quoted=True), name, quoted=True)
        for relation, name in zip(sides, (LEFT_ROW, RIGHT_ROW), strict=True)
    ]
    present = [
        exp.Not(this=exp.Is(this=exp.column(key, table=relation.name, quoted=True), expression=exp.Null()))
        for relation, table in zip(sides, tables, strict=True)
        for key in table.primary_key
    ]
    condition = exp.and_(*present, copy=False)
    if not looks_at_other_rows(query, found):
        for column in columns:
            query.append("expressions", column)
        query.where(condition, append=True, copy=False)
        return query
    names = [p.alias for p in query.expressions] + [LEFT_ROW, RIGHT_ROW]
    for column in (*columns, exp.alias_(condition, _PRESENT, quoted=True)):
        query.append("expressions", column)
    outer = exp.select(*(exp.column(n, table=_MATCH, quoted=True) for n in names))
    outer = outer.from_(query.subquery(exp.to_identifier(_MATCH, quoted=True), copy=False), copy=False)
    return outer.where(exp.column(_PRESENT, table=_MATCH, quoted=True), copy=False)


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


def join_keys(query: exp.Select, sides: tuple[Relation, Relation]) -> tuple[tuple[str, str], ...]:
    """The equalities between the two sides, over unqualified quoted columns of each."""
    names = (sides[0].name, sides[1].name)
    found: list[tuple[str, str]] = []
    for term in conditions(query):
        equality = bare(term)
        if not isinstance(equality, exp.EQ):
            continue
        for one, two in ((equality.left, equality.right), (equality.right, equality.left)):
            if reads_only(one, names[0]) and reads_only(two, names[1]):
                pair = (_unqualified(one), _unqualified(two))
                if pair not in found:
                    found.append(pair)
                break
    return tuple(found)


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


def _unqualified(node: exp.Expr) -> str:
    twin = bare(node).copy()
    for column in twin.find_all(exp.Column):
        column.set("table", None)
    return render(twin)
