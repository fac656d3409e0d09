"""The tolerance lies in the gap between noise and amounts that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.inference.tolerance import find_tolerance

USUAL = 50_000


def limit(differences: list[int], rejected: int | None = None) -> int:
    return find_tolerance(np.array(differences, np.int64), USUAL, rejected).limit


def test_cents_of_noise_are_told_from_part_payments() -> None:
    assert limit([0] * 700 + [1, 2] * 100 + [4_311, 12_900, 25_000, 88_000, 310_000]) == 2


def test_noise_is_told_from_small_errors_that_follow_it_closely() -> None:
    small_errors = list(range(3, 500, 8))
    assert limit([0] * 600 + [1] * 200 + [2] * 200 + small_errors[: len(small_errors) // 2]) == 2


def test_a_few_wrong_amounts_are_no_tolerance() -> None:
    assert limit([0] * 400 + [137, 300, 512, 777, 901, 5_000]) == 0


def test_one_wrong_amount_does_not_widen_the_tolerance() -> None:
    assert limit([0] * 90 + [1] * 9 + [900]) == 1


def test_amounts_that_always_differ_a_little_have_a_tolerance_that_holds_them_all() -> None:
    spread = np.random.default_rng(7).integers(0, 400, 500)
    assert find_tolerance(spread, USUAL).limit >= int(spread.max())


def test_amounts_that_agree_to_the_unit_need_no_tolerance() -> None:
    assert limit([0] * 10) == 0


def test_a_rejected_pair_bounds_the_tolerance() -> None:
    assert limit([0] * 50 + [1, 2, 3] * 20, rejected=3) == 2


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.lists(st.integers(10**6, 10**9), max_size=2))
def test_the_limit_never_reaches_amounts_that_are_far_away(near: list[int], far: list[int]) -> None:
    assert limit(near + far) < 10**6


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=80), st.randoms())
def test_the_order_of_the_pairs_decides_nothing(differences: list[int], random: np.random.Generator) -> None:
    mixed = list(differences)
    random.shuffle(mixed)
    assert limit(mixed) == limit(differences)


@pytest.mark.parametrize("rows", [40, 400, 4_000])
def test_half_a_percent_of_noise_is_found_at_any_size(rows: int) -> None:
    random = np.random.default_rng(rows)
    noise = random.integers(0, 250, rows)
    wrong = random.integers(20_000, 40_000, max(1, rows // 50))
    found = find_tolerance(np.concatenate((noise, wrong)), USUAL).limit
    assert int(noise.max()) <= found < 20_000
