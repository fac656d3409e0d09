"""Pairs of sources whose amounts are related otherwise than by being equal, or are all there is."""

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
)

Pairs = set[tuple[Any, Any]]


def split_payments(random: Random, n: int) -> Labelled:
    """An invoice is paid in up to four parts; some are not paid in full."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        invoice, amount, on = f"A{i:06d}", cents(random, 5_000), day(random)
        left.append({"invoice": invoice, "due": money(amount), "issued": on, "client": company(random)})
        fate = random.random()
        if fate < 0.05:
            continue
        count = random.choice((1, 1, 2, 2, 3, 4))
        cuts = sorted(random.sample(range(1, amount), count - 1))
        parts = [b - a for a, b in zip([0, *cuts], [*cuts, amount], strict=True)]
        complete = fate > 0.12
        if not complete:
            parts = parts[:-1] if count > 1 else [amount // 2]
        for part in parts:
            payment = f"{len(right) + 1:08d}"
            right.append(
                {
                    "payment": payment,
                    "for_invoice": invoice,
                    "amount": money(part),
                    "received": later(on, random.randint(1, 90)),
                }
            )
            if complete:
                truth.add((invoice, payment))
    return labelled(random, left, right, ("invoice", "payment"), truth)


def collective_payments(random: Random, n: int) -> Labelled:
    """One bank line pays a batch of documents; both sides name the batch."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    batch = 0
    while len(left) < n:
        batch += 1
        name, total = f"BATCH{batch:05d}", 0
        documents: list[str] = []
        for _ in range(random.randint(1, 8)):
            document, amount = f"D{len(left):07d}", cents(random)
            left.append(
                {"document": document, "batch": name, "amount": money(amount), "supplier": company(random)}
            )
            documents.append(document)
            total += amount
        if random.random() < 0.93:
            wrong = random.random() < 0.03
            line = code(random, 12)
            right.append(
                {
                    "bank_line": line,
                    "run": name.lower(),
                    "debit": money(-total - (random.randint(500, 9_000) if wrong else 0)),
                    "value": day(random),
                }
            )
            if not wrong:
                truth |= {(document, line) for document in documents}
    return labelled(random, left, right, ("document", "bank_line"), truth)


def card_fees(random: Random, n: int) -> Labelled:
    """A card processor keeps 2.9 % and 0.30 of every order."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    lines = distinct(random, n, lambda r: code(r, 9).lower())
    for i, order in enumerate(distinct(random, n, lambda r: f"ord_{code(r, 10).lower()}")):
        amount = cents(random, 800, 90_000)
        left.append(
            {"order_id": order, "gross": money(amount), "created": day(random), "items": random.randint(1, 9)}
        )
        if random.random() < 0.94:
            fee = (amount * 29 + 500) // 1000 + 30
            bad = random.random() < 0.03
            right.append(
                {
                    "payout_line": f"txn_{lines[i]}",
                    "source": order,
                    "net": money(amount - fee - (random.randint(200, 700) if bad else 0)),
                    "available": day(random),
                }
            )
            if not bad:
                truth.add((order, f"txn_{lines[i]}"))
    return labelled(random, left, right, ("order_id", "payout_line"), truth)


def wire_fees(random: Random, n: int) -> Labelled:
    """Three transfers in ten arrive less a fee of 15.00; a few arrive short by anything."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        ref, amount = f"{2024}{i:06d}", cents(random, 20_000)
        left.append({"bill": ref, "value": money(amount), "sent": day(random), "partner": company(random)})
        if random.random() < 0.95:
            fate = random.random()
            short = 1500 if fate < 0.3 else random.randint(1, 19_000) if fate < 0.35 else 0
            right.append(
                {
                    "wire": f"W{code(random, 9)}",
                    "bill_no": ref,
                    "received": money(amount - short),
                    "at": f"{day(random)}T0{random.randint(0, 9)}:15:00",
                }
            )
            if short in (0, 1500):
                truth.add((ref, right[-1]["wire"]))
    return labelled(random, left, right, ("bill", "wire"), truth)


def typos(random: Random, n: int) -> Labelled:
    """A quarter of the references have a typo; the amounts are right."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    transfers = random.sample(range(10 * n), n)
    for i, ref in enumerate(distinct(random, n, lambda r: f"{code(r, 3)}-{r.randint(10**6, 10**7 - 1)}")):
        amount, on = cents(random), day(random)
        left.append({"claim": ref, "approved": money(amount), "approved_on": on})
        if random.random() < 0.93:
            right.append(
                {
                    "transfer": f"TR{transfers[i]:07d}",
                    "claim_ref": _mistyped(random, ref) if random.random() < 0.25 else ref,
                    "amount": money(amount),
                    "executed": later(on, random.randint(0, 10)),
                }
            )
            truth.add((ref, f"TR{transfers[i]:07d}"))
    return labelled(random, left, right, ("claim", "transfer"), truth)


def _mistyped(random: Random, text: str) -> str:
    at = random.randrange(len(text) - 1)
    kind = random.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1:
        return text[:at] + random.choice("0123456789") + text[at + 1 :]
    return text[:at] + text[at + 1 :]


def no_reference(random: Random, n: int) -> Labelled:
    """Only the amount and a few days; the months are long enough for equal amounts to be rare."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        amount, on = random.randint(10_000, 10_000 + 40_000 * max(1, n // 100)), day(random, 365)
        left.append(
            {"deposit": f"DEP{i:06d}", "sum": money(amount), "deposited": on, "branch": random.randint(1, 30)}
        )
        if random.random() < 0.95:
            right.append(
                {
                    "credit": code(random, 11),
                    "amount": money(amount),
                    "booked": later(on, random.randint(0, 3)),
                    "text": random.choice(("CASH", "DEPOSIT", "CASH DEPOSIT")),
                }
            )
            truth.add((f"DEP{i:06d}", right[-1]["credit"]))
    return labelled(random, left, right, ("deposit", "credit"), truth)


def subscriptions(random: Random, n: int) -> Labelled:
    """Three prices in all, so that the amount tells nothing; the mandate does."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    collections = random.sample(range(10 * n), n)
    for i, mandate in enumerate(random.sample(range(10**8, 10**9), n)):
        amount, on = random.choice((999, 1999, 4999)), day(random, 28)
        left.append({"subscription": f"SUB{i:06d}", "mandate": mandate, "price": money(amount), "due": on})
        if random.random() < 0.9:
            right.append(
                {
                    "collection": f"COL{collections[i]:06d}",
                    "mandate_ref": f"{mandate:012d}",
                    "amount": money(amount),
                    "collected": later(on, random.randint(0, 3)),
                }
            )
            truth.add((f"SUB{i:06d}", f"COL{collections[i]:06d}"))
    return labelled(random, left, right, ("subscription", "collection"), truth)


def written_amounts(random: Random, n: int) -> Labelled:
    """1.234,50 and 31.12.2024 on one side; cents as integers and timestamps on the other."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for number in random.sample(range(10**5, 10**7), n):
        amount, on = cents(random, 1_000, 9_000_000), day(random)
        whole = f"{amount // 100:,}".replace(",", ".")
        left.append(
            {
                "Beleg": f"RG{number:08d}",
                "Betrag": f"{whole},{amount % 100:02d}",
                "Datum": f"{on:%d.%m.%Y}",
                "Kunde": company(random),
            }
        )
        if random.random() < 0.93:
            bad = random.random() < 0.03
            right.append(
                {
                    "event": code(random, 12),
                    "reference": f"rg{number:08d}",
                    "amount_cents": amount + (random.randint(1_000, 5_000) if bad else 0),
                    "at": f"{later(on, 1)}T12:30:00Z",
                }
            )
            if not bad:
                truth.add((f"RG{number:08d}", right[-1]["event"]))
    return labelled(random, left, right, ("Beleg", "event"), truth)


CASES = (
    Case("split payments", "up to four payments add up to an invoice", True, split_payments),
    Case("collective payments", "documents of a batch add up to a bank line", True, collective_payments),
    Case("card fees", "2.9 % and 0.30 less", True, card_fees),
    Case("wire fees", "15.00 less for three in ten", True, wire_fees),
    Case("typos", "a quarter of the references mistyped", True, typos),
    Case("no reference", "amount and 0 to 3 days only", True, no_reference),
    Case("subscriptions", "three prices, zero-padded mandate", True, subscriptions),
    Case("written amounts", "1.234,50, 31.12.2024 and integer cents", True, written_amounts),
)
