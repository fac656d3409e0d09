"""How far a match is, from what its plan has read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from datafusion import ExecutionPlan

MatchProgress = Callable[[float, int], None]
"""Called with the fraction done, 0.0 to 1.0, and the matched rows so far; never from two threads at once."""

INTERVAL_SECONDS: Final = 0.1

LOADED: Final = 0.05
QUERIED: Final = 0.85
UNMATCHED: Final = 0.98
"""Where the fraction stands once the sources are in reach, the query has run, all rows are written."""


class Ticker:
    """Passes progress on: never backwards, and at most ten times a second."""

    def __init__(self, report: MatchProgress) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._fraction = 0.0
        self._matched = 0
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether a report would be passed on now; spares the making of unwanted ones."""
        return time.monotonic() >= self._next

    def tick(self, fraction: float, matched: int = 0, *, last: bool = False) -> None:
        """Report a fraction and the matched rows so far (the highest of both counts)."""
        with self._lock:
            self._fraction = max(self._fraction, min(fraction, 1.0))
            self._matched = max(self._matched, matched)
            if last or self.due:
                self._next = time.monotonic() + INTERVAL_SECONDS
                self._report(self._fraction, self._matched)


class PlanProgress:
    """The fraction of its input rows that a running plan has read.

    Args:
        plan: the plan that runs.
        rows: rows of all tables that it scans, each counted as often as it is scanned.
    """

    def __init__(self, plan: ExecutionPlan, rows: int) -> None:
        self._readers = list(_readers(plan, None, 0))
        self._rows = max(rows, 1)

    def fraction(self) -> float:
        """0.0 to 1.0; less than was read where the plan filters as it scans."""
        return min(sum(_rows_read(node, child) for node, child in self._readers) / self._rows, 1.0)


def _readers(
    plan: ExecutionPlan, parent: ExecutionPlan | None, child: int
) -> list[tuple[ExecutionPlan, int]]:
    """What reads from the leaves (they count nothing themselves), and as which of its children."""
    children = plan.children()
    if not children:
        return [(parent or plan, child)]
    return [reader for index, below in enumerate(children) for reader in _readers(below, plan, index)]


def _rows_read(node: ExecutionPlan, child: int) -> int:
    metrics = node.metrics()
    if metrics is None:
        return 0
    rows: int | None = None
    if len(node.children()) > 1:
        rows = metrics.sum_by_name("input_rows" if child else "build_input_rows")
    return rows if rows is not None else metrics.output_rows or 0
