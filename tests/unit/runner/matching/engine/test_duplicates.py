"""NULL and duplicated keys are found exactly, in any order and over any cut into batches."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_runner.matching import duplicates
from kalla_runner.matching.duplicates import KeyFacts, key_examples, key_facts
from kalla_runner.matching.tables import Table

KEYS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "ab", "", "eight...", "nine.....", "of more than 16", None]),
        st.sampled_from([1, 2, None]),
    ),
    max_size=40,
)


def table(columns: dict[str, pa.Array], cut: int = 7) -> Table:
    whole = pa.table(columns)
    return Table("t", whole.schema, whole.to_batches(max_chunksize=cut))


def rows_by_label(facts: KeyFacts) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for row, label in zip(facts.rows.tolist(), facts.labels.tolist(), strict=True):
        groups.setdefault(label, []).append(row)
    return sorted(groups.values())


def counted(keys: list[Any]) -> list[list[int]]:
    """The rows of every key that occurs twice or more, found the plain way."""
    counts = Counter(key for key in keys if None not in key)
    return sorted([[i for i, k in enumerate(keys) if k == key] for key, n in counts.items() if n > 1])


@given(KEYS, st.integers(1, 9))
def test_trap_20_duplicated_composite_keys_are_found_exactly(
    keys: list[tuple[str | None, int | None]], cut: int
) -> None:
    found = table(
        {"a": pa.array([k[0] for k in keys], pa.string()), "b": pa.array([k[1] for k in keys], pa.int64())},
        cut,
    )
    facts = key_facts(found, ("a", "b"))
    assert facts.null_rows == sum(None in key for key in keys)
    assert rows_by_label(facts) == counted(keys)
    assert facts.duplicated == len(counted(keys))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["k3", "k1", None, "k1", "k3", "k2"]),
        pa.array([3, 1, None, 1, 3, 2], pa.int16()),
        pa.array([Decimal("3.0"), Decimal("1.0"), None, Decimal("1.0"), Decimal("3.0"), Decimal("2.0")]),
        pa.array([date(2026, 1, day) if day else None for day in (3, 1, 0, 1, 3, 2)]),
        pa.array([[3], [1], None, [1], [3], [2]]),
        pa.array([0.0, 1.5, None, 1.5, -0.0, 2.5]),
        pa.array([b"INV-9", b"INV-1", None, b"INV-1", b"INV-9", b"INV-1000000"]),
    ],
    ids=lambda values: str(values.type),
)
def test_a_key_of_any_type_is_compared_by_value(values: pa.Array) -> None:
    facts = key_facts(table({"k": values}, 2), ("k",))
    assert (facts.null_rows, facts.duplicated) == (1, 2)
    assert rows_by_label(facts) == [[0, 4], [1, 3]]


def test_colliding_hashes_do_not_make_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_alike(columns: list[pa.Array]) -> npt.NDArray[np.uint64]:
        return np.zeros(len(columns[0]), dtype=np.uint64)

    monkeypatch.setattr(duplicates, "hash_rows", all_alike)
    facts = key_facts(table({"k": pa.array(["b", "a", "c", "a"])}), ("k",))
    assert (facts.duplicated, facts.rows.tolist()) == (1, [1, 3])


def test_rising_keys_are_known_to_be_unique_without_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(columns: list[pa.Array]) -> npt.NDArray[np.uint64]:
        raise AssertionError

    monkeypatch.setattr(duplicates, "hash_rows", refuse)
    assert key_facts(table({"k": pa.array([f"k{i:03}" for i in range(100)])}), ("k",)).duplicated == 0


def test_rising_within_batches_but_not_across_them_is_not_taken_for_unique() -> None:
    facts = key_facts(table({"k": pa.array([1, 2, 3, 3, 4, 5])}, 3), ("k",))
    assert (facts.duplicated, facts.rows.tolist()) == (1, [2, 3])


def test_rows_that_share_the_key_of_a_matched_row_are_named() -> None:
    facts = key_facts(table({"k": pa.array(["a", "b", "a", "c", "b", "a"])}), ("k",))
    marks = np.array([False, False, True, True, False, False])
    assert facts.sharing(marks).tolist() == [0, 5]
    assert marks.tolist() == [False, False, True, True, False, False]


def test_marks_by_key_are_narrowed_to_the_rows_that_are_seen() -> None:
    facts = key_facts(table({"k": pa.array(["a", "b", "a", "c", "b", "a"])}), ("k",))
    by_key = np.array([True, True, True, True, True, True])
    seen = np.array([False, False, True, False, False, False])
    assert facts.shares(by_key)
    # Of a one row is seen; of b none is, so that its first row and its second may be the matched one.
    assert facts.narrow(by_key, seen).tolist() == [4]
    assert by_key.tolist() == [False, True, True, True, True, False]


def test_a_key_of_one_row_shares_nothing() -> None:
    facts = key_facts(table({"k": pa.array(["a", "b", "b"])}), ("k",))
    marks = np.array([True, False, False])
    assert not facts.shares(marks)
    assert facts.sharing(marks).tolist() == []
    assert facts.narrow(marks, np.zeros(3, dtype=np.bool_)).tolist() == []
    assert marks.tolist() == [True, False, False]


def test_examples_of_keys_are_given_once_each() -> None:
    rows = table({"k": pa.array(["a", "a", "b", "c"]), "n": pa.array([1, 1, 2, 3])})
    assert key_examples(rows, ("k", "n"), np.array([0, 1, 3])) == ("a, 1", "c, 3")
    assert key_examples(rows, ("k",), np.array([], dtype=np.int64)) == ()


def test_trap_20_a_duplicate_is_found_in_a_batch_of_longer_keys() -> None:
    facts = key_facts(table({"k": pa.array(["INV-9", "INV-8", "INV-10000", "INV-9"])}, 2), ("k",))
    assert (facts.duplicated, facts.rows.tolist()) == (1, [0, 3])


def test_examples_are_the_first_five_duplicated_keys_as_text() -> None:
    names = [f"n{i}" for i in (9, 8, 7, 6, 5, 4)] * 2
    facts = key_facts(table({"a": pa.array(names), "b": pa.array([1] * 12)}), ("a", "b"))
    assert facts.duplicated == 6
    assert facts.examples == ("n9, 1", "n8, 1", "n7, 1", "n6, 1", "n5, 1")
