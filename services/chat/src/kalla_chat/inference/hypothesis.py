"""A complete rule in the making: equalities, amounts, days, likeness, and the pairs that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kalla_chat.inference.amounts import AmountFit
from kalla_chat.inference.columns import Codes, Column, Ints, Mask
from kalla_chat.inference.links import Link, Pairs, align
from kalla_chat.inference.relations import holds
from kalla_chat.inference.similar import distances
from kalla_chat.inference.sums import SumFit
from kalla_chat.inference.windows import Window, differences


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """Two texts of which at most `edits` characters differ."""

    left: Column
    right: Column
    edits: int


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A rule and what it matches.

    Attributes:
        links: equalities that must all hold.
        codes: of the links together.
        pairs: row pairs that the whole rule matches.
        keyed: how many pairs the links alone make; -1 where these were too many to hold.
        amounts: a relation of amounts, over single rows; with `sums`, over groups instead.
        precision: estimated share of the pairs that are no accident.
        reasons: what speaks for it, in words.
        objection: why it cannot be proposed; empty if it can.
    """

    links: tuple[Link, ...]
    codes: tuple[Codes, Codes]
    pairs: Pairs
    keyed: int
    amounts: AmountFit | None = None
    sums: SumFit | None = None
    window: Window | None = None
    likeness: Likeness | None = None
    precision: float = 1.0
    reasons: tuple[str, ...] = ()
    objection: str = ""
    score: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def matched(self) -> tuple[int, int]:
        """Distinct rows of each side among the pairs."""
        return distinct(self.pairs.left), distinct(self.pairs.right)

    @property
    def compared(self) -> list[tuple[str, str]]:
        """The column pairs that it compares, in the order of its conditions."""
        others = [o for o in (self.amounts, self.window, self.likeness) if o is not None]
        return [link.names for link in self.links] + [(o.left.name, o.right.name) for o in others]

    def conditions(self, pairs: Pairs) -> dict[str, Mask]:
        """For each part of the rule, which of these pairs fulfil it."""
        found: dict[str, Mask] = {}
        for place, link in enumerate(self.links):
            one, two = link.left_codes[pairs.left], link.right_codes[pairs.right]
            found[f"link{place}"] = (one == two) & (one >= 0)
        if self.sums is not None:
            code = self.codes[0][pairs.left]
            same = (code == self.codes[1][pairs.right]) & (code >= 0)
            found["sums"] = same & np.append(self.sums.accepted, False)[code]
        elif self.amounts is not None:
            found["amounts"] = amounts_hold(self.amounts, pairs)
        if self.window is not None:
            days, both = differences(self.window.left, self.window.right, pairs)
            found["window"] = both & (days >= self.window.earliest) & (days <= self.window.latest)
        if self.likeness is not None:
            apart = distances(self.likeness.left, self.likeness.right, pairs)
            found["likeness"] = apart <= self.likeness.edits
        return found

    def matches(self, pairs: Pairs) -> Mask:
        """Which of these pairs the whole rule matches."""
        return np.logical_and.reduce([np.ones(len(pairs), np.bool_), *self.conditions(pairs).values()])


def amounts_hold(fit: AmountFit, pairs: Pairs) -> Mask:
    """For which pairs a relation of amounts holds; not where one of them is missing."""
    aligned = align(fit.left, fit.right)
    if aligned is None or fit.left.amounts is None or fit.right.amounts is None:
        return np.zeros(len(pairs), np.bool_)
    both = fit.left.amounts.valid[pairs.left] & fit.right.amounts.valid[pairs.right]
    return both & holds(aligned[0][pairs.left], aligned[1][pairs.right], fit.relation)


def excess(pairs: Pairs) -> float:
    """Pairs for each row of the side that matches more rows: 1.0 unless several rows meet several."""
    if not len(pairs):
        return 1.0
    return len(pairs) / max(distinct(pairs.left), distinct(pairs.right))


def distinct(rows: Ints) -> int:
    """How many different rows there are."""
    return int(np.count_nonzero(np.bincount(rows))) if len(rows) else 0
