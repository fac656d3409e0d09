"""Joins of coded columns are those of the values, and counts are those of the joins."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.inference.links import amount_link, combine, count, day_link, join, text_link
from kalla_chat.inference.views import TRIMMED

from tests.unit.chat.inference.columns import column

VALUES = st.lists(st.none() | st.sampled_from(["a", "b", " a", "", "c"]), min_size=1, max_size=15)


@given(VALUES, VALUES)
def test_equal_texts_are_joined_and_nulls_and_blanks_are_not(
    left: list[str | None], right: list[str | None]
) -> None:
    link = text_link(column(pa.array(left, pa.string())), column(pa.array(right, pa.string())))
    codes = (link.left_codes, link.right_codes)
    pairs = join(codes)
    expected = {(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a == b and a}
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected
    assert len(pairs) == len(expected)
    counts = count(codes)
    assert (counts.pairs, counts.left, counts.right) == (
        len(expected),
        len({i for i, _ in expected}),
        len({j for _, j in expected}),
    )


def test_values_that_become_blank_are_told() -> None:
    link = text_link(column([" ", "a"]), column(["  ", "a"]), TRIMMED, TRIMMED)
    assert link.blanks
    assert len(join((link.left_codes, link.right_codes))) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_several_equalities_must_all_hold(rows: list[tuple[int, int]]) -> None:
    names, numbers = zip(*rows, strict=True)
    texts = column([f"t{n}" for n in names])
    integers = column(list(numbers))
    pairs = join(combine([text_link(texts, texts), text_link(integers, integers)]))
    expected = {(i, j) for i, a in enumerate(rows) for j, b in enumerate(rows) if a == b}
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected


def test_amounts_are_equal_across_scales_and_signs_and_zero_links_nothing() -> None:
    left = column(pa.array([100, 250, 0], pa.int64()).cast(pa.decimal128(21, 2)))
    right = column(pa.array([-250, -100, 0], pa.int64()).cast(pa.decimal128(23, 4)))
    link = amount_link(left, right, negated=True)
    assert link is not None
    pairs = join((link.left_codes, link.right_codes))
    assert sorted(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_days_are_equal_across_formats() -> None:
    link = day_link(column(["31.12.2024", "01.02.2024"]), column(["2024-02-01", "2024-03-01"]))
    assert np.argwhere(link.left_codes[:, None] == link.right_codes[None, :]).tolist() == [[1, 0]]
