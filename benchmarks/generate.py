"""Seeded invoices and payments of any size, with the true answer counted while they are made.

Per invoice (base rows): 90 % are paid once within the tolerance (2 in 3 of these exactly, the rest off
by 0.01 or by exactly 0.02), 3 % are paid off by 0.03 to 5.00, 7 % not at all. 0.5 % of the payments come
twice under another id, 0.1 % of the invoices are duplicated rows, and payments without an invoice fill
up to 0.97 payments an invoice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

SEED: Final = 20_240
DATA: Final = Path(__file__).parent / "data"
TOLERANCE_CENTS: Final = 2
LEFT_COLUMNS: Final = ("invoice_id", "customer", "reference", "amount", "currency", "invoice_date")
RIGHT_COLUMNS: Final = ("payment_id", "payer", "invoice_ref", "paid_amount", "paid_currency", "paid_date")
LEFT_PAID_SHARE: Final = 0.90
RIGHT_SHARE: Final = 0.97

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The exact answer; all figures are rows."""

    left_rows: int
    right_rows: int
    matched: int
    unmatched_left: int
    unmatched_right: int


@dataclass(frozen=True)
class Dataset:
    """Where one size and format lies, and its true answer."""

    rows: int
    format: str
    left: Path
    right: Path
    truth: Truth


def dataset(rows: int, file_format: str) -> Dataset:
    """Return the files of `rows` invoices as "csv" or "parquet", made once and kept."""
    folder = DATA / f"v1-{rows}"
    truth_file = folder / "truth.json"
    if not truth_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        left, right, truth = make_tables(rows)
        for name, table in (("invoices", left), ("payments", right)):
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd", row_group_size=1 << 20)
            pacsv.write_csv(table, folder / f"{name}.csv", pacsv.WriteOptions(quoting_style="none"))
        truth_file.write_text(json.dumps(asdict(truth)))
    truth = Truth(**json.loads(truth_file.read_text()))
    left, right = (folder / f"{name}.{file_format}" for name in ("invoices", "payments"))
    return Dataset(rows, file_format, left, right, truth)


def make_tables(rows: int, seed: int = SEED) -> tuple[pa.Table, pa.Table, Truth]:
    """Return (invoices, payments, truth) for `rows` invoices."""
    rng = np.random.default_rng(seed)
    twins = max(1, rows // 1000)
    base = rows - twins
    # Row i of the invoices is base invoice owner[i]; twins are whole rows that come twice.
    owner = np.concatenate([np.arange(base), rng.choice(base, twins, replace=False)])
    rng.shuffle(owner)
    cents = rng.integers(100, 100_000_000, base)
    right_rows = round(rows * RIGHT_SHARE)
    payment_of, offset = _payments(rng, base, right_rows)
    has_invoice = payment_of < base
    paid_cents = np.where(
        has_invoice,
        cents[np.minimum(payment_of, base - 1)] + offset,
        rng.integers(100, 100_000_000, right_rows),
    )
    matches = has_invoice & (np.abs(offset) <= TOLERANCE_CENTS)
    copies = np.bincount(owner, minlength=base)
    is_paid = np.zeros(base, dtype=bool)
    is_paid[payment_of[matches]] = True
    truth = Truth(
        left_rows=rows,
        right_rows=right_rows,
        matched=int(copies[payment_of[matches]].sum()),
        unmatched_left=int(copies[~is_paid].sum()),
        unmatched_right=int(right_rows - matches.sum()),
    )
    customers = rng.integers(0, 50_000, base)
    days = rng.integers(19_000, 19_365, base)
    left = pa.table(
        {
            "invoice_id": _numbered("INV-", owner, 9),
            "customer": _numbered("customer ", customers[owner], 5),
            "reference": _numbered("R", owner * 7 + 13, 10),
            "amount": _money(cents[owner]),
            "currency": _currency(owner),
            "invoice_date": _dates(days[owner]),
        }
    )
    payer = np.where(has_invoice, customers[np.minimum(payment_of, base - 1)], 50_001)
    right = pa.table(
        {
            "payment_id": _numbered("PAY-", rng.permutation(right_rows), 9),
            "payer": _numbered("customer ", payer, 5),
            "invoice_ref": _numbered("R", payment_of * 7 + 13, 10),
            "paid_amount": _money(paid_cents),
            "paid_currency": _currency(payment_of),
            "paid_date": _dates(days[np.minimum(payment_of, base - 1)] + rng.integers(0, 30, right_rows)),
        }
    )
    return left, right, truth


def _payments(rng: np.random.Generator, base: int, right_rows: int) -> tuple[Ints, Ints]:
    """Return for each payment the base invoice it names (>= base: none) and its offset in cents."""
    order = rng.permutation(base)
    paid = order[: int(base * LEFT_PAID_SHARE)]
    wrong = order[len(paid) : int(base * 0.93)]
    near = rng.choice(np.array([0, 0, 0, 0, 1, 2]), len(paid)) * rng.choice([-1, 1], len(paid))
    far = rng.integers(3, 501, len(wrong)) * rng.choice([-1, 1], len(wrong))
    twice = rng.choice(len(paid), len(paid) // 200, replace=False)
    named = np.concatenate([paid, wrong, paid[twice]])
    offset = np.concatenate([near, far, near[twice]])
    strangers = right_rows - len(named)
    named = np.concatenate([named, base + np.arange(strangers)])
    offset = np.concatenate([offset, np.zeros(strangers, dtype=np.int64)])
    shuffled = rng.permutation(right_rows)
    return named[shuffled], offset[shuffled]


def _numbered(prefix: str, numbers: Ints, width: int) -> pa.Array:
    digits = pc.call_function(
        "utf8_lpad", [pc.cast(pa.array(numbers), pa.string())], pc.PadOptions(width, "0")
    )
    return pc.call_function("binary_join_element_wise", [pa.scalar(prefix), digits, pa.scalar("")])


def _money(cents: Ints) -> pa.Array:
    """Whole cents as decimal128(12, 2), without passing through floats."""
    words = np.empty((len(cents), 2), dtype=np.int64)
    words[:, 0] = cents
    words[:, 1] = cents >> 63
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(words)])


def _dates(days: Ints) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32())


def _currency(numbers: Ints) -> pa.Array:
    names = pa.array(["EUR", "USD", "GBP", "CHF"])
    return names.take(pa.array(numbers % len(names)))
