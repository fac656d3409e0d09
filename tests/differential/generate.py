"""A seed in, a case out."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.expressions import Expressions, Field
from tests.differential.filters import make_filters
from tests.differential.items import free_items, key_items
from tests.differential.model import Case, Expr, Grouped, Item, Lookup, Query, Side, Table
from tests.differential.predicates import Predicates, Ref
from tests.differential.refusals import refused_item
from tests.differential.structure import Structure, fields_of, keyed, keys_are_unique
from tests.differential.tables import make_lookup, make_pair, typed_for_csv

POSTGRES_SHARE = 0.1
"""Share of the cases that PostgreSQL answers too."""

REFUSED_SHARE = 0.03
"""Share of the plain queries to which something is added that must be refused."""


def make_case(seed: int) -> Case:
    """Draw the case of a seed; the same seed always gives the same case."""
    rng = Random(seed)  # noqa: S311 - cases are drawn, not secrets
    postgres = rng.random() < POSTGRES_SHARE
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
    fields: dict[Side, list[Field]] = {side: fields_of(side, table) for side, table in tables.items()}
    draw = Predicates(rng, tables, links.keys, links.amounts)
    both: tuple[Side, ...] = ("l", "r")
    unique: list[Side] = [side for side in both if keys_are_unique(tables[side])]
    structure = Structure(rng, fields, postgres=postgres, unique=unique)
    query = _query(draw, structure)
    if query.select and query.finish == "none" and rng.random() < REFUSED_SHARE:
        item = refused_item(structure.expressions(["l", "r"]))
        if item is not None:
            return Case(seed, left, right, replace(query, select=(*query.select, item)), lookup, refused=True)
    return Case(seed, left, right, query, lookup, postgres)


def _query(draw: Predicates, structure: Structure) -> Query:
    rng = draw.rng
    band_only = rng.random() < 0.08
    query = Query(join="JOIN", on=())
    if rng.random() < 0.35:
        query = replace(
            query,
            sources=rng.choice(["cte", "cte", "subquery"]),
            left_where=(draw.own("l"),) if rng.random() < 0.4 else (),
            right_where=(draw.own("r"),) if rng.random() < 0.3 else (),
            left_levels=structure.levels("l") if rng.random() < 0.7 else (),
            right_levels=structure.levels("r") if rng.random() < 0.5 else (),
        )
    pairs = [_fields(draw, structure, link) for link in (*draw.links, *draw.amounts)]
    both = structure.expressions(["l", "r"])
    on = [near for near in [draw.tolerance(draw.amounts[0])] if band_only and near is not None]
    if not on:
        on = [draw.equality(link) for link in draw.links if rng.random() < 0.85 or link is draw.links[0]]
        key = keyed(rng, pairs, postgres=structure.postgres) if rng.random() < 0.5 else None
        if key is not None:
            on = [key, *(on if rng.random() < 0.3 else on[1:])]
        on += [extra for extra in (draw.residual() for _ in range(rng.choice([0, 0, 0, 1]))) if extra]
        if rng.random() < 0.4:
            on.append(both.draw(Family.BOOLEAN, rng.choice([2, 3, 4])).predicate())
        rng.shuffle(on)
    join = rng.choice(["JOIN", "JOIN", "JOIN", "JOIN", "comma", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
    query = replace(query, join=_join(join), on=tuple(on))
    query = replace(query, swapped=rng.random() < 0.15, side_names=rng.random() < 0.15)
    if "x" in draw.tables and rng.random() < 0.6:
        query = replace(query, lookup=_lookup(draw))
    if rng.random() < 0.2:
        query = replace(query, grouped=_grouped_join(structure, pairs))
    if rng.random() < 0.35:
        query = replace(query, where=tuple(_where(draw, structure, query)))
    return _select(draw, structure, query)


def _fields(draw: Predicates, structure: Structure, link: tuple[Ref, Ref]) -> tuple[Field, Field]:
    """Return the fields of a link."""

    def field(ref: Ref) -> Field:
        return next(f for f in structure.fields[ref.side] if f.name == ref.column.name)

    return field(link[0]), field(link[1])


def _grouped_join(structure: Structure, pairs: list[tuple[Field, Field]]) -> Grouped | None:
    alike = [(a, b) for a, b in pairs if a.type.alike(b.type) and a.type.family is not Family.FLOAT]
    if not alike:
        return None
    one, two = structure.rng.choice(alike)
    side = structure.rng.choice([one, two])
    other = structure.rng.choice([one, two])
    return structure.grouped(side.side, other.side, (side, other))


def _sides(structure: Structure, query: Query) -> list[Side]:
    """Return the FROM names that a query has."""
    more: list[tuple[Side, object]] = [("x", query.lookup), ("g", query.grouped)]
    return ["l", "r", *(side for side, there in more if there is not None)]


def _join(name: str) -> Literal["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "comma"]:
    match name:
        case "LEFT JOIN" | "RIGHT JOIN" | "FULL JOIN" | "comma":
            return name
        case _:
            return "JOIN"


def _where(draw: Predicates, structure: Structure, query: Query) -> list[Expr]:
    rng = draw.rng
    found: list[Expr] = []
    lookup = draw.tables.get("x")
    listed = (lookup.alias, structure.fields["x"]) if lookup is not None else None
    for _ in range(rng.choice([1, 1, 2])):
        style = rng.random()
        if style < 0.2:
            found.append(draw.own(rng.choice(["l", "r"])))
        elif style < 0.4 and lookup is not None:
            found.append(_subquery(draw))
        else:
            sides = _sides(structure, query)
            fields: dict[Side, list[Field]] = {side: structure.fields[side] for side in sides}
            # A subquery calls the look-up table x, as a join would.
            free = Expressions(
                rng, fields, postgres=structure.postgres, lookup=None if "x" in sides else listed
            )
            found.append(free.draw(Family.BOOLEAN, rng.choice([2, 3, 4])).predicate())
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


def _select(draw: Predicates, structure: Structure, query: Query) -> Query:
    rng = draw.rng
    sides = tuple(_sides(structure, query))
    free = structure.expressions(sides)
    style = rng.random()
    if style < 0.08 and sides == ("l", "r"):
        return replace(query, star=rng.choice(["*", "l.*, r.*", "r.*, l.*"]))
    if style < 0.55:
        items = [*key_items(draw, "l", alias=False), *key_items(draw, "r", alias=False)]
        items = items if rng.random() < 0.7 else items[: len(items) // 2]
        items += free_items(draw, free, rng.choice([0, 1, 2, 3, 4]))
        if rng.random() < 0.3:
            rng.shuffle(items)
        return replace(query, select=tuple(_distinct_names(items)), whole_cte=False)
    if style < 0.68:
        return replace(query, select=tuple(_distinct_names(free_items(draw, free, rng.choice([1, 2, 3])))))
    keys = [*key_items(draw, "l", alias=True), *key_items(draw, "r", alias=True)]
    items = [*keys, *(i for i in free_items(draw, free, rng.choice([0, 1, 2])) if i.alias)]
    if style < 0.76:
        return replace(query, select=tuple(items), whole_cte=True)
    if style < 0.82:
        return replace(query, select=tuple(items), finish="distinct")
    if style < 0.89:
        second = [draw.equality(draw.links[0]), *(e for e in [draw.residual()] if e)]
        finish = rng.choice(["union all", "union all", "union"])
        kind: Literal["union all", "union"] = "union" if finish == "union" else "union all"
        return replace(
            query,
            select=tuple(keys),
            finish=kind,
            second_on=tuple(second),
            lookup=None,
            grouped=None,
            where=(),
        )
    return _grouped(draw, structure, query)


def _grouped(draw: Predicates, structure: Structure, query: Query) -> Query:
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
    gathered = replace(draw.both("array_agg({})", key), uses=("array_agg",))
    items: list[Item] = [*groups, Item(gathered, f"{listed}_keys", key=True)]
    # A key that comes as a list and aggregated once more is refused: which of the two is meant?
    free = Structure(
        rng,
        {listed: [f for f in structure.fields[listed] if f.name not in draw.tables[listed].primary_key]},
        postgres=structure.postgres,
    )
    having: tuple[Expr, ...] = ()
    if free.fields[listed]:
        inner = free.expressions([listed])
        for at in range(rng.choice([0, 1, 2])):
            term = free.aggregate(inner, 2)
            if term is not None:
                items.append(term.item(f"total{at}"))
        having = free.having(inner) if rng.random() < 0.3 else ()
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
