"""What a run noticed is said alike everywhere."""

from __future__ import annotations

from kalla_common.findings import duplicated_keys, shared_keys


def test_rows_that_share_a_key_are_counted_in_words() -> None:
    assert shared_keys("bank", 0, ()) == ""
    assert shared_keys("bank", 1, ("A",)) == (
        "1 row of bank shares the key of a matched row and was not matched itself (key A)."
    )
    assert shared_keys("bank", 1200, ("A", "B, 1", "C")) == (
        "1,200 rows of bank share the key of a matched row and were not matched themselves (key A; B, 1)."
    )


def test_duplicated_keys_are_said_with_the_way_out() -> None:
    assert duplicated_keys("bank", 0, ()) == ""
    assert duplicated_keys("bank", 1, ("A",)).startswith(
        "bank: 1 primary key comes more than once, such as A."
    )
    assert '"primary_key": ["@row"]' in duplicated_keys("bank", 2, ("A", "B"))
