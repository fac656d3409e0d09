"""Builds a rule without a key: equal amounts, few days apart, texts that are alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from kalla_chat.inference.columns import Column, Family
from kalla_chat.inference.discover import Found
from kalla_chat.inference.evidence import chance_of_link, windows
from kalla_chat.inference.hypothesis import Hypothesis, Likeness, excess
from kalla_chat.inference.keyed import Workbench
from kalla_chat.inference.links import MAX_PAIRS, Pairs, join
from kalla_chat.inference.refine import CLEAR, Key, key_of
from kalla_chat.inference.similar import LONGEST, distances

_FEW: Final = 5
_MOST_EDITS: Final = 4
_ALIKE: Final = 0.6
"""Share of the pairs whose texts must be alike, for that to be a rule."""
_BY_CHANCE: Final = 0.05
_SURE: Final = 0.97
_AGREE: Final = 0.85
_LIKENESS_PAIRS: Final = 10_000


def build_near(bench: Workbench, seed: Found) -> Hypothesis | None:
    """Make the complete rule that begins with equal amounts; None where too few are equal."""
    key = key_of((seed.link,))
    if key.counts.pairs > MAX_PAIRS:
        key = _narrowed(bench, key)
    if key.counts.pairs > MAX_PAIRS or key.counts.values < _FEW:
        return None
    pairs = join(key.codes)
    made = Hypothesis(key.links, key.codes, pairs, len(pairs), precision=_by_values(bench, key))
    made = _in_window(bench, made)
    made = _agreeing(bench, made)
    if made.precision < _SURE or excess(made.pairs) > CLEAR:
        made = _alike(bench, made)
    return made


def _by_values(bench: Workbench, key: Key) -> float:
    """Estimated share of pairs that are no accident, from how often values are equal by chance."""
    chance = np.prod([chance_of_link(link) for link in key.links])
    # Where most rows have their partner, what is equal by chance is what comes on top of that.
    expected = float(chance) * bench.sides.left.rows * bench.sides.right.rows
    own = key.counts.pairs - min(key.counts.left, key.counts.right)
    return max(0.0, 1.0 - min(expected, max(own, 0.3 * expected)) / max(key.counts.pairs, 1))


def _narrowed(bench: Workbench, key: Key) -> Key:
    for option in bench.options:
        if option.link.kind == "text" and key.counts.pairs > MAX_PAIRS:
            tried = key_of((*key.links, option.link))
            if (
                tried.counts.left >= _AGREE * key.counts.left
                and tried.counts.right >= _AGREE * key.counts.right
            ):
                key = tried
    return key


def _in_window(bench: Workbench, made: Hypothesis) -> Hypothesis:
    for window in windows(bench.sides, made.pairs, bench.hints.window_days)[:1]:
        if window.support < _FEW or window.support < 0.3 * max(made.matched):
            return made
        tried = replace(made, window=window, precision=max(window.precision, 0.0))
        return replace(tried, pairs=made.pairs.where(tried.matches(made.pairs)))
    return made


def _agreeing(bench: Workbench, made: Hypothesis) -> Hypothesis:
    """Add equalities that nearly all of these pairs fulfil and random ones do not, such as a currency."""
    for option in bench.options:
        link = option.link
        taken = [name for other in made.links for name in other.names]
        if link.kind != "text" or link.left.name in taken or link.right.name in taken or not len(made.pairs):
            continue
        one, two = link.left_codes[made.pairs.left], link.right_codes[made.pairs.right]
        same = (one == two) & (one >= 0)
        share, chance = float(same.mean()), chance_of_link(link)
        accidents = 1.0 - made.precision
        if share < _SURE * made.precision or share - chance < 0.2 or chance > 0.7:  # noqa: PLR2004  # it would tell little
            continue
        links = (*made.links, link)
        left = accidents * chance / max(share, 1e-9)
        made = replace(
            made,
            links=links,
            codes=key_of(links).codes,
            pairs=made.pairs.where(same),
            precision=max(made.precision, 1.0 - left),
        )
    return made


def _alike(bench: Workbench, made: Hypothesis) -> Hypothesis:
    """Add that two texts are alike, where that tells true pairs from accidents."""
    best: tuple[float, Likeness, float] | None = None
    if not len(made.pairs):
        return made
    for one, two in _texts(bench, made):
        some = _some(one, two, made.pairs)
        apart, by_chance = distances(one, two, some), distances(one, two, _shuffled(some))
        shares = [float((apart <= k).mean()) for k in range(_MOST_EDITS + 1)]
        chances = [float((by_chance <= k).mean()) for k in range(_MOST_EDITS + 1)]
        good = [k for k in range(1, _MOST_EDITS + 1) if chances[k] <= _BY_CHANCE]
        if not good or shares[good[-1]] < _ALIKE * made.precision:
            continue
        edits = next(k for k in good if shares[k] >= 0.99 * shares[good[-1]])
        accidents = (1.0 - made.precision) * chances[edits] / max(shares[edits], 1e-9)
        value = shares[edits] - chances[edits]
        if best is None or value > best[0]:
            best = (value, Likeness(one, two, edits), 1.0 - accidents)
    if best is None:
        return made
    tried = replace(made, likeness=best[1], precision=best[2])
    return replace(tried, pairs=made.pairs.where(tried.matches(made.pairs)))


def _texts(bench: Workbench, made: Hypothesis) -> Iterator[tuple[Column, Column]]:
    taken = {name for link in made.links for name in link.names}
    for one in bench.sides.left.columns:
        for two in bench.sides.right.columns:
            if one.name not in taken and two.name not in taken and _wordy(one) and _wordy(two):
                yield one, two


def _wordy(column: Column) -> bool:
    """Whether texts are long and varied enough for a likeness to say something."""
    if column.family is not Family.TEXT or len(column.texts) < 20:  # noqa: PLR2004  # few values agree by chance
        return False
    sample = [len(str(t)) for t in column.texts.to_pylist()[:: max(1, len(column.texts) // 1_000)]]
    return 5 <= sum(sample) / len(sample) <= LONGEST  # noqa: PLR2004  # characters


def _some(left: Column, right: Column, pairs: Pairs) -> Pairs:
    """Some pairs in the order of their values, so that the order of the rows decides nothing."""
    order = np.lexsort((right.codes[pairs.right], left.codes[pairs.left]))
    order = order[:: max(1, len(order) // _LIKENESS_PAIRS)]
    return Pairs(pairs.left[order], pairs.right[order])


def _shuffled(pairs: Pairs) -> Pairs:
    """The same rows paired otherwise."""
    return Pairs(pairs.left, np.roll(pairs.right, len(pairs) // 2))
