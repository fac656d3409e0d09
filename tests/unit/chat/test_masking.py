"""A model sees the shape of values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.agents.masking import Rows, mask


def test_letters_and_digits_are_replaced_and_the_form_stays() -> None:
    assert mask("INV-00123/a é ½ 日") == "AAA-99999/a a 9 a"


@given(st.text())
def test_no_letter_and_no_digit_of_any_script_gets_through(text: str) -> None:
    masked = mask(text)
    assert len(masked) == len(text)
    assert {c for c in masked if c.isalnum()} <= {"A", "a", "9"}
    assert all(c.isascii() for c in masked)


def test_rows_are_shown_as_they_are_only_if_asked_for() -> None:
    cells: dict[str, str | None] = {"name": "Ada", "note": None}
    assert Rows(real=False).cells(cells) == {"name": "Aaa", "note": None}
    assert Rows(real=True).cells(cells) == cells


def test_values_in_a_query_are_masked_and_the_query_is_not() -> None:
    sql = "SELECT a.id FROM a WHERE a.ref = 'INV-7' || 'it''s'"
    assert Rows(real=False).text(sql) == "SELECT a.id FROM a WHERE a.ref = 'AAA-9' || 'aa''a'"
    assert Rows(real=True).text(sql) == sql
