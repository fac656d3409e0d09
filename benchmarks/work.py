"""The one piece of work that every program does, and how its outputs are judged.

Inputs: invoices and payments. Outputs, all columns, exact decimals, one compression: `matched`
(pairs of equal reference whose amounts differ by at most 0.02), `unmatched_left`, `unmatched_right`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from benchmarks.generate import LEFT_COLUMNS, RIGHT_COLUMNS, Truth

THREADS: Final = 2
COMPRESSION: Final = "snappy"
OUTPUTS: Final = ("matched", "unmatched_left", "unmatched_right")
TOLERANCE: Final = "0.02"
MATCH_SQL: Final = (
    "SELECT l.*, r.* FROM invoices l JOIN payments r "
    f"ON l.reference = r.invoice_ref AND tolerance_match(l.amount, r.paid_amount, {TOLERANCE})"
)


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a program's outputs; `fault` is empty if they are right in every cell."""

    fault: str
    content: tuple[str, ...]


def judge(folder: Path, truth: Truth, reference: tuple[str, ...] | None) -> Judgement:
    """Compare the outputs' row counts with the truth and their cells with the reference's."""
    files = {name: folder / f"{name}.parquet" for name in OUTPUTS}
    counts = {name: pq.read_metadata(path).num_rows for name, path in files.items()}
    expected = {name: getattr(truth, name) for name in OUTPUTS}
    content = tuple(_content(files[name], name) for name in OUTPUTS)
    faults = [f"{n} {counts[n]:,} not {expected[n]:,}" for n in OUTPUTS if counts[n] != expected[n]]
    if not faults and reference is not None and content != reference:
        faults = [
            f"other cells in {n}"
            for n, ours, theirs in zip(OUTPUTS, content, reference, strict=True)
            if ours != theirs
        ]
    return Judgement("; ".join(faults), content)


def _content(path: Path, name: str) -> str:
    """Return a figure that is equal for equal multisets of rows, whatever their order and types' widths."""
    columns = {
        "matched": LEFT_COLUMNS + RIGHT_COLUMNS,
        "unmatched_left": LEFT_COLUMNS,
        "unmatched_right": RIGHT_COLUMNS,
    }[name]
    # As text: a float 100.1 or a decimal 100.100 is not the exact amount 100.10.
    cells = ", ".join(f'"{column}"::VARCHAR' for column in columns)
    with duckdb.connect(config={"threads": THREADS}) as connection:
        query = f"SELECT count(*), sum(hash({cells})::HUGEINT)::VARCHAR FROM read_parquet(?)"
        row = connection.execute(query, [str(path)]).fetchone()
    return str(row)
