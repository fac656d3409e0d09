"""How amounts of pairs are related: sign, unit, percent and fixed fees, told from noise."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.inference.amounts import fit
from kalla_chat.inference.relations import Relation, holds, residuals

CENTS = np.random.default_rng(3).integers(1_000, 9_000_000, 500)
ONE = 10_000


def found(left: np.ndarray, right: np.ndarray) -> Relation:
    relation = fit(left, right, 2, None)
    assert relation is not None
    return relation


def test_equal_amounts_need_no_tolerance() -> None:
    assert found(CENTS, CENTS.copy()) == Relation()


def test_the_sign_convention_of_the_other_side_is_found() -> None:
    assert found(CENTS, -CENTS) == Relation(sign=-1)


def test_a_fee_in_percent_is_told_from_noise() -> None:
    relation = found(CENTS, (CENTS * 9_750 + 5_000) // 10_000)
    assert (relation.factor, relation.fixed) == (9_750, (0,))
    assert relation.tolerance <= 1


def test_a_fixed_fee_is_told_from_noise() -> None:
    assert found(CENTS, CENTS - 1_500) == Relation(fixed=(-1_500,))


def test_percent_and_fixed_fee_together_are_found() -> None:
    relation = found(CENTS, CENTS - (CENTS * 29 + 500) // 1_000 - 30)
    assert (relation.factor, relation.fixed) == (9_710, (-30,))


def test_a_fee_that_only_some_pay_is_a_second_possibility() -> None:
    some = np.where(np.arange(len(CENTS)) % 3 == 0, CENTS - 1_500, CENTS)
    assert found(CENTS, some) == Relation(fixed=(0, -1_500))


def test_cents_beside_whole_units_are_a_factor() -> None:
    assert found(CENTS, CENTS * 100).factor == 100 * ONE


def test_unrelated_amounts_have_no_relation() -> None:
    assert fit(CENTS, np.random.default_rng(4).permutation(CENTS), 2, None) is None


def test_a_tolerance_that_was_asked_for_is_taken_as_it_is() -> None:
    relation = fit(CENTS, CENTS + 1, 2, Decimal("0.05"))
    assert relation is not None
    assert relation.tolerance == 5


@given(
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), min_size=1, max_size=30),
    st.sampled_from([1, -1]),
    st.integers(0, 100),
    st.integers(-500, 500),
    st.sampled_from([ONE, 9_710, 100 * ONE]),
)
def test_a_relation_holds_as_exact_decimals_say(
    pairs: list[tuple[int, int]], sign: int, tolerance: int, fixed: int, factor: int
) -> None:
    relation = Relation(sign, factor, (fixed,), tolerance)
    left, right = (np.array(v, np.int64) for v in zip(*pairs, strict=True))
    exact = [abs(sign * r - (Decimal(a) * factor / ONE + fixed)) <= tolerance for a, r in pairs]
    assert holds(left, right, relation).tolist() == exact


@pytest.mark.parametrize("sign", [1, -1, 0])
def test_residuals_are_never_negative(sign: int) -> None:
    assert (residuals(CENTS, -CENTS, Relation(sign)) >= 0).all()


def test_figures_measured_twice_have_a_tolerance_in_percent() -> None:
    random = np.random.default_rng(8)
    figures = (1_000 * 4_000 ** random.random(300)).astype(np.int64)
    relation = found(figures, figures + figures * random.integers(-50, 51, 300) // 10_000)
    assert relation.relative
    assert holds(figures, figures, relation).all()
    assert 45 <= relation.tolerance <= 60
