"""Small exact sources, and how they are staged for the engine."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
from kalla_runner.staging import StagedTable

AMOUNT = pa.decimal128(18, 2)


def invoices_and_payments(rows: int) -> tuple[pa.Table, pa.Table]:
    """`rows` invoices; the payment of the n-th one is the n-th payment.

    Of twenty payments one is off by 0.01 and one by 0.02, one is short by far; the last tenth of the
    invoices is unpaid.
    """
    random = Random(5)  # noqa: S311  # data, no secrets
    amounts = [Decimal(random.randint(1_000, 900_000)) / 100 for _ in range(rows)]
    first = date(2024, 1, 1)
    left = pa.table(
        {
            "invoice_id": [f"INV-{7 * n + 100_000}" for n in range(rows)],
            "customer": [random.choice(("Kalo", "Miter", "Dorvex")) for _ in range(rows)],
            "amount": pa.array(amounts, AMOUNT),
            "issued": [first + timedelta(days=n % 90) for n in range(rows)],
        }
    )
    paid = rows - rows // 10
    off = {3: Decimal("0.01"), 8: Decimal("-0.02"), 13: Decimal("-7.50")}
    right = pa.table(
        {
            "payment_id": [f"P{random.randrange(10**8):08d}{n}" for n in range(paid)],
            "reference": left["invoice_id"].slice(0, paid),
            "paid": pa.array([amounts[n] + off.get(n % 20, Decimal(0)) for n in range(paid)], AMOUNT),
            "paid_on": [first + timedelta(days=n % 90 + random.randint(1, 30)) for n in range(paid)],
        }
    )
    return left, right


def staged(folder: Path, alias: str, rows: pa.Table) -> StagedTable:
    """Write rows as a connector would."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{alias}.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return StagedTable(alias, rows.schema, "arrow", (path,), rows.num_rows, ())
