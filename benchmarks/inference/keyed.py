"""Pairs of sources with a reference that one can join on, once it is spelled alike."""

from __future__ import annotations

from random import Random
from typing import Any

from benchmarks.inference.data import (
    Case,
    Labelled,
    Row,
    cents,
    code,
    company,
    day,
    distinct,
    labelled,
    later,
    money,
    status,
)

Pairs = set[tuple[Any, Any]]


def plain(random: Random, n: int) -> Labelled:
    """Other names for the key; cents of difference; unpaid, paid in part, paid twice, strays."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        invoice, amount, on = f"INV-{100_000 + i}", cents(random), day(random)
        left.append(
            {"invoice_id": invoice, "customer": company(random), "amount": money(amount), "issued_on": on}
        )
        fate = random.random()
        if fate < 0.05:
            continue
        paid = amount
        if fate < 0.09:
            paid = amount * random.randint(20, 90) // 100
        elif fate < 0.30:
            paid = amount + random.choice((-2, -1, 1, 2))
        for _ in range(2 if fate > 0.99 else 1):
            payment = f"P{len(right):07d}"
            right.append(
                {
                    "payment_id": payment,
                    "reference": invoice,
                    "paid": money(paid),
                    "paid_on": later(on, random.randint(1, 40)),
                }
            )
            if abs(paid - amount) <= 2:
                truth.add((invoice, payment))
    for _ in range(n // 25):
        payment = f"P{len(right):07d}"
        right.append(
            {
                "payment_id": payment,
                "reference": f"INV-{9_000_000 + random.randrange(10**6)}",
                "paid": money(cents(random)),
                "paid_on": day(random),
            }
        )
    return labelled(random, left, right, ("invoice_id", "payment_id"), truth)


def padded_numbers(random: Random, n: int) -> Labelled:
    """INV-000123 on one side and 123 on the other, beside running numbers that overlap by accident."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i, number in enumerate(random.sample(range(1, n * 3), n)):
        amount, on = cents(random), day(random)
        left.append(
            {
                "row_no": i + 1,
                "document": f"INV-{number:07d}",
                "total": money(amount),
                "date": on,
                "state": status(random),
            }
        )
        if random.random() < 0.9:
            right.append(
                {
                    "id": 0,
                    "invoice": number,
                    "amount": money(amount),
                    "booked": later(on, random.randint(0, 20)),
                    "state": status(random),
                }
            )
            truth.add((i + 1, id(right[-1])))
    random.shuffle(right)
    places = {id(row): place + 1 for place, row in enumerate(right)}
    for row in right:
        row["id"] = places[id(row)]
    return labelled(random, left, right, ("row_no", "id"), {(a, places[b]) for a, b in truth})


def case_and_spaces(random: Random, n: int) -> Labelled:
    """The same code typed by people: lower case, spaces before and after it."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    slips = random.sample(range(50_000, 50_000 + 3 * n), n)
    for i, ref in enumerate(distinct(random, n, lambda r: f"{code(r, 4)}-{code(r, 4)}")):
        quantity = random.randint(1, 40)
        left.append({"order_no": ref, "quantity": quantity, "ordered": day(random), "buyer": company(random)})
        if random.random() < 0.92:
            typed = ref
            if random.random() < 0.2:
                typed = random.choice((ref.lower(), f" {ref}", f"{ref}  ", f" {ref.title()} "))
            right.append(
                {
                    "slip": slips[i],
                    "order_ref": typed,
                    "delivered": quantity,
                    "carrier": random.choice("ABCD"),
                }
            )
            truth.add((ref, slips[i]))
    return labelled(random, left, right, ("order_no", "slip"), truth)


def separators(random: Random, n: int) -> Labelled:
    """PO/2024/00012 and PO-2024-12, with opposite signs: a ledger and a bank."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        year, number = 2020 + i % 5, i // 5 + 1
        amount, on = cents(random), day(random)
        left.append(
            {"voucher": f"V{i:06d}", "po": f"PO/{year}/{number:05d}", "debit": money(amount), "posted": on}
        )
        if random.random() < 0.94:
            right.append(
                {
                    "line": f"L-{code(random, 9)}",
                    "their_ref": f"PO-{year}-{number}",
                    "amount": money(-amount),
                    "value_date": later(on, random.randint(0, 5)),
                }
            )
            truth.add((f"V{i:06d}", right[-1]["line"]))
    return labelled(random, left, right, ("voucher", "line"), truth)


def remittance_text(random: Random, n: int) -> Labelled:
    """The invoice number stands somewhere in a text, beside other numbers."""
    texts = (
        "PAYMENT {r} THANK YOU",
        "{r}",
        "Inv. {r} / customer {c}",
        "SEPA CT 2024{m:02d}{d:02d} REF {r} {c}",
        "transfer {c} for {r}, due {d}.{m}.2024",
    )
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    entries = random.sample(range(10**8), n)
    for i, number in enumerate(random.sample(range(10**6, 10**7), n)):
        ref, amount, on = f"RE{number}", cents(random), day(random)
        left.append({"invoice": ref, "gross": money(amount), "issued": on, "customer": company(random)})
        if random.random() < 0.9:
            text = random.choice(texts).format(
                r=ref, c=random.randint(1000, 99_999), d=random.randint(1, 28), m=random.randint(1, 12)
            )
            paid = amount if random.random() < 0.95 else amount * random.randint(30, 80) // 100
            right.append(
                {
                    "entry": f"E{entries[i]:08d}",
                    "purpose": text,
                    "credit": money(paid),
                    "booking_day": later(on, random.randint(2, 30)),
                }
            )
            if paid == amount:
                truth.add((ref, f"E{entries[i]:08d}"))
    return labelled(random, left, right, ("invoice", "entry"), truth)


def composite(random: Random, n: int) -> Labelled:
    """Store, day and receipt number together; each of them alone repeats."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    cards = distinct(random, n, lambda r: code(r, 9))
    for i in range(n):
        store, on, receipt = i % 7 + 1, later(day(random, 1), i // 7 % 30), i // 210 + 1
        amount = cents(random, 100, 30_000)
        left.append(
            {
                "sale_id": f"S{i:07d}",
                "store": store,
                "sold_on": on,
                "receipt": receipt,
                "total": money(amount),
                "cashier": random.choice("xyz"),
            }
        )
        if random.random() < 0.93:
            card = f"T{cards[i]}"
            paid = amount if random.random() < 0.98 else amount + random.randint(100, 900)
            right.append(
                {
                    "transaction": card,
                    "shop": store,
                    "day": on,
                    "slip_no": receipt,
                    "charged": money(paid),
                    "brand": random.choice(("VISA", "MC")),
                }
            )
            if paid == amount:
                truth.add((f"S{i:07d}", card))
    return labelled(random, left, right, ("sale_id", "transaction"), truth)


def decoys(random: Random, n: int) -> Labelled:
    """Running numbers, dates and statuses that overlap fully and mean nothing; the key is a code."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i, ref in enumerate(distinct(random, n, lambda r: code(r, 8))):
        amount = cents(random)
        left.append(
            {
                "id": i + 1,
                "trade": ref,
                "notional": money(amount),
                "trade_date": day(random),
                "status": status(random),
                "desk": random.randint(1, 9),
            }
        )
        if random.random() < 0.88:
            off = random.random() < 0.04
            right.append(
                {
                    "id": 0,
                    "confirmation": ref,
                    "amount": money(amount + (random.randint(1_000, 90_000) if off else 0)),
                    "trade_date": day(random),
                    "status": status(random),
                    "broker": random.randint(1, 9),
                    "_left": i + 1,
                    "_ok": not off,
                }
            )
    random.shuffle(right)
    for place, row in enumerate(right):
        row["id"] = place + 1
        owner, good = row.pop("_left"), row.pop("_ok")
        if good:
            truth.add((owner, place + 1))
    return labelled(random, left, right, ("id", "id"), truth)


def shared_reference(random: Random, n: int) -> Labelled:
    """One contract number in several currencies: only number and currency together are a key."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    statements = random.sample(range(10 * n), n)
    for i in range(n):
        contract, currency = f"C{i // 3:06d}", ("EUR", "USD", "CHF")[i % 3]
        amount = random.choice((10_000, 25_000, 50_000, 99_900))
        left.append(
            {
                "position": f"PO{i:07d}",
                "contract": contract,
                "currency": currency,
                "amount": money(amount),
                "as_of": day(random, 5),
            }
        )
        if random.random() < 0.9:
            right.append(
                {
                    "statement": f"ST{statements[i]:07d}",
                    "agreement": contract,
                    "ccy": currency,
                    "balance": money(amount + random.choice((0, 0, 0, 1, -1))),
                    "valued": day(random, 5),
                }
            )
            truth.add((f"PO{i:07d}", f"ST{statements[i]:07d}"))
    return labelled(random, left, right, ("position", "statement"), truth)


CASES = (
    Case("plain", "another name for the key, 2 cents, part payments, strays", True, plain),
    Case("padded numbers", "INV-0000123 and 123, decoy running numbers", True, padded_numbers),
    Case("case and spaces", "typed codes, no amount at all", True, case_and_spaces),
    Case("separators", "PO/2024/00012 and PO-2024-12, opposite signs", True, separators),
    Case("remittance text", "the id inside a text with other numbers", True, remittance_text),
    Case("composite key", "store, day and receipt number", True, composite),
    Case("decoys", "running numbers, dates, statuses overlap by accident", True, decoys),
    Case("currencies", "one number in three currencies, four amounts in all", True, shared_reference),
)
