"""Pairs of sources in which nothing tells which rows belong together: the right answer is "no rule"."""

from __future__ import annotations

from random import Random

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
    money,
    status,
)


def unrelated(random: Random, n: int) -> Labelled:
    """Running numbers on both sides; everything else is independent."""
    left: list[Row] = [
        {
            "id": i + 1,
            "invoice_no": 5_000 + i,
            "amount": money(cents(random)),
            "date": day(random),
            "status": status(random),
        }
        for i in range(n)
    ]
    right: list[Row] = [
        {
            "id": i + 1,
            "ref": 5_000 + i,
            "amount": money(cents(random)),
            "date": day(random),
            "status": status(random),
        }
        for i in range(n)
    ]
    return labelled(random, left, right, ("id", "id"), ())


def price_points(random: Random, n: int) -> Labelled:
    """Every row has its partner, but there are only three prices, one week, and no reference."""
    left: list[Row] = []
    right: list[Row] = []
    for _ in range(n):
        amount, on = money(random.choice((999, 1999, 4999))), day(random, 7)
        left.append({"ticket": code(random, 11), "price": amount, "sold": on, "gate": random.randint(1, 4)})
        right.append(
            {
                "charge": f"ch_{code(random, 11)}",
                "amount": amount,
                "charged": on,
                "terminal": random.randint(1, 6),
            }
        )
    return labelled(random, left, right, ("ticket", "charge"), ())


def other_references(random: Random, n: int) -> Labelled:
    """References of two systems that never meet; currency, country and day do."""
    left: list[Row] = [
        {
            "order": f"WEB-{code(random, 10)}",
            "currency": random.choice(("EUR", "USD")),
            "country": random.choice(("DE", "FR", "IT", "ES")),
            "total": money(cents(random)),
            "ordered": day(random, 60),
        }
        for _ in range(n)
    ]
    right: list[Row] = [
        {
            "shipment": f"1Z{random.randint(10**13, 10**14 - 1)}",
            "currency": random.choice(("EUR", "USD")),
            "to_country": random.choice(("DE", "FR", "IT", "ES")),
            "insured": money(cents(random)),
            "shipped": day(random, 60),
        }
        for _ in range(n)
    ]
    return labelled(random, left, right, ("order", "shipment"), ())


def customers_only(random: Random, n: int) -> Labelled:
    """Both sides name the customer, who has many rows on each; nothing else agrees."""
    customers = distinct(random, max(5, n // 12), lambda r: f"CU{r.randint(10_000, 9_999_999)}")
    left: list[Row] = [
        {
            "order": f"O{random.randrange(10**10):010d}",
            "customer": random.choice(customers),
            "name": company(random),
            "amount": money(cents(random)),
            "day": day(random),
        }
        for _ in range(n)
    ]
    right: list[Row] = [
        {
            "ticket": f"T{random.randrange(10**10):010d}",
            "client": random.choice(customers),
            "minutes": random.randint(5, 400),
            "cost": money(cents(random)),
            "day": day(random),
        }
        for _ in range(n)
    ]
    return labelled(random, left, right, ("order", "ticket"), ())


CASES = (
    Case("unrelated", "running numbers that overlap, all else independent", False, unrelated),
    Case("price points", "three prices, one week, no reference", False, price_points),
    Case("other references", "only currency, country and day are shared", False, other_references),
    Case("customers only", "a customer with many rows on each side", False, customers_only),
)
