# ruff: noqa: T201 - a command that prints
"""`python -m tests.differential.mutations [NAME ...] --cases N`: does the fuzz find what once was wrong?

Each mutation takes one mend out of Kalla, in the processes that check cases and nowhere else, and the fuzz
is run until it reports a defect that it does not report with the mend. Exit status 1 if it misses one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from datafusion import DataFrame, LogicalPlan, SessionContext
from kalla_runner.matching import check, engine, matched, stable
from kalla_runner.matching.sql import calls, resolve

from tests.differential.check import Outcome, Verdict
from tests.differential.pool import outcomes

SEED: Final = 424_242


def _nothing(*_: object) -> None:
    """Leave a node as it is."""


def _planned_once(_: SessionContext, frame: DataFrame) -> tuple[DataFrame, LogicalPlan]:
    return frame, frame.optimized_logical_plan()


def round_type(stack: ExitStack) -> None:
    """A1: ROUND is left to the engine and planned once: one scale in the plan, another at run time."""
    stack.enter_context(patch.object(resolve, "make_rounding_exact", _nothing))
    for module in (stable, matched):
        stack.enter_context(patch.object(module, "stabilised", _planned_once))


def date_patterns(stack: ExitStack) -> None:
    """A2: TO_CHAR hands its pattern to the engine, which copies YYYY-MM as text."""
    stack.enter_context(patch.dict(calls._REWRITES, {"to_char": _nothing}))  # pyright: ignore[reportPrivateUsage, reportArgumentType]


def integer_division(stack: ExitStack) -> None:
    """A3: a quotient of integers is cut off."""
    stack.enter_context(patch.object(calls, "divide", _nothing))


def casts(stack: ExitStack) -> None:
    """A4: a CAST means what the engine makes of it: an integer is days since 1970."""
    stack.enter_context(patch.object(calls, "settle_cast", _nothing))


def equal_keys(stack: ExitStack) -> None:
    """A5: a row is matched because another row has its key."""

    honest = engine._Side.write_unmatched  # pyright: ignore[reportPrivateUsage]

    def closed(side: Any, marks: Any, written: Callable[[int], None]) -> Any:
        facts = side.facts.result()
        marks.matched[facts.rows] |= facts._of_keys(marks.matched)
        return honest(side, marks, written)

    stack.enter_context(patch.object(engine._Side, "write_unmatched", closed))  # pyright: ignore[reportPrivateUsage]


def _frame_as_it_is(_: SessionContext, frame: DataFrame) -> DataFrame:
    return frame


def outer_joins(stack: ExitStack) -> None:
    """RIGHT: the engine moves filters below RIGHT JOINs by the names of columns."""
    stack.enter_context(patch.object(check, "turn_right_joins", _nothing))
    stack.enter_context(patch.object(stable, "_full_joins_kept", _frame_as_it_is))


def one_zero(stack: ExitStack) -> None:
    """ZERO: -0.0 is not 0.0 where the engine groups, orders and takes cases."""
    stack.enter_context(patch.object(resolve, "keep_one_zero", _nothing))


def nulls_in_lists(stack: ExitStack) -> None:
    """LISTS: a NULL in a list, and a list that is NULL, equal another one."""
    rewrites = dict.fromkeys(("array_has_all", "array_has_any"), _nothing)
    stack.enter_context(patch.dict(calls._REWRITES, rewrites))  # pyright: ignore[reportPrivateUsage, reportArgumentType]


MUTATIONS: Final[Mapping[str, Callable[[ExitStack], None]]] = {
    "A1": round_type,
    "A2": date_patterns,
    "A3": integer_division,
    "A4": casts,
    "A5": equal_keys,
    "RIGHT": outer_joins,
    "ZERO": one_zero,
    "LISTS": nulls_in_lists,
}
"""The faults of which SQL can show something, and those of the engine that the fuzz found.

A6, a header line taken for data, has no SQL.
"""


def apply(name: str) -> None:
    """Take a mend out of this process for good."""
    MUTATIONS[name](ExitStack())


def found(name: str, cases: int, jobs: int, seed: int = SEED) -> tuple[int, Outcome] | None:
    """Run the fuzz with a mend taken out; the first defect that the whole Kalla does not have, or None."""
    for number, outcome in outcomes(range(seed, seed + cases), jobs, prepare=functools.partial(apply, name)):
        # What a process dies of, or hangs in, need not be the mend.
        if outcome.verdict is not Verdict.DEFECT or outcome.reason.startswith(("crash: the process", "hang")):
            continue
        whole = dict(outcomes([number], 1))[number]
        if whole.verdict is not Verdict.DEFECT:
            return number, outcome
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", default=[*MUTATIONS], help=f"of {', '.join(MUTATIONS)}")
    parser.add_argument("--cases", type=int, default=3000, help="at most, for each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    missed = 0
    for name in arguments.names:
        begin = time.perf_counter()
        hit = found(name, arguments.cases, arguments.jobs, arguments.seed)
        seconds = time.perf_counter() - begin
        title = (MUTATIONS[name].__doc__ or "").strip()
        if hit is None:
            missed += 1
            print(f"{title}\n  MISSED in {arguments.cases} cases, {seconds:.0f} s", flush=True)
        else:
            number, outcome = hit
            after = number - arguments.seed + 1
            print(
                f"{title}\n  found by case {after} ({seconds:.0f} s): {outcome.reason.splitlines()[0][:200]}",
                flush=True,
            )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
