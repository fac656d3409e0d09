"""A seed in, a case out."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from tests.differential.filters import make_filters
from tests.differential.items import free_items, key_items
from tests.differential.model import Case, Expr, Item, Lookup, Query, Side, Table
from tests.differential.predicates import Predicates, Ref
from tests.differential.tables import make_lookup, make_pair, typed_for_csv


def make_case(seed: int) -> Case:
    """Draw the case of a seed; the same seed always gives the same case."""
    rng = Random(seed)  # noqa: S311 - cases are drawn, not secrets
    left, right, links = make_pair(rng)
    left, right = (typed_for_csv(t) if t.format == "csv" else t for t in (left, right))
    lookup = make_lookup(rng, left) if rng.random() < 0.25 else None
    if lookup is not None and lookup.format == "csv":
        lookup = typed_for_csv(lookup)
    left, right = (
        replace(t, filters=make_filters(rng, t)) if rng.random() < 0.25 else t for t in (left, right)
    )
    tables: dict[Side, Table] = {"l": left, "r": right}
    if lookup is not None:
        tables["x"] = lookup
    draw = Predicates(rng, tables, links.keys, links.amounts)
    return Case(seed, left, right, _query(draw), lookup)


def _query(draw: Predicates) -> Query:
    rng = draw.rng
    band_only = rng.random() < 0.08
    on = [near for near in [draw.tolerance(draw.amounts[0])] if band_only and near is not None]
    if not on:
        on = [draw.equality(link) for link in draw.links if rng.random() < 0.85 or link is draw.links[0]]
        on += [extra for extra in (draw.residual() for _ in range(rng.choice([0, 0, 1, 1, 2]))) if extra]
        rng.shuffle(on)
    join = rng.choice(["JOIN", "JOIN", "JOIN", "JOIN", "comma", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
    query = Query(join=_join(join), on=tuple(on))
    if rng.random() < 0.3:
        query = replace(query, where=tuple(_where(draw)))
    if rng.random() < 0.25:
        query = replace(
            query,
            sources=rng.choice(["cte", "subquery"]),
            left_where=(draw.own("l"),) if rng.random() < 0.6 else (),
            right_where=(draw.own("r"),) if rng.random() < 0.4 else (),
        )
    query = replace(query, swapped=rng.random() < 0.15, side_names=rng.random() < 0.15)
    if "x" in draw.tables and rng.random() < 0.7:
        query = replace(query, lookup=_lookup(draw))
    return _select(draw, query)


def _join(name: str) -> Literal["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "comma"]:
    match name:
        case "LEFT JOIN" | "RIGHT JOIN" | "FULL JOIN" | "comma":
            return name
        case _:
            return "JOIN"


def _where(draw: Predicates) -> list[Expr]:
    rng = draw.rng
    found: list[Expr] = []
    for _ in range(rng.choice([1, 1, 2])):
        style = rng.random()
        if style < 0.4:
            found.append(draw.own(rng.choice(["l", "r"])))
        elif style < 0.7 and "x" in draw.tables:
            found.append(_subquery(draw))
        else:
            found += [extra for extra in [draw.residual()] if extra]
    return found


def _subquery(draw: Predicates) -> Expr:
    """Draw EXISTS, IN or a scalar subquery over the look-up table (not joined: another FROM name)."""
    table = draw.tables["x"]
    kind = table.columns[0].kind
    ref = draw.any_ref(draw.rng.choice(["l", "r"]), lambda other: other == kind)
    name = f'"{table.alias}"'
    if ref is None:
        counted = f"(SELECT count(*) FROM {name}) > 1"
        return Expr(counted, counted)
    templates = [
        f"EXISTS (SELECT 1 FROM {name} s WHERE s.lk = {{}})",
        f"{{}} IN (SELECT s.lk FROM {name} s)",
        f"NOT EXISTS (SELECT 1 FROM {name} s WHERE s.lk = {{}})",
        f"{{}} NOT IN (SELECT s.lk FROM {name} s WHERE s.lk IS NOT NULL)",
        f"{{}} IN (SELECT s.lk FROM {name} s WHERE s.rate > 1)",
    ]
    if kind.name not in ("boolean", "text"):
        templates.append(f"{{}} >= (SELECT min(s.lk) FROM {name} s)")
    return draw.both(draw.rng.choice(templates), draw.column(ref))


def _lookup(draw: Predicates) -> Lookup | None:
    table = draw.tables["x"]
    key = Ref("x", table.columns[0])
    ref = draw.any_ref("l", lambda other: other == key.kind)
    if ref is None:
        return None
    on = [draw.both("{} = {}", draw.column(ref), draw.column(key))]
    if draw.rng.random() < 0.2:
        on.append(draw.own("x"))
    return Lookup(draw.rng.choice(["JOIN", "LEFT JOIN"]), tuple(on))


def _select(draw: Predicates, query: Query) -> Query:
    rng = draw.rng
    sides: tuple[Side, ...] = ("l", "r", "x") if query.lookup else ("l", "r")
    style = rng.random()
    if style < 0.15 and query.lookup is None:
        return replace(query, star=rng.choice(["*", "l.*, r.*", "r.*, l.*"]))
    if style < 0.55:
        items = [*key_items(draw, "l", alias=False), *key_items(draw, "r", alias=False)]
        items = items if rng.random() < 0.7 else items[: len(items) // 2]
        items += free_items(draw, sides, rng.choice([0, 0, 1, 2, 4]))
        if rng.random() < 0.3:
            rng.shuffle(items)
        return replace(query, select=tuple(_distinct_names(items)), whole_cte=False)
    if style < 0.68:
        return replace(query, select=tuple(_distinct_names(free_items(draw, sides, rng.choice([1, 2, 3])))))
    keys = [*key_items(draw, "l", alias=True), *key_items(draw, "r", alias=True)]
    items = [*keys, *(i for i in free_items(draw, sides, rng.choice([0, 1, 2])) if i.alias)]
    if style < 0.76:
        return replace(query, select=tuple(items), whole_cte=True)
    if style < 0.84:
        return replace(query, select=tuple(items), finish="distinct")
    if style < 0.92:
        second = [draw.equality(draw.links[0]), *(e for e in [draw.residual()] if e)]
        finish = rng.choice(["union all", "union all", "union"])
        kind: Literal["union all", "union"] = "union" if finish == "union" else "union all"
        return replace(query, select=tuple(keys), finish=kind, second_on=tuple(second), lookup=None)
    return _grouped(draw, query)


def _grouped(draw: Predicates, query: Query) -> Query:
    """Group by one side's key; the other side's comes as a list, where it has one column."""
    rng = draw.rng
    single: list[Side] = [side for side in ("l", "r") if len(draw.tables[side].primary_key) == 1]
    if not single:
        return replace(
            query, select=tuple(key_items(draw, "l", alias=True) + key_items(draw, "r", alias=True))
        )
    listed = rng.choice(single)
    grouped: Side = "r" if listed == "l" else "l"
    groups = key_items(draw, grouped, alias=True)
    key = draw.column(Ref(listed, draw.tables[listed].keys[0]))
    items: list[Item] = [*groups, Item(draw.both("array_agg({})", key), f"{listed}_keys", key=True)]
    number = draw.any_ref(listed, lambda kind: kind.exact and kind.precision <= 20)
    # A key that comes as a list and aggregated once more is refused: which of the two is meant?
    in_key = number is not None and number.column.name in draw.tables[listed].primary_key
    if number is not None and not in_key and rng.random() < 0.6:
        template = rng.choice(["sum({})", "min({})", "max({})", "count({})", "count(DISTINCT {})"])
        if template != "sum({})" or number.kind.name == "decimal":
            items.append(Item(draw.both(template, draw.column(number)), "total"))
    having = (Expr("count(*) > 1", "count(*) > 1"),) if rng.random() < 0.2 else ()
    return replace(query, select=tuple(items), finish="group", having=having)


def _distinct_names(items: list[Item]) -> list[Item]:
    """Give aliases until every name comes at most once a side: what is left is told apart by the engine."""
    kept: list[Item] = []
    seen: set[tuple[str, str]] = set()
    for number, item in enumerate(items):
        side = "" if item.alias else item.expr.columns[0][0]
        name = (side, item.name.lower())
        clash = name in seen or side == "x"
        kept.append(replace(item, alias=f"c{number}") if clash else item)
        seen.add(name)
    return kept
