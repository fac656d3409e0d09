"""How far two amounts that belong together may lie apart: where the differences have their gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kalla_chat.inference.columns import Ints

_DENSER: Final = 10
"""Differences up to the limit are so many times as many as those from there to its double."""
_SMALL_SHARE: Final = 50
"""A tolerance is at most a fiftieth of a usual amount; more is another amount, not the same one."""
_SMALL_UNITS: Final = 5
_FEW: Final = 5
_SOME: Final = 0.08
"""Share of all pairs that must differ for a tolerance of more than a few units."""
_GAP: Final = 2
_NICE: Final = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30, 40, 50, 60, 75, 100)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`limit` in units; `within` differences lie in it; `next` is the first beyond it, None for none."""

    limit: int
    within: int
    next: int | None


def find_tolerance(differences: Ints, usual: int, rejected: int | None = None) -> Tolerance:
    """Find the limit below which differences are noise.

    It is not the largest difference: an amount that is simply wrong lies above it.

    Args:
        differences: absolute, in units.
        usual: a usual amount, in units.
        rejected: the least difference of pairs that a person rejected.
    """
    sizes = np.sort(differences[differences > 0])
    limit = _split(sizes, largest(usual), round(_SOME * len(differences)))
    beyond = int(sizes[np.searchsorted(sizes, limit, "right")]) if len(sizes) and sizes[-1] > limit else None
    if rejected is not None and 0 < rejected <= limit:
        limit, beyond = int(sizes[sizes < rejected].max(initial=0)), rejected
    elif rejected is not None:
        beyond = min(beyond or rejected, rejected)
    limit = _nice(limit, beyond)
    return Tolerance(limit, int((differences <= limit).sum()), beyond)


def largest(usual: int) -> int:
    """The largest tolerance that amounts of this size may have, in units."""
    return max(_SMALL_UNITS, usual // _SMALL_SHARE)


def _split(sizes: Ints, cap: int, some: int) -> int:
    """The largest difference that is noise; 0 if none is.

    Noise is spread evenly up to the limit; amounts that are wrong are spread over all magnitudes, those
    below the limit included. The limit is the one under which the differences are likeliest.
    """
    if not len(sizes) or sizes[-1] <= _SMALL_UNITS:
        return int(sizes.max(initial=0))
    values, counts = np.unique(sizes, return_counts=True)
    total, most = int(counts.sum()), int(values[-1])
    logs = np.log(values.astype(np.float64)) * counts
    inside, left_over = np.cumsum(counts), float(logs.sum()) - np.cumsum(logs)
    none = -float(logs.sum()) - total * math.log(_magnitudes(0, most))
    best, limit = none + 2 * math.log(total + 1), 0
    for place in np.flatnonzero(_may_end(values, inside, cap, some)).tolist():
        edge, n = int(values[place]), int(inside[place])
        likely = n * math.log(n / total) - n * math.log(edge)
        if n < total:
            outside = total - n
            likely += outside * math.log(outside / total / _magnitudes(edge, most)) - float(left_over[place])
        if likely > best:
            best, limit = likely, edge
    return limit


def _magnitudes(low: int, high: int) -> float:
    """Sum of 1/x over low < x <= high: what makes a spread over magnitudes a distribution."""
    return max(math.log((high + 0.5) / (low + 0.5)), 1e-9)


def _may_end(values: Ints, inside: Ints, cap: int, some: int) -> npt.NDArray[np.bool_]:
    """After which values differences end or thin out; the last few of a tail are noise, too.

    More than a few units are noise only where many pairs differ: where nearly all are equal to the
    unit, the others are wrong.
    """
    following = np.append(values[1:], np.int64(1 << 62))
    above = inside[np.searchsorted(values, 2 * values, "right") - 1] - inside
    thins = (following >= _GAP * values) | (inside >= _DENSER * above)
    # What lies beyond must reach further than noise does, or it is its tail.
    thins &= (values == values[-1]) | (values[-1] >= _GAP * values)
    return (values <= cap) & thins & ((inside >= max(_FEW, some)) | (values <= _SMALL_UNITS))


def _nice(limit: int, beyond: int | None) -> int:
    """The next round number, if no difference above the limit lies below it."""
    if limit == 0:
        return 0
    scale = 1
    while limit > _NICE[-1] * scale:
        scale *= 10
    rounded = next(n * scale for n in _NICE if n * scale >= limit)
    return rounded if beyond is None or rounded < beyond else limit
