"""How far two amounts that belong together may lie apart: where the differences have their gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from kalla_chat.inference.columns import Ints

_DENSER: Final = 10.0
"""Differences below the limit lie at least so many times as dense as those above it."""
_SMALL_SHARE: Final = 50
"""A tolerance is at most a fiftieth of a usual amount; more is another amount, not the same one."""
_SMALL_UNITS: Final = 5
_NICE: Final = (1, 2, 3, 4, 5, 10, 20, 25, 50, 100)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`limit` in units; `within` differences lie in it; `next` is the first beyond it, None for none."""

    limit: int
    within: int
    next: int | None


def find_tolerance(differences: Ints, usual: int, rejected: int | None = None) -> Tolerance:
    """Find the limit below which differences are noise.

    Two densities are fitted, one below the limit and one above it, and the limit is where they explain
    the differences best. It is not the largest difference: an amount that is simply wrong lies above it.

    Args:
        differences: absolute, in units.
        usual: a usual amount, in units.
        rejected: the least difference of pairs that a person rejected.
    """
    sizes = np.sort(differences[differences > 0])
    cap = max(_SMALL_UNITS, usual // _SMALL_SHARE)
    limit = _split(sizes, cap)
    beyond = int(sizes[np.searchsorted(sizes, limit, "right")]) if len(sizes) and sizes[-1] > limit else None
    if rejected is not None and 0 < rejected <= limit:
        limit, beyond = int(sizes[sizes < rejected].max(initial=0)), rejected
    elif rejected is not None:
        beyond = min(beyond or rejected, rejected)
    limit = _nice(limit, beyond)
    return Tolerance(limit, int((differences <= limit).sum()), beyond)


def _split(sizes: Ints, cap: int) -> int:
    """The largest difference that is noise; 0 if none is."""
    if not len(sizes):
        return 0
    values, counts = np.unique(sizes, return_counts=True)
    if values[-1] <= cap and not _gaps(values, counts, cap):
        return int(values[-1])
    best = _gaps(values, counts, cap)
    limit = best or 0
    # Amounts that are wrong by anything hide a second gap, between noise and small errors.
    while limit:
        inner = _gaps(values[values <= limit], counts[values <= limit], cap)
        if not inner or inner >= limit:
            break
        limit = inner
    return limit


def _gaps(values: Ints, counts: Ints, cap: int) -> int | None:
    """The split of largest likelihood, if it is a clear one."""
    total, most = int(counts.sum()), int(values[-1])
    inside = np.cumsum(counts)
    best: tuple[float, int] | None = None
    for place in np.flatnonzero(values[:-1] <= cap):
        edge, n = int(values[place]), int(inside[place])
        denser = (n / edge) / max((total - n) / (most - edge), 1e-9)
        if denser < _DENSER:
            continue
        gain = n * math.log(n / edge) + (total - n) * math.log((total - n) / (most - edge))
        gain -= total * math.log(total / most)
        if gain > 2 * math.log(total + 1) and (best is None or gain > best[0]):
            best = (gain, edge)
    return best[1] if best else None


def _nice(limit: int, beyond: int | None) -> int:
    """The next round number, if no difference above the limit lies below it."""
    if limit == 0:
        return 0
    scale = 1
    while limit > _NICE[-1] * scale:
        scale *= 10
    rounded = next(n * scale for n in _NICE if n * scale >= limit)
    return rounded if beyond is None or rounded < beyond else limit
