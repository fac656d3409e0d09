"""Builds a rule on a key: what else must hold for rows that share it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kalla_chat.inference.amounts import AmountFit, fit_among_several
from kalla_chat.inference.columns import Column, Family
from kalla_chat.inference.discover import Found
from kalla_chat.inference.evidence import Sides, amount_fits, may_be_one_amount, windows
from kalla_chat.inference.hypothesis import Hypothesis, amounts_hold, excess
from kalla_chat.inference.links import MAX_PAIRS, Link, Pairs, join
from kalla_chat.inference.refine import CLEAR, Key, key_of, refine
from kalla_chat.inference.request import Hints
from kalla_chat.inference.sums import SumFit, fit_sums
from kalla_chat.inference.windows import Window, clusters

LIFT: Final = 0.3
"""How far above chance amounts must agree to be a condition."""
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST_CURRENCIES: Final = 60
_AGREE: Final = 0.8
_KEEP_IN_WINDOW: Final = 0.85
_CLUSTERS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Workbench:
    """What all rules are built from."""

    sides: Sides
    options: tuple[Found, ...]
    telling: tuple[Link, ...]
    confirmed: Pairs
    rejected: Pairs
    hints: Hints


def build(bench: Workbench, seeds: Sequence[Link]) -> Hypothesis:
    """Make the complete rule that begins with these equalities."""
    key = key_of(seeds)
    sums = _sums(bench, key)
    if sums is None:
        key = refine(key, bench.options)
    if key.counts.pairs > MAX_PAIRS:
        return _too_many(key)
    pairs = join(key.codes)
    key, pairs = _in_one_currency(bench, key, pairs)
    # Once more: only one currency can be summed.
    sums = _sums(bench, key)
    if sums is not None:
        made = Hypothesis(key.links, key.codes, pairs, len(pairs), sums=sums, amounts=sums.fit)
        return replace(made, pairs=pairs.where(made.matches(pairs)))
    amounts, precision = _amounts(bench, key, pairs), 1.0
    if amounts is None and key.counts.excess > CLEAR:
        amounts = _among_several(bench, key, pairs)
        precision = 1.0 if amounts is None else 1.0 - len(pairs) * amounts.chance / amounts.support
    kept = pairs.where(amounts_hold(amounts, pairs)) if amounts is not None else pairs
    made = Hypothesis(key.links, key.codes, kept, len(pairs), amounts=amounts, precision=precision)
    return _in_window(bench, made)


def _too_many(key: Key) -> Hypothesis:
    none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
    text = f"{key.counts.pairs:,} pairs of rows share these values, too many for a key"
    return Hypothesis(key.links, key.codes, none, -1, objection=text)


def _sums(bench: Workbench, key: Key) -> SumFit | None:
    taken = ({link.left.name for link in key.links}, {link.right.name for link in key.links})
    found = [
        fit
        for one in bench.sides.left.columns
        if one.amounts is not None and one.name not in taken[0]
        for two in bench.sides.right.columns
        if two.amounts is not None and two.name not in taken[1] and may_be_one_amount(one, two)
        if (fit := fit_sums(one, two, key.codes, bench.hints.tolerance)) is not None
    ]
    found = [f for f in found if f.fit.lift >= LIFT]
    return min(found, key=lambda f: (-f.fit.support, f.fit.left.name, f.fit.right.name), default=None)


def _amounts(bench: Workbench, key: Key, pairs: Pairs) -> AmountFit | None:
    rejected = bench.rejected
    if len(rejected):
        same = key.codes[0][rejected.left] == key.codes[1][rejected.right]
        rejected = rejected.where(same & (key.codes[0][rejected.left] >= 0))
    fits = amount_fits(bench.sides, pairs, key.links, bench.hints.tolerance, rejected)
    wanted = [f for f in fits if (f.left.name, f.right.name) in bench.hints.columns] or fits
    return wanted[0] if wanted and wanted[0].lift >= LIFT else None


def _among_several(bench: Workbench, key: Key, pairs: Pairs) -> AmountFit | None:
    """Amounts that agree for one partner of several: more often than by chance, if for few of the pairs."""
    found = [
        fit
        for one in bench.sides.left.columns
        for two in bench.sides.right.columns
        if one.amounts is not None and two.amounts is not None and may_be_one_amount(one, two)
        if all(one.name != link.left.name and two.name != link.right.name for link in key.links)
        if (fit := fit_among_several(one, two, pairs, bench.hints.tolerance)) is not None
    ]
    best = max(found, key=lambda f: (f.support - f.chance * f.tested, f.left.name), default=None)
    rows = max(key.counts.left, key.counts.right)
    return best if best is not None and best.support - best.chance * best.tested >= LIFT * rows else None


def _in_one_currency(bench: Workbench, key: Key, pairs: Pairs) -> tuple[Key, Pairs]:
    """Amounts in two currencies are never the same, so where both sides tell it, it must agree."""
    for option in bench.options:
        link = option.link
        if link.kind != "text" or link.rank > 2 or not (_currency(link.left) and _currency(link.right)):  # noqa: PLR2004  # case and spaces
            continue
        if any(
            link.left.name == other.left.name or link.right.name == other.right.name for other in key.links
        ):
            continue
        one, two = link.left_codes[pairs.left], link.right_codes[pairs.right]
        same = (one == two) & (one >= 0)
        if len(same) and same.mean() >= _AGREE:
            return key_of((*key.links, link)), pairs.where(same)
    return key, pairs


def _currency(column: Column) -> bool:
    if column.family is not Family.TEXT or not 0 < len(column.texts) <= _MOST_CURRENCIES:
        return False
    return all(_CURRENCY.fullmatch(str(t).strip(" ").upper()) for t in column.texts.to_pylist())


def _in_window(bench: Workbench, made: Hypothesis) -> Hypothesis:
    """Add a window of days where rows meet several others without one, or where it was asked for."""
    given = bench.hints.window_days
    if not len(made.pairs) or (given is None and excess(made.pairs) <= CLEAR):
        return made
    best: Hypothesis | None = None
    found = [*windows(bench.sides, made.pairs, given), *_between_gaps(bench, made, given)]
    asked = [w for w in found if (w.left.name, w.right.name) in bench.hints.columns]
    for window in asked or found:
        tried = replace(made, window=window, precision=min(made.precision, window.precision))
        tried = replace(tried, pairs=made.pairs.where(tried.matches(made.pairs)))
        if given is not None:
            return tried
        fewer = excess(tried.pairs) < 0.9 * excess(made.pairs) or excess(tried.pairs) <= CLEAR
        kept = max(tried.matched) >= _KEEP_IN_WINDOW * max(made.matched)
        if fewer and kept and (best is None or _fit(tried) > _fit(best)):
            best = tried
    return best or made


def _between_gaps(bench: Workbench, made: Hypothesis, given: tuple[int, int] | None) -> list[Window]:
    if given is not None:
        return []
    days = [[c for c in s.columns if c.days is not None] for s in (bench.sides.left, bench.sides.right)]
    found = [w for one in days[0] for two in days[1] for w in clusters(one, two, made.pairs)]
    return sorted(found, key=lambda w: -w.support)[:_CLUSTERS]


def _fit(made: Hypothesis) -> tuple[float, int]:
    """Fewest several partners first, then most rows."""
    return (-round(max(excess(made.pairs), CLEAR), 2), sum(made.matched))
