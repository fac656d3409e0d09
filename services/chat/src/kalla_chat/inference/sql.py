"""Writes a rule as SQL that a person could have written, and as the sentence that says the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kalla_chat.inference.amounts import FACTOR_PLACES, AmountFit, decimal
from kalla_chat.inference.columns import Column, Family, Side
from kalla_chat.inference.hypothesis import Hypothesis
from kalla_chat.inference.links import Link
from kalla_chat.inference.views import PLAIN, View
from kalla_chat.inference.windows import Window

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset(
    """all and any array as asc between by case cast column constraint cross current date day default desc
    distinct else end except exists extract false fetch filter first for from full group having hour in inner
    intersect interval into is join key last left like limit lateral month natural not null of offset on or
    order outer over overlaps partition primary range right row rows select set similar some table then time
    timestamp to true union unique unnest user using values when where window with year zone""".split()
)


@dataclass(frozen=True, slots=True)
class Part:
    """One condition: its name in `Hypothesis.conditions`, SQL, and plain words."""

    name: str
    sql: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """A rule in full."""

    sql: str
    parts: tuple[Part, ...]


def quoted(name: str) -> str:
    """An identifier, in quotes where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class _Term:
    """One side in the query: how its columns are written, and how they are told."""

    side: Side
    letter: str

    def column(self, name: str) -> str:
        exact = quoted(name)
        twins = [n for n in self.side.source.rows.schema.names if n.casefold() == name.casefold()]
        if len(twins) > 1 and not exact.startswith('"'):
            exact = f'"{name}"'
        return f"{self.letter}.{exact}" if self.letter else exact

    def told(self, name: str) -> str:
        return f"{self.side.source.alias}.{name}"

    def text(self, column: Column, view: View, *, as_text: bool) -> str:
        plain = self.column(column.name)
        if column.family is not Family.TEXT and as_text:
            plain = f"CAST({plain} AS TEXT)"
        return view.sql.replace("{c}", plain)

    def day(self, column: Column) -> str:
        assert column.days is not None  # noqa: S101  # a window and a link are over columns of days
        return column.days.sql.replace("{c}", self.column(column.name))

    def amount(self, column: Column) -> str:
        assert column.amounts is not None  # noqa: S101  # a relation is over columns of amounts
        return column.amounts.sql.replace("{c}", self.column(column.name))


def write(
    made: Hypothesis, left: Side, right: Side, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> Written:
    """Write the query and its parts.

    Args:
        made: the rule.
        left, right: the sides.
        keys: their primary keys, which the query selects first.
    """
    letters = _letters(left.source.alias, right.source.alias)
    one, two = _Term(left, letters[0]), _Term(right, letters[1])
    if made.sums is not None:
        return _summed(made, one, two, keys)
    parts = [_link_part(place, link, one, two) for place, link in enumerate(made.links)]
    if made.amounts is not None:
        parts.append(_amount_part(made.amounts, one, two))
    if made.window is not None:
        parts.append(_window_part(made.window, one, two))
    if made.likeness is not None:
        like = made.likeness
        sql = f"levenshtein({one.column(like.left.name)}, {two.column(like.right.name)}) <= {like.edits}"
        told = f"{one.told(like.left.name)} and {two.told(like.right.name)}"
        parts.append(Part("likeness", sql, f"{told} differ in at most {_many(like.edits, 'character')}"))
    columns = _selected(made, one, two, keys)
    sql = (
        f"SELECT {', '.join(columns)}\n"
        f"FROM {quoted(left.source.alias)} {one.letter}\n"
        f"JOIN {quoted(right.source.alias)} {two.letter}\n"
        f"  ON {_and(parts)}"
    )
    return Written(sql, tuple(parts))


def _and(parts: list[Part]) -> str:
    return "\n  AND ".join(part.sql for part in parts)


def _letters(left: str, right: str) -> tuple[str, str]:
    one, two = left[:1].lower(), right[:1].lower()
    plain = all("a" <= letter <= "z" for letter in (one, two) if letter) and one and two
    return (one, two) if plain and one != two else ("l", "r")


def _selected(
    made: Hypothesis, one: _Term, two: _Term, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> list[str]:
    columns = [one.column(name) for name in keys[0]] + [two.column(name) for name in keys[1]]
    for left, right in _compared(made):
        columns += [one.column(left), two.column(right)]
    return list(dict.fromkeys(columns))


def _compared(made: Hypothesis) -> list[tuple[str, str]]:
    pairs = [link.names for link in made.links]
    for other in (made.amounts, made.window, made.likeness):
        if other is not None:
            pairs.append((other.left.name, other.right.name))
    return pairs


def _link_part(place: int, link: Link, one: _Term, two: _Term) -> Part:
    left, right = link_sides(link, one, two)
    told = f"{one.told(link.left.name)} equals {two.told(link.right.name)}"
    if link.kind == "amount" and link.negated:
        told += " with the opposite sign"
    words = list(dict.fromkeys(v.words for v in (link.left_view, link.right_view) if v.words))
    text = f"{told}, compared {' and '.join(words)}" if words else told
    return Part(f"link{place}", f"{left} = {right}", text)


def link_sides(link: Link, one: _Term, two: _Term) -> tuple[str, str]:
    """Both sides of an equality."""
    if link.kind == "day":
        return one.day(link.left), two.day(link.right)
    if link.kind == "amount":
        right = two.amount(link.right)
        return one.amount(link.left), f"-{right}" if link.negated else right
    whole = link.left.family is link.right.family is Family.INTEGER
    as_text = not (whole and link.left_view is PLAIN and link.right_view is PLAIN)
    left = one.text(link.left, link.left_view, as_text=as_text)
    right = two.text(link.right, link.right_view, as_text=as_text)
    return (f"nullif({left}, '')" if link.blanks else left), right


def _amount_part(fit: AmountFit, one: _Term, two: _Term) -> Part:
    told = (one.told(fit.left.name), two.told(fit.right.name))
    sql = _relation_sql(fit, one.amount(fit.left), two.amount(fit.right))
    return Part("amounts", sql, _relation_text(fit, *told))


def _relation_sql(fit: AmountFit, left: str, right: str) -> str:
    relation = fit.relation
    if relation.sign == 0:
        left, right = f"abs({left})", f"abs({right})"
    elif relation.sign < 0:
        right = f"-{right}"
    factor = decimal(relation.factor, FACTOR_PLACES).normalize()
    if factor != 1:
        left = f"{left} * {factor:f}"
    terms: list[str] = []
    for fixed in relation.fixed:
        amount = decimal(abs(fixed), fit.scale)
        shifted = f"{left} {'-' if fixed < 0 else '+'} {amount:f}" if fixed else left
        if relation.tolerance:
            terms.append(f"tolerance_match({shifted}, {right}, {decimal(relation.tolerance, fit.scale):f})")
        else:
            terms.append(f"{shifted} = {right}")
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


def _relation_text(fit: AmountFit, left: str, right: str) -> str:
    relation = fit.relation
    factor = decimal(relation.factor, FACTOR_PLACES).normalize()
    what = left
    if relation.factor < 10**FACTOR_PLACES:
        percent = (100 - 100 * factor).normalize()
        what = f"{left} less {percent:f} %" if percent < 50 else f"{factor:f} times {left}"  # noqa: PLR2004  # a fee
    elif factor != 1:
        what = f"{factor:f} times {left}"
    shifts = [
        "nothing" if not f else f"a fixed {decimal(abs(f), fit.scale):f} {'less' if f < 0 else 'more'}"
        for f in relation.fixed
    ]
    if relation.fixed != (0,):
        what += f" and {' or '.join(shifts)}"
    sign = {1: "", -1: " with the opposite sign", 0: " whatever the sign"}[relation.sign]
    if relation.tolerance:
        return f"{right} is {what}{sign}, give or take {decimal(relation.tolerance, fit.scale):f}"
    return f"{right} is exactly {what}{sign}"


def _window_part(window: Window, one: _Term, two: _Term) -> Part:
    left, right = one.day(window.left), two.day(window.right)
    told = (one.told(window.left.name), two.told(window.right.name))
    if window.earliest == window.latest == 0:
        return Part("window", f"{left} = {right}", f"{told[0]} and {told[1]} are the same day")
    low, high = (_shifted(left, days) for days in (window.earliest, window.latest))
    text = f"{told[1]} is {_span(window.earliest, window.latest)} {told[0]}"
    return Part("window", f"{right} BETWEEN {low} AND {high}", text)


def _shifted(sql: str, days: int) -> str:
    if days == 0:
        return sql
    return f"{sql} {'+' if days > 0 else '-'} INTERVAL '{_many(abs(days), 'day')}'"


def _span(earliest: int, latest: int) -> str:
    if earliest >= 0:
        return f"{earliest} to {_many(latest, 'day')} after"
    if latest <= 0:
        return f"{-latest} to {_many(-earliest, 'day')} before"
    return f"between {_many(-earliest, 'day')} before and {_many(latest, 'day')} after"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _summed(
    made: Hypothesis, one: _Term, two: _Term, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> Written:
    assert made.sums is not None  # noqa: S101  # the caller has looked
    fit = made.sums.fit
    sides = [link_sides(link, _Term(one.side, ""), _Term(two.side, "")) for link in made.links]
    ctes: list[str] = []
    froms: list[str] = []
    amounts: list[str] = []
    selected: list[str] = []
    totals: list[str] = []
    names: list[list[str]] = []
    for place, (term, listed, key, column) in enumerate(
        (
            (one, made.sums.left_lists, keys[0], fit.left),
            (two, made.sums.right_lists, keys[1], fit.right),
        )
    ):
        alias = term.side.source.alias
        if not listed:
            froms.append(f"{quoted(alias)} {term.letter}")
            amounts.append(term.amount(column))
            selected += [term.column(name) for name in key]
            totals.append(term.column(column.name))
            names.append([link_sides(link, one, two)[place] for link in made.links])
            continue
        table = quoted(f"{alias}_by_key")
        labels = [f"key_{n}" if len(made.links) > 1 else "match_key" for n in range(1, len(made.links) + 1)]
        exprs = [side[place] for side in sides]
        listed_keys = ", ".join(f"array_agg({_Term(term.side, '').column(k)}) AS {quoted(k)}" for k in key)
        total = f"sum({_Term(term.side, '').amount(column)}) AS total"
        grouped = ", ".join(f"{e} AS {label}" for e, label in zip(exprs, labels, strict=True))
        ctes.append(
            f"{table} AS (\n  SELECT {grouped}, {total}, {listed_keys}\n  FROM {quoted(alias)}\n"
            f"  GROUP BY {', '.join(exprs)}\n)"
        )
        froms.append(f"{table} {term.letter}")
        amounts.append(f"{term.letter}.total")
        selected += [f"{term.letter}.{quoted(k)}" for k in key]
        totals.append(f"{term.letter}.total")
        names.append([f"{term.letter}.{label}" for label in labels])
    parts = [
        Part(f"link{n}", f"{a} = {b}", _link_part(n, link, one, two).text)
        for n, (link, a, b) in enumerate(zip(made.links, names[0], names[1], strict=True))
    ]
    told = [
        f"the sum of {t.told(c.name)} per key" if listed else t.told(c.name)
        for t, c, listed in (
            (one, fit.left, made.sums.left_lists),
            (two, fit.right, made.sums.right_lists),
        )
    ]
    parts.append(Part("sums", _relation_sql(fit, *amounts), _relation_text(fit, *told)))
    sql = (
        f"WITH {', '.join(ctes)}\nSELECT {', '.join(_totals_named([*selected, *totals], one, two))}\n"
        f"FROM {froms[0]}\nJOIN {froms[1]}\n  ON {_and(parts)}"
    )
    return Written(sql, tuple(parts))


def _totals_named(selected: list[str], one: _Term, two: _Term) -> list[str]:
    """Tell the two totals apart where both sides are summed."""
    totals = [f"{t.letter}.total" for t in (one, two)]
    if not all(t in selected for t in totals):
        return selected
    names = {totals[0]: f"{totals[0]} AS left_total", totals[1]: f"{totals[1]} AS right_total"}
    return [names.get(s, s) for s in selected]
