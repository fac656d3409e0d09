"""How many days may lie between two rows that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kalla_chat.inference.columns import Column, Ints
from kalla_chat.inference.links import Pairs

Floats = npt.NDArray[np.float64]

_TIMES_CHANCE: Final = 3.0
_FLOOR: Final = 0.001
"""Share of all pairs that a day must hold to count, however rare chance is."""
_ROUNDS: Final = 4
_APART: Final = 3
"""Days without a pair that part two clusters."""
_MOST_CLUSTERS: Final = 400
_LONGEST: Final = 20_000
"""Days; wider ranges of dates are no window."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The right day is `earliest` to `latest` days after the left one.

    `support` of `tested` pairs lie in it; `chance_pairs` of these are to be expected by accident.
    """

    left: Column
    right: Column
    earliest: int
    latest: int
    support: int
    tested: int
    chance_pairs: float

    @property
    def precision(self) -> float:
        """Share of the pairs in the window that are not there by accident."""
        return max(0.0, 1.0 - self.chance_pairs / max(self.support, 1))


def differences(left: Column, right: Column, pairs: Pairs) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Days from left to right of each pair, and whether both are there."""
    assert left.days is not None  # noqa: S101  # the caller chose columns of days
    assert right.days is not None  # noqa: S101  # see above
    both = left.days.valid[pairs.left] & right.days.valid[pairs.right]
    return right.days.days[pairs.right] - left.days.days[pairs.left], both


def find_window(
    left: Column, right: Column, pairs: Pairs, given: tuple[int, int] | None = None
) -> Window | None:
    """Find the window in which pairs lie more often than by chance; None if there is none.

    What chance would give is known from the days of each side alone; how much of it there is, from the
    pairs outside of the window.
    """
    days, both = differences(left, right, pairs)
    days = days[both]
    if not len(days) or int(days.max()) - int(days.min()) > _LONGEST:
        return None
    low = min(int(days.min()), given[0] if given else 0)
    high = max(int(days.max()), given[1] if given else 0)
    seen = np.bincount(days - low, minlength=high - low + 1).astype(np.float64)
    chance = _chance(left, right, low, high)
    if given is not None:
        first, last = given[0] - low, given[1] - low
        share = _amount_of_chance(seen, chance, first, last)
    else:
        first, last, share = _search(seen, chance)
    support = int(seen[first : last + 1].sum())
    by_chance = share * float(chance[first : last + 1].sum())
    return Window(left, right, first + low, last + low, support, len(pairs), by_chance)


def clusters(left: Column, right: Column, pairs: Pairs) -> list[Window]:
    """Windows between gaps: where rows recur each month, every month's distance is a cluster of its own."""
    days, both = differences(left, right, pairs)
    values, counts = np.unique(days[both], return_counts=True)
    cuts = np.flatnonzero(np.diff(values) > _APART) + 1
    if not 0 < len(cuts) < _MOST_CLUSTERS:
        return []
    parts = zip(np.split(values, cuts), np.split(counts, cuts), strict=True)
    return [Window(left, right, int(v[0]), int(v[-1]), int(c.sum()), len(pairs), 0.0) for v, c in parts]


def _search(seen: Floats, chance: Floats) -> tuple[int, int, float]:
    likely = chance > 0
    share = float(np.median(seen[likely] / chance[likely])) if likely.any() else 0.0
    first, last = 0, len(seen) - 1
    for _ in range(_ROUNDS):
        first, last = _best_run(seen - np.maximum(_TIMES_CHANCE * share * chance, _FLOOR * seen.sum()))
        share = _amount_of_chance(seen, chance, first, last)
    return first, last, share


def _amount_of_chance(seen: Floats, chance: Floats, first: int, last: int) -> float:
    """How many pairs are there by accident, in all, judged by those outside of the window."""
    outside = float(chance.sum() - chance[first : last + 1].sum())
    if outside < 0.2:  # noqa: PLR2004  # too little lies outside to judge by: assume the worst
        return float(seen.sum())
    return float(seen.sum() - seen[first : last + 1].sum()) / outside


def _best_run(gain: Floats) -> tuple[int, int]:
    """The run of days with the largest sum of gains."""
    sums = np.concatenate(([0.0], np.cumsum(gain)))
    lowest = np.minimum.accumulate(sums[:-1])
    last = int(np.argmax(sums[1:] - lowest))
    first = int(np.argmin(sums[: last + 1]))
    return first, last


def _chance(left: Column, right: Column, low: int, high: int) -> Floats:
    """Share of random pairs by their difference, from `low` to `high`."""
    assert left.days is not None  # noqa: S101  # the caller chose columns of days
    assert right.days is not None  # noqa: S101  # see above
    one, two = left.days.days[left.days.valid], right.days.days[right.days.valid]
    base = int(min(one.min(), two.min()))
    size = int(max(one.max(), two.max())) - base + 1
    if size > _LONGEST:
        return np.zeros(high - low + 1)
    counts = [np.bincount(d - base, minlength=size).astype(np.float64) / len(d) for d in (one, two)]
    both = np.correlate(counts[1], counts[0], "full")
    # Smoothed over a week, because weekends make teeth of it.
    both = np.convolve(both, np.ones(7) / 7, "same")
    places = np.arange(low, high + 1) + size - 1
    inside = (places >= 0) & (places < len(both))
    return np.where(inside, both[np.clip(places, 0, len(both) - 1)], 0.0)
