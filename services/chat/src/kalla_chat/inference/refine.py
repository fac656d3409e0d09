"""Adds equalities to a key under which several rows of each side meet, until they no longer do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kalla_chat.inference.columns import Codes, Column
from kalla_chat.inference.discover import Found
from kalla_chat.inference.evidence import Sides
from kalla_chat.inference.links import Counts, Link, amount_link, combine, count, day_link, shared_codes

CLEAR: Final = 1.02
"""Pairs for each row up to which the few that meet several are accidents, to be shown as ambiguous."""
_KEEP: Final = 0.8
"""Share of the matched rows that a further equality must keep."""
_WORTH: Final = 0.97
_MOST_LINKS: Final = 4
_MOST_OPTIONS: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """Equalities that must all hold, their codes, and what they join."""

    links: tuple[Link, ...]
    codes: tuple[Codes, Codes]
    counts: Counts


def key_of(links: Sequence[Link]) -> Key:
    """The key that these links make."""
    codes = combine(links)
    return Key(tuple(links), codes, count(codes))


def options(sides: Sides, found: Sequence[Found]) -> list[Found]:
    """Equalities that many rows of both sides fulfil: a part of a key each, whatever else they are."""
    rows = (max(sides.left.rows, 1), max(sides.right.rows, 1))
    best: dict[tuple[str, str, str], Found] = {}
    for item in (*found, *_days(sides), *_amounts(sides)):
        share = min(item.counts.left / rows[0], item.counts.right / rows[1])
        label = (item.link.kind, *item.link.names)
        if share >= 0.3 and (label not in best or item.order < best[label].order):  # noqa: PLR2004  # see _KEEP
            best[label] = item
    return sorted(best.values(), key=lambda f: f.order)[:_MOST_OPTIONS]


def _days(sides: Sides) -> Iterator[Found]:
    for one in sides.left.columns:
        for two in sides.right.columns:
            if one.days is not None and two.days is not None and not _same_texts(one, two):
                link = day_link(one, two)
                yield Found(link, count((link.left_codes, link.right_codes)))


def _same_texts(left: Column, right: Column) -> bool:
    """Whether two columns of days are integers or texts of one format, which a text link compares."""
    return left.days is not None and right.days is not None and left.days.sql == right.days.sql != "{c}"


def _amounts(sides: Sides) -> Iterator[Found]:
    for one in sides.left.columns:
        for two in sides.right.columns:
            if one.amounts is not None and two.amounts is not None and len(one.texts) > 1 < len(two.texts):
                yield from amount_options(one, two)


def amount_options(left: Column, right: Column) -> list[Found]:
    """Equal amounts of two columns, with one sign or opposite ones: whichever joins more rows."""
    links = [amount_link(left, right, negated=negated) for negated in (False, True)]
    found = [Found(link, count((link.left_codes, link.right_codes))) for link in links if link is not None]
    return (
        [min(found, key=lambda f: f.order)]
        if found and min(found, key=lambda f: f.order).counts.values
        else []
    )


def refine(key: Key, further: Sequence[Found]) -> Key:
    """Add equalities, each time the one that leaves the fewest pairs, while they keep the matched rows.

    Amounts come last: a key that needs none tells more.
    """
    for group in ([f for f in further if f.link.kind != "amount"], further):
        refined = _refine(key, group)
        if refined.counts.excess <= CLEAR or group is further:
            return refined
    return key


def _refine(key: Key, further: Sequence[Found]) -> Key:
    while key.counts.excess > CLEAR and len(key.links) < _MOST_LINKS:
        best: Key | None = None
        for option in further:
            if _shares_column(key.links, option.link):
                continue
            tried = _extended(key, option.link)
            if tried.counts.left < _KEEP * key.counts.left or tried.counts.right < _KEEP * key.counts.right:
                continue
            if best is None or _order(tried) < _order(best):
                best = tried
        if best is None or best.counts.excess > _WORTH * key.counts.excess:
            return key
        key = best
    return key


def _order(key: Key) -> tuple[object, ...]:
    last = key.links[-1]
    return (round(key.counts.excess, 3), -(key.counts.left + key.counts.right), last.rank, last.names)


def _extended(key: Key, link: Link) -> Key:
    (left, right), width = (
        key.codes,
        int(max(link.left_codes.max(initial=0), link.right_codes.max(initial=0))) + 1,
    )
    codes = shared_codes(
        left.astype(np.int64) * width + link.left_codes,
        (left >= 0) & (link.left_codes >= 0),
        right.astype(np.int64) * width + link.right_codes,
        (right >= 0) & (link.right_codes >= 0),
    )
    return Key((*key.links, link), codes, count(codes))


def _shares_column(links: Sequence[Link], link: Link) -> bool:
    return any(link.left.name == other.left.name or link.right.name == other.right.name for other in links)
