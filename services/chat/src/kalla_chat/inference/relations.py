"""Relations between two amounts, and which of them are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from kalla_chat.inference.columns import Ints, Mask

FACTOR_PLACES: Final = 4
ONE: Final = 10**FACTOR_PLACES
_UNITS: Final = (ONE * 100, ONE * 1000, ONE // 100, ONE // 1000)
_FEE: Final = (0.5, 1.5)
"""Factors that may be a fee or a surcharge; an exchange rate is none, it differs from day to day."""
_SECOND: Final = 0.05
"""Share of pairs from which on a second fixed difference is a rule and no accident."""
_FIT_PAIRS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Relation:
    """`right = factor * left + fixed`, for one of the `fixed` and within the tolerance.

    Attributes:
        sign: 1, -1 for opposite signs, 0 where only the sizes agree.
        factor: in ten-thousandths.
        fixed: in units; usually just 0.
        tolerance: in units; with `relative` in ten-thousandths of the left amount.
    """

    sign: int = 1
    factor: int = ONE
    fixed: tuple[int, ...] = (0,)
    tolerance: int = 0
    relative: bool = False

    @property
    def plain(self) -> bool:
        """Whether the amounts are equal but for sign and tolerance."""
        return self.factor == ONE and self.fixed == (0,)


def residuals(left: Ints, right: Ints, relation: Relation) -> Ints:
    """Least distance of each pair from the relation, in ten-thousandths of a unit."""
    if relation.sign == 0:
        left, right = np.abs(left), np.abs(right)
    elif relation.sign < 0:
        right = -right
    base = right * ONE - left * relation.factor
    distances = [np.abs(base - fixed * ONE) for fixed in relation.fixed]
    return np.minimum.reduce(distances)


def holds(left: Ints, right: Ints, relation: Relation) -> Mask:
    """Whether the relation holds for each pair, exactly."""
    return residuals(left, right, relation) <= _room(left, relation)


def _room(left: Ints, relation: Relation) -> Ints:
    """How far each pair may lie from the relation, in ten-thousandths of a unit."""
    return relation.tolerance * (np.abs(left) if relation.relative else np.full(len(left), ONE))


def decimal(units: int, scale: int) -> Decimal:
    """Units as an amount."""
    return Decimal(units).scaleb(-scale)


def relations(left: Ints, right: Ints) -> list[Relation]:
    """Relations worth a look, simplest first."""
    signs = signs_of(left, right)
    found = [Relation(sign) for sign in signs]
    for sign in signs[:1]:
        one, two = (np.abs(left), np.abs(right)) if sign == 0 else (left, sign * right)
        places = _spread(one, two)
        one, two = one[places], two[places]
        if int(np.abs(one).max(initial=0)) < 1 << 37:  # a thousand times as much still fits 64 bits
            found += [Relation(sign, unit) for unit in _UNITS]
        found += [Relation(sign, factor) for factor in _ratios(one, two)]
        found += _fixed(one, two, sign)
        for factor in _slopes(one, two):
            rest = two * ONE - one * factor
            offset = mode((rest + ONE // 2) // ONE)
            if offset:
                found.append(Relation(sign, factor, (offset,)))
    return list(dict.fromkeys(found))


def signs_of(left: Ints, right: Ints) -> list[int]:
    """The signs that fit best, first the likeliest: by how many of the pairs have them."""
    one, two = np.sign(left), np.sign(right)
    same, other = int((one == two).sum()), int((one == -two).sum())
    signs = [1, -1] if same >= other else [-1, 1]
    return [*signs, 0] if min(same, other) > 0 else signs[:1]


def _spread(left: Ints, right: Ints) -> Ints:
    """Places of pairs spread over the sizes, the same whatever their order."""
    order = np.lexsort((right, left))
    step = max(1, len(order) // _FIT_PAIRS)
    return order[::step]


def _ratios(left: Ints, right: Ints) -> list[int]:
    """Factors that many pairs share; large amounts show them best."""
    large = np.abs(left) >= max(int(np.median(np.abs(left))), 1)
    if not large.any():
        return []
    return _common_factors(right[large] / left[large])


def _slopes(left: Ints, right: Ints) -> list[int]:
    half = len(left) // 2
    if half == 0:
        return []
    run, rise = left[half : 2 * half] - left[:half], right[half : 2 * half] - right[:half]
    good = run > 0
    return _common_factors(rise[good] / run[good])


def _common_factors(ratios: npt.NDArray[np.float64]) -> list[int]:
    found: list[int] = []
    for places in (2, 3, 4):
        rounded = np.round(ratios, places)
        rounded = rounded[(rounded > _FEE[0]) & (rounded < _FEE[1])]
        if not len(rounded):
            continue
        values, counts = np.unique(rounded, return_counts=True)
        found.append(round(float(values[np.argmax(counts)]) * ONE))
    return [f for f in dict.fromkeys(found) if f != ONE]


def _fixed(left: Ints, right: Ints, sign: int) -> list[Relation]:
    """A fixed fee, for all pairs or beside those without one."""
    values, counts = np.unique(right - left, return_counts=True)
    order = np.lexsort((values, np.abs(values), -counts))[:3]
    least = max(3, _SECOND * len(left))
    often = [int(values[place]) for place in order if counts[place] >= least]
    found = [Relation(sign, ONE, (difference,)) for difference in often if difference]
    if len(often) > 1:
        found.append(Relation(sign, ONE, tuple(sorted(often[:2], key=lambda d: (abs(d), d)))))
    return found


def mode(values: Ints) -> int:
    """The value that comes most often, the least of several."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def chance_of(left: Ints, right: Ints, relation: Relation) -> float:
    """Share of all pairs (left, right) for which the relation holds."""
    if not len(left) or not len(right):
        return 0.0
    if relation.sign == 0:
        left, right = np.abs(left), np.abs(right)
    elif relation.sign < 0:
        right = -right
    ordered = np.sort(right)
    total = 0
    for fixed in relation.fixed:
        point = left * relation.factor + fixed * ONE
        room = _room(left, relation)
        low, high = -(-(point - room) // ONE), (point + room) // ONE
        total += int((np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left")).sum())
    return min(1.0, total / (len(left) * len(right)))
