"""Made-up invoices and payments with the troubles of real ones; the same seed makes the same data."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

import psycopg
from psycopg import sql

CENT: Final = Decimal("0.01")
TOLERANCE: Final = Decimal("0.02")
_FIRST_DAY: Final = date(2026, 1, 5)
_CUSTOMERS: Final = (
    "Nordwind Logistics",
    "Café Lumière",
    "Blue Harbour Foods",
    "Atelier Sol",
    "Kestrel & Sons",
)


@dataclass(frozen=True, slots=True)
class Invoice:
    """A row of the table invoices."""

    invoice_id: str
    customer: str
    amount: Decimal
    issued_on: date


@dataclass(frozen=True, slots=True)
class Payment:
    """A line of payments.csv; `reference` is what the payer wrote, "" for nothing."""

    payment_id: str
    reference: str
    paid_amount: Decimal
    paid_on: date


@dataclass(frozen=True, slots=True)
class DemoData:
    """Both sides."""

    invoices: tuple[Invoice, ...]
    payments: tuple[Payment, ...]


def make_data(rows: int, seed: int) -> DemoData:
    """`rows` invoices and about as many payments.

    Of a hundred invoices about 94 are paid as they should be, some of them with a cent or two
    of difference; the others are unpaid, paid in part, twice, or with a garbled reference.
    """
    random = Random(seed)  # noqa: S311 - data for show, not secrets
    invoices = tuple(_invoice(random, number) for number in range(1, rows + 1))
    drafts = [draft for invoice in invoices for draft in _drafts(random, invoice)]
    drafts += [_stray(random) for _ in range(max(1, rows // 100))]
    random.shuffle(drafts)
    payments = [
        Payment(f"PAY-{number:07d}", reference, amount, day)
        for number, (reference, amount, day) in enumerate(drafts, start=1)
    ]
    # A bank export that overlaps the one before: some lines come twice.
    again = random.sample(payments, k=max(1, rows // 2000))
    return DemoData(invoices, (*payments, *again))


def _invoice(random: Random, number: int) -> Invoice:
    cents = random.randint(500, 2_500_000)
    day = _FIRST_DAY + timedelta(days=random.randrange(90))
    return Invoice(f"INV-{number:06d}", random.choice(_CUSTOMERS), cents * CENT, day)


_Draft = tuple[str, Decimal, date]


def _drafts(random: Random, invoice: Invoice) -> Iterator[_Draft]:
    """The payments that one invoice gets."""
    day = invoice.issued_on + timedelta(days=random.randint(1, 30))
    fate = random.random()
    reference, amount = invoice.invoice_id, invoice.amount
    if fate < 0.02:  # noqa: PLR2004 - shares of the whole, told in make_data
        return
    if fate < 0.03:  # noqa: PLR2004
        amount = (amount * random.randint(20, 90) / 100).quantize(CENT)
    elif fate < 0.036:  # noqa: PLR2004
        reference += " "
    elif fate < 0.04:  # noqa: PLR2004
        reference = reference.lower()
    elif fate < 0.05:  # noqa: PLR2004
        yield reference, amount, day + timedelta(days=3)
    elif fate < 0.15:  # noqa: PLR2004
        amount += random.choice((-2, -1, 1, 2)) * CENT
    yield reference, amount, day


def _stray(random: Random) -> _Draft:
    """A payment that belongs to no invoice; every third names none at all."""
    reference = "" if random.randrange(3) == 0 else f"INV-9{random.randint(0, 99_999):05d}"
    return reference, random.randint(500, 900_000) * CENT, _FIRST_DAY + timedelta(days=random.randrange(120))


def write_payments(payments: tuple[Payment, ...], path: Path) -> None:
    """Write the CSV file; a missing reference is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("payment_id", "reference", "paid_amount", "paid_on"))
        writer.writerows((p.payment_id, p.reference, p.paid_amount, p.paid_on) for p in payments)


def write_invoices(invoices: tuple[Invoice, ...], admin_url: str, database: str) -> None:
    """Make the database anew with the table invoices in it.

    Args:
        invoices: its rows.
        admin_url: any other database of the server.
        database: a plain lower-case name.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(database)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    with psycopg.connect(admin_url, dbname=database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE invoices (invoice_id text PRIMARY KEY, customer text NOT NULL, "
            "amount numeric(12, 2) NOT NULL, issued_on date NOT NULL)"
        )
        with cursor.copy("COPY invoices FROM STDIN") as copy:
            for row in invoices:
                copy.write_row((row.invoice_id, row.customer, row.amount, row.issued_on))
