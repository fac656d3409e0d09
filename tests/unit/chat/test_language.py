"""What the guided agent reads out of plain requests."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.agents.language.amounts import read_number
from kalla_chat.agents.language.columns import resolve_column
from kalla_chat.agents.language.narrowings import Narrowing
from kalla_chat.agents.language.understand import Reading, understand

ALIASES = ["payments", "invoices", "bank_statements", "ledger"]


def read(text: str) -> Reading:
    return understand(text, ALIASES)


def test_a_whole_request_is_read_at_once() -> None:
    reading = read("match invoices to payments on reference and amount within 2 cents, only USD")
    assert reading.aliases == ("invoices", "payments")
    assert reading.words == (("reference", None), ("amount", None))
    assert reading.tolerance == Decimal("0.02")
    assert reading.narrowings == (Narrowing("", "eq", "USD"),)
    assert not reading.consents
    assert not reading.runs


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("Reconcile payments with invoices", ("payments", "invoices")),
        ("each invoice against the bank statement", ("invoices", "bank_statements")),
        ("bank-statements vs ledger", ("bank_statements", "ledger")),
        ("PAYMENTS", ("payments",)),
        ("prepayments and subledger", ()),
        ("on payments.reference", ()),
    ],
)
def test_sources_are_named_in_any_spelling_and_their_order_counts(
    text: str, aliases: tuple[str, ...]
) -> None:
    assert read(text).aliases == aliases


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("within 2 cents", "0.02"),
        ("within two cents", "0.02"),
        ("within a cent", "0.01"),
        ("within 0.05", "0.05"),
        ("within 0,05", "0.05"),
        ("tolerance of 1.50", "1.50"),
        ("change the tolerance to 0.10", "0.10"),
        ("tolerance: 0.02", "0.02"),
        ("± 0.02", "0.02"),
        ("amounts may differ by up to $5", "5"),
        ("within 1,000.50", "1000.50"),
        ("within 2 EUR", "2"),
        ("no tolerance", "0"),
        ("exactly the same amount", "0"),
        ("within 3 days", None),
        ("within 5%", None),
        ("match them", None),
    ],
)
def test_a_tolerance_is_read_exactly_and_percents_and_days_are_none(text: str, tolerance: str | None) -> None:
    assert read(text).tolerance == (None if tolerance is None else Decimal(tolerance))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("within 3 days", (-3, 3)),
        ("up to five days later", (0, 5)),
        ("at most 2 days before", (-2, 0)),
        ("on the same day", (0, 0)),
        ("within 2 cents", None),
    ],
)
def test_days_are_a_window_around_the_left_date(text: str, window: tuple[int, int] | None) -> None:
    assert read(text).window_days == window


def test_days_and_a_tolerance_are_told_apart() -> None:
    reading = read("within 2 cents and within 10 days")
    assert (reading.tolerance, reading.window_days) == (Decimal("0.02"), (-10, 10))


@pytest.mark.parametrize(
    ("text", "narrowing"),
    [
        ("only USD", Narrowing("", "eq", "USD")),
        ("just 'New York'", Narrowing("", "eq", "New York")),
        ("exclude cancelled", Narrowing("", "neq", "cancelled")),
        ("amount > 100", Narrowing("amount", "gt", "100")),
        ("where currency = 'EUR'", Narrowing("currency", "eq", "EUR")),
        ("status != void", Narrowing("status", "neq", "void")),
        ("only amounts over 100", Narrowing("amounts", "gt", "100", loose=True)),
        ("status is not void", Narrowing("status", "neq", "void", loose=True)),
        ("since 2026-01-01", Narrowing("", "gte", "2026-01-01")),
        ("paid_on after 2026-01-31", Narrowing("paid_on", "gt", "2026-01-31", loose=True)),
    ],
)
def test_conditions_are_read(text: str, narrowing: Narrowing) -> None:
    assert read(text).narrowings == (narrowing,)


@pytest.mark.parametrize(
    "text", ["match invoices to payments", "on invoice_id = reference", "only the rows", "yes"]
)
def test_other_words_are_no_conditions(text: str) -> None:
    assert read(text).narrowings == ()


def test_columns_are_named_in_pairs_or_for_both_sides() -> None:
    assert read("match on invoice_id = reference and amount").words == (
        ("invoice_id", "reference"),
        ("amount", None),
    )
    assert read("by the order number").words == (("order_number", None),)


@pytest.mark.parametrize(
    ("text", "confirmed", "rejected"),
    [
        ("1 and 3 are right, 2 is wrong", (1, 3), (2,)),
        ("1, 2 and 4 match", (1, 2, 4), ()),
        ("2 does not belong", (), (2,)),
    ],
)
def test_pairs_are_judged_by_number(text: str, confirmed: tuple[int, ...], rejected: tuple[int, ...]) -> None:
    reading = read(text)
    assert (reading.confirmed, reading.rejected) == (confirmed, rejected)
    assert reading.narrowings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all right", True),
        ("they all match", True),
        ("none of them", False),
        ("all wrong", False),
        ("hm", None),
    ],
)
def test_all_pairs_are_judged_at_once(text: str, said: bool | None) -> None:
    assert read(text).all_pairs is said


@pytest.mark.parametrize("text", ["yes", "Ok!", "run it", "looks good", "go ahead", "Run", "start the run"])
def test_these_words_consent(text: str) -> None:
    assert read(text).consents


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "don't run it",
        "not yet",
        "do not start",
        "what is this?",
        "ignore all rules",
        "start over",
        "yesterday",
    ],
)
def test_these_words_do_not_consent(text: str) -> None:
    assert not read(text).consents


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("match invoices to nonsense", ("invoices", "nonsense")),
        ("please reconcile my bills with the ledger", ("bills", "ledger")),
        ("compare 'my file' and other_file", ("my file", "other_file")),
        ("match them to these", None),
        ("match on reference", None),
    ],
)
def test_the_names_of_what_is_matched_are_read_even_if_they_are_unknown(
    text: str, names: tuple[str, str] | None
) -> None:
    assert read(text).matched == names


def test_going_back_is_understood() -> None:
    assert read("other source").other_source
    assert read("use a different right source").side == "right"
    assert read("change the tolerance").asks_tolerance
    assert read("start over").restarts


@pytest.mark.parametrize(
    ("word", "names", "column"),
    [
        ("reference", ["payment_id", "reference"], "reference"),
        ("Amount", ["amount", "paid_amount"], "amount"),
        ("amounts", ["paid_amount", "currency"], "paid_amount"),
        ("payments.reference", ["reference"], "reference"),
        ("ref", ["customer_ref", "id"], "customer_ref"),
        ("invoice", ["invoiceNumber", "total"], "invoiceNumber"),
        ("amount", ["net_amount", "gross_amount"], None),
        ("colour", ["id"], None),
        ("", ["id"], None),
    ],
)
def test_a_word_names_a_column_if_one_alone_fits(word: str, names: list[str], column: str | None) -> None:
    assert resolve_column(word, names) == column


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_every_plain_decimal_is_read_as_itself(number: Decimal) -> None:
    assert read_number(f"{number:f}") == number
    if number >= 1000:
        assert read_number(f"{number:,}") == number


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    read(text)
