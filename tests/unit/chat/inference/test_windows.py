"""A window of days is found against what chance would give; where nothing lies outside it proves nothing."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from kalla_chat.inference.columns import Column
from kalla_chat.inference.links import Pairs
from kalla_chat.inference.windows import Window, clusters, find_window

from tests.unit.chat.inference.columns import column

FIRST = date(2024, 1, 1)


def days(offsets: list[int]) -> Column:
    return column([FIRST + timedelta(days=int(n)) for n in offsets])


def window(left: np.ndarray, right: np.ndarray, pairs: Pairs) -> Window:
    found = find_window(days(left.tolist()), days(right.tolist()), pairs)
    assert found is not None
    return found


def test_true_pairs_among_accidents_are_found_with_their_share() -> None:
    random = np.random.default_rng(1)
    left = random.integers(0, 365, 2_000)
    right = left + random.integers(2, 9, 2_000)
    true = np.arange(2_000)
    by_chance = random.integers(0, 2_000, (2, 4_000))
    found = window(left, right, Pairs(np.append(true, by_chance[0]), np.append(true, by_chance[1])))
    assert (found.earliest, found.latest) == (2, 8)
    assert 0.9 < found.precision < 1.0


def test_accidents_alone_give_no_window_worth_the_name() -> None:
    random = np.random.default_rng(2)
    left, right = random.integers(0, 365, 1_000), random.integers(0, 365, 1_000)
    pairs = random.integers(0, 1_000, (2, 5_000))
    found = window(left, right, Pairs(pairs[0], pairs[1]))
    assert found.support - found.chance_pairs < 0.02 * found.tested


def test_where_all_days_lie_close_together_the_window_proves_nothing() -> None:
    random = np.random.default_rng(3)
    left, right = random.integers(0, 7, 500), random.integers(0, 7, 500)
    rows = np.arange(500)
    assert window(left, right, Pairs(rows, rows)).precision < 0.5


def test_a_window_that_was_asked_for_is_taken_as_it_is() -> None:
    left, right = days([0, 10, 20]), days([1, 12, 40])
    rows = np.arange(3)
    found = find_window(left, right, Pairs(rows, rows), (0, 2))
    assert found is not None
    assert (found.earliest, found.latest, found.support) == (0, 2, 2)


def test_months_apart_are_clusters_of_their_own() -> None:
    left = days([30 * n for n in range(6)])
    right = days([30 * n + 2 for n in range(6)])
    pairs = np.argwhere(np.ones((6, 6), np.bool_))
    found = clusters(left, right, Pairs(pairs[:, 0], pairs[:, 1]))
    assert max(found, key=lambda w: w.support).earliest == 2
    assert len(found) == 11


def test_rows_without_a_day_are_in_no_window() -> None:
    left, right = column([FIRST, None, FIRST]), days([1, 1, 1])
    rows = np.arange(3)
    found = find_window(left, right, Pairs(rows, rows))
    assert found is not None
    assert (found.support, found.tested) == (2, 3)
