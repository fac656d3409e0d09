"""What a reconciliation answers, in a form that can be compared exactly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
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


def rows_from(rows: Iterable[Sequence[object]]) -> Rows:
    """Return the multiset of rows of plain values."""
    return Counter(tuple(_cell(cell) for cell in row) for row in rows)


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


def differences(ours: Answer, theirs: Answer, oracle: str) -> list[str]:
    """Say in a few lines where Kalla's answer (ours) departs from the oracle's."""
    lines: list[str] = []
    for name in ("matched", "unmatched_left", "unmatched_right"):
        mine: Rows = getattr(ours, name)
        right: Rows = getattr(theirs, name)
        if mine == right:
            continue
        for label, rows in zip(("Kalla", oracle), _apart(mine - right, right - mine), strict=True):
            if rows:
                shown = "; ".join(f"{count} x {_show(row)}" for row, count in list(rows.items())[:3])
                lines.append(f"{name}: {rows.total()} rows only in {label}: {shown}")
    return lines


def _apart(mine: Rows, right: Rows) -> tuple[Rows, Rows]:
    """Take away the rows alike but for the last digits of floats: engines add up in another order."""
    left: Rows = Counter()
    rest = Counter(right)
    for row, count in mine.items():
        for _ in range(count):
            twin = next((other for other in rest if _near(row, other)), None)
            if twin is None:
                left[row] += 1
            else:
                rest[twin] -= 1
                if not rest[twin]:
                    del rest[twin]
    return left, rest


def _near(one: Row, two: Row) -> bool:
    def alike(a: Hashable, b: Hashable) -> bool:
        if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0] == "float":
            x, y = float(str(a[1])), float(str(b[1]))
            return math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(x) and math.isnan(y))
        return a == b

    return len(one) == len(two) and all(alike(a, b) for a, b in zip(one, two, strict=True))


def _show(row: Row) -> str:
    return "(" + ", ".join(str(cell[-1]) if isinstance(cell, tuple) else str(cell) for cell in row) + ")"
