"""Writes a rule as SQL that a person could have written, and as the sentence that says the same."""

from __future__ import annotations

from dataclasses import dataclass

from kalla_chat.inference.amounts import AmountFit
from kalla_chat.inference.clauses import many, relation_sql, relation_text, shifted, span
from kalla_chat.inference.columns import Column, Family, Side
from kalla_chat.inference.hypothesis import Hypothesis
from kalla_chat.inference.links import Link
from kalla_chat.inference.terms import Term, letters, quoted
from kalla_chat.inference.views import PLAIN
from kalla_chat.inference.windows import Window


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


def write(
    made: Hypothesis, left: Side, right: Side, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> Written:
    """Write the query and its parts.

    Args:
        made: the rule.
        left: the left side.
        right: the right side.
        keys: their primary keys, which the query selects first.
    """
    names = letters(left.source.alias, right.source.alias)
    one, two = Term(left, names[0]), Term(right, names[1])
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
        parts.append(Part("likeness", sql, f"{told} differ in at most {many(like.edits, 'character')}"))
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


def _selected(
    made: Hypothesis, one: Term, two: Term, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> list[str]:
    columns = [one.column(name) for name in keys[0]] + [two.column(name) for name in keys[1]]
    for names in made.compared:
        columns += [one.column(names[0]), two.column(names[1])]
    return list(dict.fromkeys(columns))


def _link_part(place: int, link: Link, one: Term, two: Term) -> Part:
    left, right = link_sides(link, one, two)
    told = f"{one.told(link.left.name)} equals {two.told(link.right.name)}"
    if link.kind == "amount" and link.negated:
        told += " with the opposite sign"
    words = list(dict.fromkeys(v.words for v in (link.left_view, link.right_view) if v.words))
    text = f"{told}, compared {' and '.join(words)}" if words else told
    return Part(f"link{place}", f"{left} = {right}", text)


def link_sides(link: Link, one: Term, two: Term) -> tuple[str, str]:
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


def _amount_part(fit: AmountFit, one: Term, two: Term) -> Part:
    told = (one.told(fit.left.name), two.told(fit.right.name))
    sql = relation_sql(fit, one.amount(fit.left), two.amount(fit.right))
    return Part("amounts", sql, relation_text(fit, *told))


def _window_part(window: Window, one: Term, two: Term) -> Part:
    left, right = one.day(window.left), two.day(window.right)
    told = (one.told(window.left.name), two.told(window.right.name))
    if window.earliest == window.latest == 0:
        return Part("window", f"{left} = {right}", f"{told[0]} and {told[1]} are the same day")
    low, high = (shifted(left, days) for days in (window.earliest, window.latest))
    text = f"{told[1]} is {span(window.earliest, window.latest)} {told[0]}"
    return Part("window", f"{right} BETWEEN {low} AND {high}", text)


@dataclass(frozen=True, slots=True)
class _Half:
    """One side of a query over sums: its CTE if it has one, FROM, selected keys, amounts, and join keys."""

    cte: str
    table: str
    keys: tuple[str, ...]
    amount: str
    total: str
    joined: tuple[str, ...]


def _summed(made: Hypothesis, one: Term, two: Term, keys: tuple[tuple[str, ...], tuple[str, ...]]) -> Written:
    assert made.sums is not None  # noqa: S101  # the caller has looked
    fit = made.sums.fit
    plain = [link_sides(link, one, two) for link in made.links]
    bare = [link_sides(link, Term(one.side, ""), Term(two.side, "")) for link in made.links]
    listed = (made.sums.left_lists, made.sums.right_lists)
    halves = [
        _list(term, key, column, tuple(pair[place] for pair in bare))
        if listed[place]
        else _whole(term, key, column, tuple(pair[place] for pair in plain))
        for place, (term, key, column) in enumerate(((one, keys[0], fit.left), (two, keys[1], fit.right)))
    ]
    left, right = halves
    parts = [
        Part(f"link{n}", f"{a} = {b}", _link_part(n, link, one, two).text)
        for n, (link, a, b) in enumerate(zip(made.links, left.joined, right.joined, strict=True))
    ]
    told = [
        f"the sum of {term.told(column.name)} per key" if is_list else term.told(column.name)
        for term, column, is_list in ((one, fit.left, listed[0]), (two, fit.right, listed[1]))
    ]
    parts.append(
        Part("sums", relation_sql(fit, left.amount, right.amount), relation_text(fit, told[0], told[1]))
    )
    totals = [left.total, right.total]
    if all(listed):
        totals = [f"{left.total} AS left_total", f"{right.total} AS right_total"]
    ctes = ",\n".join(half.cte for half in halves if half.cte)
    sql = (
        f"WITH {ctes}\nSELECT {', '.join((*left.keys, *right.keys, *totals))}\n"
        f"FROM {left.table}\nJOIN {right.table}\n  ON {_and(parts)}"
    )
    return Written(sql, tuple(parts))


def _whole(term: Term, key: tuple[str, ...], column: Column, joined: tuple[str, ...]) -> _Half:
    keys = tuple(term.column(name) for name in key)
    table = f"{quoted(term.side.source.alias)} {term.letter}"
    return _Half("", table, keys, term.amount(column), term.column(column.name), joined)


def _list(term: Term, key: tuple[str, ...], column: Column, grouped: tuple[str, ...]) -> _Half:
    """A side of which several rows belong together: grouped, with its total and the list of its keys."""
    bare, alias = Term(term.side, ""), term.side.source.alias
    table = quoted(f"{alias}_by_key")
    labels = ["match_key"] if len(grouped) == 1 else [f"match_key_{n}" for n in range(1, len(grouped) + 1)]
    selected = [f"{e} AS {label}" for e, label in zip(grouped, labels, strict=True)]
    selected.append(f"sum({bare.amount(column)}) AS total")
    selected += [f"array_agg({bare.column(k)}) AS {quoted(k)}" for k in key]
    cte = (
        f"{table} AS (\n  SELECT {', '.join(selected)}\n"  # noqa: S608  # a draft that the runner checks before it runs
        f"  FROM {quoted(alias)}\n  GROUP BY {', '.join(grouped)}\n)"
    )
    total, letter = f"{term.letter}.total", term.letter
    keys = tuple(f"{letter}.{quoted(k)}" for k in key)
    return _Half(cte, f"{table} {letter}", keys, total, total, tuple(f"{letter}.{label}" for label in labels))
