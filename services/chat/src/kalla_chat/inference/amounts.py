"""How the amounts of two rows that belong together are related: sign, unit, fee, tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from kalla_chat.inference.columns import Column, Ints
from kalla_chat.inference.links import Pairs, align
from kalla_chat.inference.tolerance import Tolerance, find_tolerance, largest

Mask = npt.NDArray[np.bool_]

FACTOR_PLACES: Final = 4
_ONE: Final = 10**FACTOR_PLACES
_UNITS: Final = (_ONE * 100, _ONE * 1000, _ONE // 100, _ONE // 1000)
_FEE: Final = (0.5, 1.5)
"""Factors that may be a fee or a surcharge; an exchange rate is none, it differs from day to day."""
_USUAL: Final = 0.5
"""Share of pairs that a relation must hold for, to be one."""
_SECOND: Final = 0.05
"""Share of pairs from which on a second fixed difference is a rule and no accident."""
_LIMITS: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100)
_DENSER: Final = 3
"""A wider tolerance must bring so many times what chance brings."""
_FIT_PAIRS: Final = 20_000
_SMALL_UNITS: Final = 5
_FEW: Final = 5
_PENALTY: Final = 0.03
"""What a relation with one more figure in it must explain in addition."""


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
    factor: int = _ONE
    fixed: tuple[int, ...] = (0,)
    tolerance: int = 0
    relative: bool = False

    @property
    def plain(self) -> bool:
        """Whether the amounts are equal but for sign and tolerance."""
        return self.factor == _ONE and self.fixed == (0,)


@dataclass(frozen=True, slots=True, eq=False)
class AmountFit:
    """A relation between two columns, and how many of the pairs it explains.

    `chance`: share of random pairs that it would explain.
    """

    left: Column
    right: Column
    relation: Relation
    scale: int
    support: int
    tested: int
    chance: float

    @property
    def share(self) -> float:
        """Share of the pairs."""
        return self.support / max(self.tested, 1)

    @property
    def lift(self) -> float:
        """1.0 where all pairs agree, 0.0 where no more do than by chance."""
        return (self.share - self.chance) / max(1.0 - self.chance, 1e-9)


def residuals(left: Ints, right: Ints, relation: Relation) -> Ints:
    """Least distance of each pair from the relation, in ten-thousandths of a unit."""
    if relation.sign == 0:
        left, right = np.abs(left), np.abs(right)
    elif relation.sign < 0:
        right = -right
    base = right * _ONE - left * relation.factor
    distances = [np.abs(base - fixed * _ONE) for fixed in relation.fixed]
    return np.minimum.reduce(distances)


def holds(left: Ints, right: Ints, relation: Relation) -> Mask:
    """Whether the relation holds for each pair, exactly."""
    return residuals(left, right, relation) <= _room(left, relation)


def _room(left: Ints, relation: Relation) -> Ints:
    """How far each pair may lie from the relation, in ten-thousandths of a unit."""
    return relation.tolerance * (np.abs(left) if relation.relative else np.full(len(left), _ONE))


def decimal(units: int, scale: int) -> Decimal:
    """Units as an amount."""
    return Decimal(units).scaleb(-scale)


def fit_columns(
    left: Column, right: Column, pairs: Pairs, given: Decimal | None, rejected: Pairs | None = None
) -> AmountFit | None:
    """Find the relation of two columns over pairs of rows; None if there is none."""
    aligned = align(left, right)
    if aligned is None or left.amounts is None or right.amounts is None or not len(pairs):
        return None
    one, two, scale = aligned
    if max(int(np.abs(one).max(initial=0)), int(np.abs(two).max(initial=0))) > 1 << 45:
        return None  # times ten thousand they would leave 64 bits
    both = left.amounts.valid[pairs.left] & right.amounts.valid[pairs.right]
    ours, theirs = one[pairs.left[both]], two[pairs.right[both]]
    bad = (one[rejected.left], two[rejected.right]) if rejected is not None and len(rejected) else None
    relation = fit(ours, theirs, scale, given, rejected=bad)
    if relation is None:
        return None
    support = int(holds(ours, theirs, relation).sum())
    chance = _chance_elsewhere(
        (one[left.amounts.valid], two[right.amounts.valid]), relation, support, len(pairs)
    )
    return AmountFit(left, right, relation, scale, support, len(pairs), chance)


def fit(
    left: Ints,
    right: Ints,
    scale: int,
    given: Decimal | None,
    *,
    rejected: tuple[Ints, Ints] | None = None,
    plain: bool = False,
) -> Relation | None:
    """Find the relation that explains most of the pairs; None if it is fewer than half.

    `plain` looks at signs and tolerance only.
    """
    if not len(left):
        return None
    best: tuple[float, Relation] | None = None
    # Half of the pairs must come near it, by the usual amount or by their own.
    near = np.maximum(largest(int(np.median(np.abs(left)))) * _ONE, np.abs(left) * largest(_ONE))
    for relation in [Relation(sign) for sign in _signs(left, right)] if plain else _relations(left, right):
        if given is None and float((residuals(left, right, relation) <= near).mean()) < _USUAL - _PENALTY:
            continue
        done = _with_tolerance(left, right, relation, scale, given, rejected=rejected)
        if relation.plain and given is None and rejected is None:
            done = _better(left, right, done, _with_share(left, right, relation))
        cost = (relation.sign != 1) * 0.01 + (relation.factor != _ONE) * _PENALTY
        cost += len([f for f in relation.fixed if f]) * _PENALTY
        # A relation that is right to the unit is better than one that needs room.
        cost += (done.tolerance > _SMALL_UNITS) * 3 * _PENALTY
        score = float(holds(left, right, done).mean()) - cost
        if best is None or score > best[0] + 1e-12:
            best = (score, done)
    if best is None or best[0] < _USUAL - _PENALTY:
        return None
    return best[1]


def fit_among_several(left: Column, right: Column, pairs: Pairs, given: Decimal | None) -> AmountFit | None:
    """Find sign and tolerance where each row is paired with several, of which one at most is its partner.

    Most pairs are accidents then; the tolerance is the widest up to which pairs lie denser than chance.
    """
    aligned = align(left, right)
    if aligned is None or left.amounts is None or right.amounts is None or not len(pairs):
        return None
    one, two, scale = aligned
    if max(int(np.abs(one).max(initial=0)), int(np.abs(two).max(initial=0))) > 1 << 45:
        return None
    both = left.amounts.valid[pairs.left] & right.amounts.valid[pairs.right]
    ours, theirs = one[pairs.left[both]], two[pairs.right[both]]
    usual = int(np.median(np.abs(ours))) if len(ours) else 0
    columns = (one[left.amounts.valid], two[right.amounts.valid])
    limits = [t for t in _LIMITS if t <= largest(usual)]
    if given is not None:
        limits = [int(given.scaleb(scale).to_integral_value(rounding="ROUND_FLOOR"))]
    fits = [
        AmountFit(left, right, relation, scale, support, len(pairs), chance)
        for sign in _signs(ours, theirs)[:1]
        for limit in limits
        for relation in [Relation(sign, tolerance=limit)]
        for support in [int(holds(ours, theirs, relation).sum())]
        for chance in [_chance_elsewhere(columns, relation, support, len(pairs))]
    ]
    chosen = fits[0] if fits else None
    for narrow, wide in pairwise(fits):
        more = wide.support - narrow.support
        if more > _DENSER * (wide.chance - narrow.chance) * wide.tested + _DENSER:
            chosen = wide
    return chosen


def _with_tolerance(
    left: Ints,
    right: Ints,
    relation: Relation,
    scale: int,
    given: Decimal | None,
    *,
    rejected: tuple[Ints, Ints] | None,
) -> Relation:
    if given is not None:
        limit = int((given.scaleb(scale)).to_integral_value(rounding="ROUND_FLOOR"))
    else:
        away = -(-residuals(left, right, relation) // _ONE)
        least = None
        if rejected is not None:
            least = int((-(-residuals(*rejected, relation) // _ONE)).min())
        common = _fixed_difference(away)
        if common is not None:
            away, least = away[away != common], min(least or common, common)
        found: Tolerance = find_tolerance(away, int(np.median(np.abs(left))), least or None)
        limit = found.limit
    return Relation(relation.sign, relation.factor, relation.fixed, limit)


def _with_share(left: Ints, right: Ints, relation: Relation) -> Relation:
    """A tolerance as a share of the amount, as figures have that were measured twice."""
    nonzero = left != 0
    shares = -(-residuals(left[nonzero], right[nonzero], relation) // np.abs(left[nonzero]))
    limit = find_tolerance(shares, _ONE).limit
    return Relation(relation.sign, relation.factor, relation.fixed, limit, relative=True)


def _better(left: Ints, right: Ints, absolute: Relation, relative: Relation) -> Relation:
    """The one that holds for clearly more pairs; an absolute tolerance is the usual thing."""
    shares = [float(holds(left, right, r).mean()) for r in (absolute, relative)]
    return relative if shares[1] > shares[0] + _PENALTY else absolute


def _fixed_difference(away: Ints) -> int | None:
    """One difference that makes up most of them, if there is one: noise is spread, a fee is not."""
    sizes = away[away > _SMALL_UNITS]
    if not len(sizes):
        return None
    often = _mode(sizes)
    times = int((sizes == often).sum())
    return often if times >= max(_FEW, _USUAL * int((away > 0).sum())) else None


def _relations(left: Ints, right: Ints) -> list[Relation]:
    """Relations worth a look, simplest first."""
    signs = _signs(left, right)
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
            rest = two * _ONE - one * factor
            offset = _mode((rest + _ONE // 2) // _ONE)
            if offset:
                found.append(Relation(sign, factor, (offset,)))
    return list(dict.fromkeys(found))


def _signs(left: Ints, right: Ints) -> list[int]:
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
        found.append(round(float(values[np.argmax(counts)]) * _ONE))
    return [f for f in dict.fromkeys(found) if f != _ONE]


def _fixed(left: Ints, right: Ints, sign: int) -> list[Relation]:
    """A fixed fee, for all pairs or beside those without one."""
    values, counts = np.unique(right - left, return_counts=True)
    order = np.lexsort((values, np.abs(values), -counts))[:3]
    least = max(3, _SECOND * len(left))
    often = [int(values[place]) for place in order if counts[place] >= least]
    found = [Relation(sign, _ONE, (difference,)) for difference in often if difference]
    if len(often) > 1:
        found.append(Relation(sign, _ONE, tuple(sorted(often[:2], key=lambda d: (abs(d), d)))))
    return found


def _mode(values: Ints) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _chance_elsewhere(columns: tuple[Ints, Ints], relation: Relation, support: int, tested: int) -> float:
    """Share of the other pairs for which the relation holds: those that do not share the key."""
    every = len(columns[0]) * len(columns[1])
    other = max(every - tested, 1)
    return max(0.0, (chance_of(*columns, relation) * every - support) / other)


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
        point = left * relation.factor + fixed * _ONE
        room = _room(left, relation)
        low, high = -(-(point - room) // _ONE), (point + room) // _ONE
        total += int((np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left")).sum())
    return min(1.0, total / (len(left) * len(right)))
