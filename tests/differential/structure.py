"""Random queries below the join: levels of CTEs or subqueries with windows in them, and grouped queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Literal

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.calls import Calls
from tests.differential.expressions import Expressions, Field
from tests.differential.model import Expr, Grouped, Item, Level, Side, Table
from tests.differential.predicates import identifier, quoted
from tests.differential.terms import OR, Term, combine, integer, type_of

_NOT_OVER = ("array_agg", "string_agg", "first_value", "last_value", "any_value", "avg", "median")
"""Aggregates that are drawn with an order of their own, or that the oracles write out."""
_STILL = frozenset(
    {"bool_and", "bool_or", "bit_and", "bit_or", "stddev_samp", "stddev_pop", "var_samp", "var_pop"}
)
"""No frame that moves is for these."""


def fields_of(side: Side, table: Table) -> list[Field]:
    """Return a table's columns with what is known of their values."""
    fields: list[Field] = []
    for at, column in enumerate(table.columns):
        cells = [row[at] for row in table.rows if row[at] is not None]
        digits: int | None = None
        if column.kind.exact:
            digits = max((len(str(abs(int(c)))) for c in cells if isinstance(c, int | Decimal)), default=1)
        fields.append(Field(side, column.name, type_of(column.kind, digits), tuple(cells[:5])))
    return fields


def keys_are_unique(table: Table) -> bool:
    """Return whether no two rows have one key, and no key has a NULL."""
    at = [table.columns.index(column) for column in table.keys]
    keys = [tuple(row[i] for i in at) for row in table.rows]
    return len(set(keys)) == len(keys) and not any(None in key for key in keys)


class Structure:
    """Draws what stands between the tables and the join.

    Args:
        rng: the only source of chance.
        fields: columns by FROM name; `levels` adds the columns that it makes.
        postgres: draw only what PostgreSQL has a text for.
        unique: the sides whose rows their keys tell apart.
    """

    def __init__(
        self,
        rng: Random,
        fields: dict[Side, list[Field]],
        *,
        postgres: bool,
        unique: Collection[Side] = (),
    ) -> None:
        self.rng = rng
        self.unique = unique
        self.fields = fields
        self.postgres = postgres

    def expressions(self, sides: Sequence[Side]) -> Expressions:
        """Return expressions over some of the sides, of the columns known by now."""
        return Expressions(self.rng, {s: self.fields[s] for s in sides}, postgres=self.postgres)

    def levels(self, side: Side) -> tuple[Level, ...]:
        """Draw up to three levels over one side."""
        levels: list[Level] = []
        for number in range(self.rng.choice([0, 1, 1, 2, 3])):
            draw = self.expressions([side])
            again: Literal["", "union all", "union", "except", "intersect"] = ""
            if self.rng.random() < 0.1:
                again = "union all"
                # These make equal rows one: which of them is in the result, they do not say.
                if side in self.unique and self.rng.random() < 0.6:
                    again = self.rng.choice(["union", "except", "intersect"])
            extra = () if again else tuple(self._extra(draw, side, number))
            where, second = (
                (draw.draw(Family.BOOLEAN, 2).predicate(),) if again or self.rng.random() < 0.4 else ()
                for _ in range(2)
            )
            levels.append(Level(where, extra, again, second if again else ()))
        return tuple(levels)

    def _extra(self, draw: Expressions, side: Side, number: int) -> list[Item]:
        items: list[Item] = []
        fields: list[Field] = []
        for at in range(self.rng.choice([0, 1, 1, 2])):
            term = self._window(draw, side) if self.rng.random() < 0.4 else None
            term = term or draw.draw(draw.any_family(), 3)
            name = f"d{side}{number}{at}"
            items.append(term.item(name))
            fields.append(Field(side, name, term.type))
        self.fields[side] = [*self.fields[side], *fields]
        return items

    def _window(self, draw: Expressions, side: Side) -> Term | None:
        """Draw a window over all columns, so that only rows that are alike throughout are peers."""
        if any(f.type.family is Family.LIST for f in self.fields[side]):
            return None
        rng = self.rng
        kind: Literal["window", "aggregate"] = rng.choice(["window", "aggregate"])
        call = self.aggregate(draw, 1, over=True) if kind == "aggregate" else self._ranking(draw)
        if call is None:
            return None
        order = [draw.field(field) for field in rng.sample(self.fields[side], len(self.fields[side]))]
        ordered = ", ".join(
            f"{{{i}}} {rng.choice(['', 'ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}"
            for i in range(1, len(order) + 1)
        )
        parts = [(call, OR), *((term, OR) for term in order)]
        partition = ""
        if rng.random() < 0.6:
            parts.append((draw.draw(draw.any_family(), 1), OR))
            partition = f"PARTITION BY {{{len(parts) - 1}}} "
        frame = ""
        if kind == "aggregate":
            frames = ["", "", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING"]
            still = call.type.family is Family.FLOAT or not _STILL.isdisjoint(call.expr.uses[:1])
            frame = rng.choice(frames[:2] if still else frames)
        oracle = f"{{0}} OVER ({partition}ORDER BY {ordered}{frame})"
        text = combine(rng, oracle, oracle.replace("{0}", "{0}"), parts)
        return Term(_unwrapped(text, call), call.type)

    def _ranking(self, draw: Expressions) -> Term | None:
        ways = Calls(draw, "window")
        family = self.rng.choice([Family.INTEGER, Family.INTEGER, Family.FLOAT, draw.any_family()])
        return ways.draw(family, 1)

    def aggregate(self, draw: Expressions, depth: int, *, over: bool = False) -> Term | None:
        """Draw an aggregate; with `over` one that can be a window."""
        calls = Calls(draw, "aggregate")
        for _ in range(4):
            term = calls.draw(draw.any_family(), depth)
            if term is None or (over and not set(term.expr.uses[:1]).isdisjoint(_NOT_OVER)):
                continue
            if not term.expr.columns and "ORDER BY" in term.expr.kalla:
                continue  # ORDER BY 2 is a place to some and a value to others
            return term
        return None

    def grouped(self, side: Side, other: Side, link: tuple[Field, Field]) -> Grouped | None:
        """Draw a grouped query over `side` by the first column of a link, joined to the second one."""
        table_fields = [f for f in self.fields[side] if not f.name.startswith(f"d{side}")]
        draw = Expressions(self.rng, {side: table_fields}, postgres=self.postgres)
        by = [draw.field(link[0]).item("k0")]
        if self.rng.random() < 0.3:
            second = draw.draw(draw.any_family(), self.rng.choice([0, 1]))
            # The engine names a cast as what is in it: not apart from the first key.
            named = second.expr.columns and second.expr.duck != by[0].expr.duck
            if named and "CAST" not in second.expr.kalla and "::" not in second.expr.kalla:
                by.append(second.item("k1"))
        aggregates = [self.aggregate(draw, 2) for _ in range(self.rng.choice([1, 1, 2, 3]))]
        terms = [term for term in aggregates if term is not None]
        # Kalla reads columns in ROLLUP, not expressions.
        rollup = (
            len(by) > 1 and len(by[1].expr.columns) == 1 and not by[1].expr.uses and self.rng.random() < 0.6
        )
        if rollup:
            terms.append(
                draw.combined(
                    "grouping({0})", [Term(by[1].expr, integer(1))], OR, integer(1), uses=("grouping",)
                )
            )
        if not terms:
            return None
        having = self.having(draw) if self.rng.random() < 0.4 else ()
        where = (draw.draw(Family.BOOLEAN, 2).predicate(),) if self.rng.random() < 0.4 else ()
        self.fields["g"] = [Field("g", f"a{n}", term.type) for n, term in enumerate(terms)]
        outer = Expressions(self.rng, {other: self.fields[other]}, postgres=self.postgres)
        key = Term(Expr("g.k0", "g.k0", (("g", "k0"),)), link[0].type)
        on = outer.combined("{0} = {1}", [key, outer.field(link[1])], OR, link[0].type)
        return Grouped(
            side,
            tuple(by),
            tuple(term.item(f"a{n}") for n, term in enumerate(terms)),
            where,
            having,
            self.rng.choice(["JOIN", "LEFT JOIN", "LEFT JOIN"]),
            (on.expr,),
            rollup,
        )

    def having(self, draw: Expressions) -> tuple[Expr, ...]:
        """Draw a condition over aggregates."""
        term = self.aggregate(draw, 1)
        if term is None or self.rng.random() < 0.3:
            return (Expr("count(*) > 1", "count(*) > 1"),)
        operator = self.rng.choice(["IS NOT NULL", "IS NULL", "="])
        if operator != "=":
            return (draw.combined(f"{{0}} {operator}", [term], OR, term.type).expr,)
        value = draw.constant(term.family)
        if not value.type.alike(term.type):
            return (draw.combined("{0} IS NOT NULL", [term], OR, term.type).expr,)
        return (draw.combined("{0} >= {1}", [term, value], OR, term.type).expr,)


def _unwrapped(text: Expr, call: Term) -> Expr:
    """Take the oracles' brackets from a call that OVER follows."""
    duck, postgres = f"({call.expr.duck})", f"({call.expr.postgres or call.expr.duck})"
    return replace(
        text,
        duck=text.duck.replace(duck, call.expr.duck, 1),
        postgres=text.postgres and text.postgres.replace(postgres, postgres[1:-1], 1),
    )


def keyed(rng: Random, links: Sequence[tuple[Field, Field]], *, postgres: bool) -> Expr | None:
    """Draw one expression over both sides' linked columns and equate the two."""
    alike = [(a, b) for a, b in links if a.type == replace(b.type, digits=a.type.digits)]
    if not alike:
        return None
    marks: list[Field] = [
        Field("l", f"\x01{i}\x01", replace(a.type, digits=max(a.type.digits, b.type.digits)), a.seen)
        for i, (a, b) in enumerate(alike)
    ]
    draw = Expressions(rng, {"l": marks}, postgres=postgres)
    family = rng.choice(alike)[0].type.family
    term = draw.draw(family if family is not Family.BOOLEAN else Family.TEXT, 3)
    if not term.expr.columns:
        return None
    left, right = (_named(rng, term, [pair[at] for pair in alike]) for at in (0, 1))
    return draw.combined("{0} = {1}", [left, right], OR + 5, term.type).expr


def _named(rng: Random, term: Term, fields: Sequence[Field]) -> Term:
    expr = term.expr
    kalla, duck, postgres = expr.kalla, expr.duck, expr.postgres
    columns = expr.columns
    for i, field in enumerate(fields):
        mark, name = f'l."\x01{i}\x01"', f"{field.side}.{quoted(field.name)}"
        kalla = kalla.replace(mark, f"{field.side}.{identifier(rng, field.name)}")
        duck = duck.replace(mark, name)
        postgres = postgres and postgres.replace(mark, name)
        columns = tuple((field.side, field.name) if c == ("l", f"\x01{i}\x01") else c for c in columns)
    return replace(term, expr=replace(expr, kalla=kalla, duck=duck, postgres=postgres, columns=columns))
