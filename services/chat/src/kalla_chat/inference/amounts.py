"""How the amounts of two rows that belong together are related: sign, unit, fee, tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np

from kalla_chat.inference.columns import Column, Ints
from kalla_chat.inference.links import Pairs, align
from kalla_chat.inference.relations import (
    ONE,
    Relation,
    chance_of,
    holds,
    mode,
    relations,
    residuals,
    signs_of,
)
from kalla_chat.inference.tolerance import Tolerance, find_tolerance, largest

_USUAL: Final = 0.5
"""Share of pairs that a relation must hold for, to be one."""
_LIMITS: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100)
_DENSER: Final = 3
"""A wider tolerance must bring so many times what chance brings."""
_SMALL_UNITS: Final = 5
_FEW: Final = 5
_PENALTY: Final = 0.03
"""What a relation with one more figure in it must explain in addition."""


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
    near = np.maximum(largest(int(np.median(np.abs(left)))) * ONE, np.abs(left) * largest(ONE))
    for relation in [Relation(sign) for sign in signs_of(left, right)] if plain else relations(left, right):
        if given is None and float((residuals(left, right, relation) <= near).mean()) < _USUAL - _PENALTY:
            continue
        done = _with_tolerance(left, right, relation, scale, given, rejected=rejected)
        if relation.plain and given is None and rejected is None:
            done = _better(left, right, done, _with_share(left, right, relation))
        cost = (relation.sign != 1) * 0.01 + (relation.factor != ONE) * _PENALTY
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
        for sign in signs_of(ours, theirs)[:1]
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
        away = -(-residuals(left, right, relation) // ONE)
        least = None
        if rejected is not None:
            least = int((-(-residuals(*rejected, relation) // ONE)).min())
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
    limit = find_tolerance(shares, ONE).limit
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
    often = mode(sizes)
    times = int((sizes == often).sum())
    return often if times >= max(_FEW, _USUAL * int((away > 0).sum())) else None


def _chance_elsewhere(columns: tuple[Ints, Ints], relation: Relation, support: int, tested: int) -> float:
    """Share of the other pairs for which the relation holds: those that do not share the key."""
    every = len(columns[0]) * len(columns[1])
    other = max(every - tested, 1)
    return max(0.0, (chance_of(*columns, relation) * every - support) / other)
