"""Finds the joins that compare every row with every row, and how many pairs that makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from datafusion import LogicalPlan
from kalla_common.errors import Code, KallaError

MAX_PAIRS: Final = 100_000_000
"""More pairs than this are refused; a core compares about as many in ten seconds."""

_JOIN: Final = re.compile(
    r"^(Inner|Left|Right|Full|LeftSemi|RightSemi|LeftAnti|RightAnti|LeftMark|RightMark) Join:(.*)"
)
_SCAN: Final = re.compile(r"^TableScan: (\S.*?)(?: projection=| full_filters=| partial_filters=| fetch=|$)")
_FETCH: Final = re.compile(r"^(?:Limit: .*fetch=|Sort: .*fetch=)(\d+)")


@dataclass(frozen=True, slots=True)
class _Cost:
    rows: int
    pairs: int


def check_cost(plan: LogicalPlan, row_counts: Mapping[str, int]) -> None:
    """Refuse a plan that stays quadratic over large tables.

    Args:
        plan: optimised.
        row_counts: rows by table name; tables that are not in it count as empty.

    Raises:
        KallaError: QUADRATIC_PLAN.
    """
    cost = _cost(plan, row_counts)
    if cost.pairs > MAX_PAIRS:
        raise KallaError(
            Code.QUADRATIC_PLAN,
            f"match_sql would compare {cost.pairs:,} pairs of rows, because a join has no equality between "
            "its sides: add one to ON, such as l.reference = r.reference, or allow quadratic plans in the "
            "recipe.",
            pairs=str(cost.pairs),
        )


def _cost(plan: LogicalPlan, row_counts: Mapping[str, int]) -> _Cost:
    inputs = [_cost(child, row_counts) for child in plan.inputs()]
    text = plan.display()
    pairs = max((cost.pairs for cost in inputs), default=0)
    rows = sum(cost.rows for cost in inputs)
    scan = _SCAN.match(text)
    if scan:
        return _Cost(row_counts.get(scan.group(1), 0), 0)
    join = _JOIN.match(text)
    if join or text.startswith("Cross Join"):
        one, two = inputs[0].rows, inputs[1].rows
        if not join or not _has_equality(join.group(2)):
            return _Cost(_joined(join.group(1) if join else "Inner", one, two), max(pairs, one * two))
        return _Cost(max(one, two), pairs)
    fetch = _FETCH.match(text)
    if fetch:
        return _Cost(min(rows, int(fetch.group(1))), pairs)
    if text.startswith(("Aggregate: groupBy=[[]]", "EmptyRelation")):
        return _Cost(1, pairs)
    return _Cost(rows, pairs)


def _has_equality(detail: str) -> bool:
    """Whether `Join: a = b Filter: ...` has anything before its filter."""
    return bool(detail.partition("Filter:")[0].strip())


def _joined(kind: str, one: int, two: int) -> int:
    if kind.startswith(("LeftSemi", "LeftAnti", "LeftMark")):
        return one
    if kind.startswith(("RightSemi", "RightAnti", "RightMark")):
        return two
    return one * two
