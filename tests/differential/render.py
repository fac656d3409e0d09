"""A query in parts -> its text for Kalla, and for DuckDB with the keys appended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.differential.model import Case, Dialect, Expr, Item, Level, Side, Table
from tests.differential.predicates import quoted

ROW = "row of the case"
"""A column that the oracles' tables have: the number of the row, which tells equal rows apart."""


@dataclass(frozen=True)
class Meaning:
    """The query as DuckDB runs it: `visible` columns as the user selected them, then all keys.

    `left_keys` and `right_keys` are positions among all columns. `rows` yields, for each pair that the
    joins make and the conditions let pass, the number of the left and of the right row and, of a grouped
    query, the columns g0, g1, ... by which it is grouped, at the positions `groups`.
    """

    sql: str
    visible: int
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]
    rows: str
    groups: tuple[int, ...] = ()


def match_sql(case: Case) -> str:
    """Write the match query as a user of Kalla would."""
    query = case.query
    if query.whole_cte:
        body = _body(case, "kalla", _list(query.select, "kalla"), query.on)
        prefix = _sources_cte(case, "kalla")
        head = f"WITH {prefix}, m AS ({body})" if prefix else f"WITH m AS ({body})"
        return f"{head} SELECT * FROM m"
    prefix = _sources_cte(case, "kalla")
    columns = query.star or _list(query.select, "kalla")
    return (f"WITH {prefix} " if prefix else "") + _finished(case, "kalla", columns)


def meaning(case: Case, dialect: Dialect = "duck") -> Meaning:
    """Write the query for an oracle."""
    query = case.query
    items = list(_star_items(case) if query.star else query.select)
    visible = len(items)
    keys: dict[Side, list[int]] = {"l": [], "r": [], "x": []}
    if query.finish == "none":
        sides: tuple[tuple[Side, Table], ...] = (("l", case.left), ("r", case.right))
        for side, table in sides:
            for name in table.primary_key:
                keys[side].append(len(items))
                items.append(_plain(side, name))
    else:
        for position, item in enumerate(items):
            if item.key:
                keys[item.expr.columns[0][0]].append(position)
    named = [replace(item, alias=f"c{i}") for i, item in enumerate(items)]
    prefix = _sources_cte(case, dialect)
    text = (f"WITH {prefix} " if prefix else "") + _finished(case, dialect, _list(named, dialect))
    groups = [i for i, item in enumerate(items) if query.finish == "group" and _is_group(item)]
    columns = ", ".join(
        [
            *(f"{side}.{quoted(ROW)} AS {side}_row" for side in ("l", "r")),
            *(f"{items[i].expr.text(dialect)} AS g{n}" for n, i in enumerate(groups)),
        ]
    )
    rows = _body(case, dialect, columns, query.on)
    if query.finish in ("union", "union all"):
        rows += f" UNION ALL {_body(case, dialect, columns, query.second_on)}"
    rows = (f"WITH {prefix} " if prefix else "") + rows
    return Meaning(text, visible, tuple(keys["l"]), tuple(keys["r"]), rows, tuple(groups))


def _is_group(item: Item) -> bool:
    return item.key and item.alias.count("_key_") > 0


def expected_names(case: Case) -> list[str]:
    """Return the names of the selected columns: two of one name come out as left_... and right_..."""
    items = list(_star_items(case) if case.query.star else case.query.select)
    # Names that differ in case only are told apart too: other readers of the output ignore case.
    names = [item.name.lower() for item in items]
    return [
        _told_apart(item) if not item.alias and names.count(item.name.lower()) > 1 else item.name
        for item in items
    ]


def _told_apart(item: Item) -> str:
    side, name = item.expr.columns[0]
    return {"l": "left_", "r": "right_", "x": "", "g": ""}[side] + name


def _plain(side: Side, name: str) -> Item:
    text = f"{side}.{quoted(name)}"
    return Item(Expr(text, text, ((side, name),)))


def _star_items(case: Case) -> list[Item]:
    order: list[tuple[Side, Table]] = [("l", case.left), ("r", case.right)]
    levels = {"l": case.query.left_levels, "r": case.query.right_levels}
    if case.query.star == "r.*, l.*" or (case.query.star == "*" and case.query.swapped):
        order.reverse()
    names = {
        side: [*(c.name for c in table.columns), *(i.alias for level in levels[side] for i in level.extra)]
        for side, table in order
    }
    return [_plain(side, name) for side, _ in order for name in names[side]]


def _list(items: Sequence[Item], dialect: Dialect) -> str:
    return ", ".join(
        f"{item.expr.text(dialect)} AS {item.alias}" if item.alias else item.expr.text(dialect)
        for item in items
    )


def _finished(case: Case, dialect: Dialect, columns: str) -> str:
    query = case.query
    match query.finish:
        case "none":
            return _body(case, dialect, columns, query.on)
        case "distinct":
            return _body(case, dialect, f"DISTINCT {columns}", query.on)
        case "group":
            groups = [item.expr for item in query.select if _is_group(item)]
            by = ", ".join(expr.text(dialect) for expr in groups)
            having = " HAVING " + _all(query.having, dialect) if query.having else ""
            return f"{_body(case, dialect, columns, query.on)} GROUP BY {by}{having}"
        case _:
            first = _body(case, dialect, columns, query.on)
            second = _body(case, dialect, columns, query.second_on)
            return f"{first} {query.finish.upper()} {second}"


def _body(case: Case, dialect: Dialect, columns: str, on: Sequence[Expr]) -> str:
    query = case.query
    first, second = _from(case, dialect, "l"), _from(case, dialect, "r")
    if query.swapped:
        first, second = second, first
    where = list(query.where)
    if query.join == "comma":
        where = [*on, *where]
        text = f"SELECT {columns} FROM {first}, {second}"
        for extra in (query.lookup, query.grouped):
            where = [*extra.on, *where] if extra is not None else where
        text += f", {_from(case, dialect, 'x')}" if query.lookup is not None else ""
        text += ", grouped g" if query.grouped is not None else ""
    else:
        text = f"SELECT {columns} FROM {first} {query.join} {second} ON {_all(on, dialect)}"
        if query.lookup is not None:
            text += f" {query.lookup.join} {_from(case, dialect, 'x')} ON {_all(query.lookup.on, dialect)}"
        if query.grouped is not None:
            text += f" {query.grouped.join} grouped g ON {_all(query.grouped.on, dialect)}"
    return text + (f" WHERE {_all(where, dialect)}" if where else "")


def _all(parts: Sequence[Expr], dialect: Dialect) -> str:
    # Every part holds its own ORs in parentheses; none are added, so that precedence is tried too.
    return " AND ".join(part.text(dialect) for part in parts) or "true"


def _table(case: Case, dialect: Dialect, side: Side) -> str:
    tables: dict[Side, Table | None] = {"l": case.left, "r": case.right, "x": case.lookup}
    table = tables[side]
    assert table is not None
    if dialect == "kalla" and case.query.side_names and side != "x":
        return {"l": "left_src", "r": "right_src"}[side]
    return quoted(table.alias)


def _from(case: Case, dialect: Dialect, side: Side) -> str:
    if side == "x" or case.query.sources == "plain":
        return f"{_table(case, dialect, side)} {side}"
    if case.query.sources == "cte":
        return f"cte_{side} {side}"
    body = _table(case, dialect, side)
    for level in _levels(case, side):
        body = f"({_level(level, body, dialect, side)})"
    return f"{body} {side}"


def _levels(case: Case, side: Side) -> list[Level]:
    query = case.query
    where = query.left_where if side == "l" else query.right_where
    levels = query.left_levels if side == "l" else query.right_levels
    return [Level(where), *levels]


def _level(level: Level, body: str, dialect: Dialect, side: Side) -> str:
    columns = ", ".join([f"{side}.*" if level.extra else "*", *(_list([i], dialect) for i in level.extra)])

    def rows(where: Sequence[Expr]) -> str:
        condition = f" WHERE {_all(where, dialect)}" if where else ""
        return f"SELECT {columns} FROM {body} {side}{condition}"

    if not level.again:
        return rows(level.where)
    return f"{rows(level.where)} {level.again.upper()} {rows(level.second)}"


def _sources_cte(case: Case, dialect: Dialect) -> str:
    parts: list[str] = []
    sides: tuple[Side, ...] = ("l", "r") if case.query.sources == "cte" else ()
    for side in sides:
        body = _table(case, dialect, side)
        levels = _levels(case, side)
        for number, level in enumerate(levels, 1 - len(levels)):
            name = f"cte_{side}" if number == 0 else f"cte_{side}{-number}"
            parts.append(f"{name} AS ({_level(level, body, dialect, side)})")
            body = name
    grouped = case.query.grouped
    if grouped is not None:
        table = _table(case, dialect, grouped.side)
        where = f" WHERE {_all(grouped.where, dialect)}" if grouped.where else ""
        having = f" HAVING {_all(grouped.having, dialect)}" if grouped.having else ""
        by = ", ".join(item.expr.text(dialect) for item in grouped.by)
        by = f"ROLLUP ({by})" if grouped.rollup else by
        columns = _list([*grouped.by, *grouped.items], dialect)
        parts.append(
            f"grouped AS (SELECT {columns} FROM {table} {grouped.side}{where} GROUP BY {by}{having})"
        )
    return ", ".join(parts)
