"""Amounts that agree only as sums: one row of a side is split over several of the other."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from kalla_chat.inference.amounts import AmountFit, fit
from kalla_chat.inference.columns import Codes, Column, Ints, Mask
from kalla_chat.inference.links import align
from kalla_chat.inference.relations import chance_of, holds

_FEW_GROUPS: Final = 3
_FEW_SHARE: Final = 0.02
_MOST_UNITS: Final = 1 << 45
"""Units of one sum, so that it stays in 64 bits when it is multiplied by ten thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class SumFit:
    """A relation of the sums per key.

    Attributes:
        fit: over groups: `support` of `tested` groups.
        split: groups with several rows whose sums agree although their rows do not.
        left_lists, right_lists: whether a side has several rows in a group.
        accepted: by code of the key, whether the group's sums agree.
    """

    fit: AmountFit
    split: int
    left_lists: bool
    right_lists: bool
    accepted: Mask


def fit_sums(left: Column, right: Column, codes: tuple[Codes, Codes], given: Decimal | None) -> SumFit | None:
    """Find a relation of the sums, if most groups of several rows agree in their sums and not in their rows.

    Args:
        left: amounts of the left side.
        right: amounts of the right side.
        codes: the key of each row, -1 for none.
        given: the tolerance that the person asked for.
    """
    aligned = align(left, right)
    if aligned is None or left.amounts is None or right.amounts is None:
        return None
    one, two, scale = aligned
    if max(float(np.abs(side).astype(np.float64).sum()) for side in (one, two)) > _MOST_UNITS:
        return None
    size = int(max(codes[0].max(initial=-1), codes[1].max(initial=-1))) + 1
    mine = _Totals.of(codes[0], one, left.amounts.valid, size)
    theirs = _Totals.of(codes[1], two, right.amounts.valid, size)
    both = (mine.rows > 0) & (theirs.rows > 0)
    several = both & ((mine.rows > 1) | (theirs.rows > 1))
    if int(several.sum()) < max(_FEW_GROUPS, _FEW_SHARE * int(both.sum())):
        return None
    relation = fit(mine.total[both], theirs.total[both], scale, given, plain=True)
    if relation is None:
        return None
    agree = both & mine.whole & theirs.whole & holds(mine.total, theirs.total, relation)
    apart = ~(holds(mine.least, theirs.least, relation) & holds(mine.most, theirs.most, relation))
    split = int((agree & several & apart).sum())
    if split < max(_FEW_GROUPS, 0.5 * int(several.sum())):
        return None
    chance = chance_of(mine.total[both], theirs.total[both], relation)
    found = AmountFit(left, right, relation, scale, int(agree.sum()), int(both.sum()), chance)
    lists = (bool((mine.rows[several] > 1).any()), bool((theirs.rows[several] > 1).any()))
    return SumFit(found, split, *lists, agree)


@dataclass(frozen=True, slots=True, eq=False)
class _Totals:
    """By key: rows, their sum, whether none of them is NULL, the least and the largest amount."""

    rows: Ints
    total: Ints
    whole: Mask
    least: Ints
    most: Ints

    @classmethod
    def of(cls, codes: Codes, units: Ints, valid: Mask, size: int) -> _Totals:
        keyed = codes >= 0
        rows = np.bincount(codes[keyed], minlength=size)
        total = np.zeros(size, np.int64)
        least, most = np.full(size, 1 << 40), np.full(size, -(1 << 40))
        used = keyed & valid
        np.add.at(total, codes[used], units[used])
        np.minimum.at(least, codes[used], units[used])
        np.maximum.at(most, codes[used], units[used])
        # A sum leaves NULLs out, as SQL does; a group of nothing else has no sum.
        some = np.bincount(codes[used], minlength=size) > 0
        return cls(rows, total, some, least, most)
