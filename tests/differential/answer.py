"""What a reconciliation answers, in a form that can be compared exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

Row = tuple[Hashable, ...]
Rows = Counter[Row]


@dataclass(frozen=True)
class Answer:
    """Three multisets of rows; a matched row is the selected columns, then the left and right keys."""

    matched: Rows
    unmatched_left: Rows
    unmatched_right: Rows


def rows_of(table: pa.Table) -> Rows:
    """Return the multiset of a table's rows."""
    columns = [[_cell(cell) for cell in table.column(i).to_pylist()] for i in range(table.num_columns)]
    return Counter(zip(*columns, strict=True))


def _cell(cell: object) -> Hashable:
    """Tag a value with what it is: 1 and '1' differ, 1 and 1.00 do not."""
    match cell:
        case None | bool():
            return cell
        case int() | Decimal():
            return ("number", Fraction(cell))
        case float():
            return ("float", repr(cell))
        case str():
            return ("text", cell)
        case datetime():
            zoned = cell.tzinfo is not None
            return ("timestamp", zoned, (cell.astimezone(UTC) if zoned else cell).isoformat())
        case date():
            return ("date", cell.isoformat())
        case list():
            # The order inside an aggregated list is nobody's promise.
            return ("list", tuple(sorted((_cell(part) for part in cell), key=repr)))
        case _:
            return (type(cell).__name__, repr(cell))


def differences(ours: Answer, theirs: Answer) -> list[str]:
    """Say in a few lines where Kalla's answer (ours) departs from the oracle's."""
    lines: list[str] = []
    for name in ("matched", "unmatched_left", "unmatched_right"):
        mine: Rows = getattr(ours, name)
        oracle: Rows = getattr(theirs, name)
        for label, rows in (("only in Kalla", mine - oracle), ("only in the oracle", oracle - mine)):
            if rows:
                shown = "; ".join(f"{count} x {_show(row)}" for row, count in list(rows.items())[:3])
                lines.append(f"{name}: {rows.total()} rows {label}: {shown}")
    return lines


def _show(row: Row) -> str:
    return "(" + ", ".join(str(cell[-1]) if isinstance(cell, tuple) else str(cell) for cell in row) + ")"
