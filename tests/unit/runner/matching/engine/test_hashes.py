"""Equal values have equal hashes, whatever array they lie in; different ones nearly always differ."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_runner.matching.hashes import hash_rows

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=30)


@given(TEXTS, st.integers(0, 5))
def test_a_text_hashes_alike_wherever_it_stands(values: list[str], before: int) -> None:
    plain = hash_rows([pa.array(values)])
    moved = hash_rows([pa.array(["padding"] * before + values + ["x"])[before : before + len(values)]])
    beside_longer = hash_rows([pa.array([*values, "x" * 50])])[:-1]
    alone = np.concatenate([hash_rows([pa.array([value])]) for value in values])
    large = hash_rows([pa.array(values, pa.large_string())])
    assert np.array_equal(plain, moved)
    assert np.array_equal(plain, large)
    assert np.array_equal(plain, beside_longer)
    assert np.array_equal(plain, alone)


@given(TEXTS)
def test_different_texts_have_different_hashes(values: list[str]) -> None:
    hashes = hash_rows([pa.array(values)])
    assert len(set(hashes.tolist())) == len(set(values))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, -3, 2**62], pa.int64()),
        pa.array([1, 2, 200], pa.uint8()),
        pa.array(
            [Decimal("1.10"), Decimal("-1.10"), Decimal("99999999999999999999.99")], pa.decimal128(30, 2)
        ),
        pa.array([Decimal(1), Decimal(10) ** 60], pa.decimal256(76, 0)),
        pa.array([True, False]),
        pa.array([0.5, 1.5, -1.5, 1e300]),
        pa.array([1, 2, 3], pa.date32()),
        pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        pa.array([b"a", b"", b"a\0"], pa.binary()),
        pa.array([b"abc", b"abd"], pa.binary(3)),
    ],
    ids=lambda values: str(values.type),
)
def test_every_plain_type_is_hashed_by_its_value(values: pa.Array) -> None:
    hashes = hash_rows([values])
    assert len(set(hashes.tolist())) == len(values)
    assert np.array_equal(hash_rows([values[1:]]), hashes[1:])


def test_floats_that_compare_equal_hash_alike() -> None:
    hashes = hash_rows([pa.array([0.0, -0.0, float("nan"), -float("nan")])])
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]


def test_the_order_of_key_columns_counts() -> None:
    one, two = pa.array(["a", "b"]), pa.array(["b", "a"])
    hashes = hash_rows([one, two])
    assert hashes[0] != hashes[1]
