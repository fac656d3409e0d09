"""Edit distances of many pairs at once are those of one pair at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.inference.links import Pairs
from kalla_chat.inference.similar import LONGEST, distances

from tests.unit.chat.inference.columns import column


def levenshtein(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
    return row[-1]


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=12))
def test_distances_are_levenshtein(pairs: list[tuple[str, str]]) -> None:
    left, right = (column(list(texts)) for texts in zip(*pairs, strict=True))
    rows = np.arange(len(pairs))
    assert distances(left, right, Pairs(rows, rows)).tolist() == [levenshtein(a, b) for a, b in pairs]


def test_a_missing_or_long_text_is_far_from_all() -> None:
    left, right = column(pa.array(["ab", None, "ab"])), column(["ab", "ab", "x" * (LONGEST + 1)])
    rows = np.arange(3)
    found = distances(left, right, Pairs(rows, rows))
    assert found[0] == 0
    assert (found[1:] > LONGEST).all()
