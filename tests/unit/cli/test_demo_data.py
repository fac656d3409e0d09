"""The demonstration's data: the same for the same seed, with every trouble it is to show."""

from __future__ import annotations

from collections import Counter

from kalla_cli.demo_data import TOLERANCE, make_data


def test_the_same_seed_makes_the_same_data_and_another_seed_other_data() -> None:
    assert make_data(500, 7) == make_data(500, 7)
    assert make_data(500, 7) != make_data(500, 8)


def test_invoices_have_distinct_keys_and_payments_come_twice_here_and_there() -> None:
    data = make_data(5000, 7)
    assert len({invoice.invoice_id for invoice in data.invoices}) == 5000
    times = Counter(payment.payment_id for payment in data.payments)
    assert set(times.values()) == {1, 2}


def test_every_trouble_is_there() -> None:
    data = make_data(5000, 7)
    amounts = {invoice.invoice_id: invoice.amount for invoice in data.invoices}
    paid = Counter(payment.reference for payment in data.payments)
    differences = {
        abs(payment.paid_amount - amounts[payment.reference])
        for payment in data.payments
        if payment.reference in amounts
    }
    assert any(name not in paid for name in amounts), "unpaid invoices"
    assert any(number > 1 for name, number in paid.items() if name in amounts), "paid twice"
    assert any(0 < difference <= TOLERANCE for difference in differences), "within the tolerance"
    assert any(difference > TOLERANCE for difference in differences), "paid in part"
    assert any(name.endswith(" ") for name in paid), "a space behind the reference"
    assert any(name.startswith("inv-") for name in paid), "lower case"
    assert "" in paid, "no reference"
