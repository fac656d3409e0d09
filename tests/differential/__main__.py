# ruff: noqa: T201 - a command that prints
"""`python -m tests.differential --cases N --seed S`: compare Kalla with DuckDB on N random cases.

Case i of a run has the seed S + i. Failing cases are shrunk and written as Python files, which
`--reproduce FILE` runs again. Exit status 1 if there was any defect.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.differential.check import Outcome, Verdict, check, report
from tests.differential.generate import make_case
from tests.differential.model import Case
from tests.differential.oracle import Oracle
from tests.differential.pool import outcomes
from tests.differential.reproduce import load_case, save_case
from tests.differential.shrink import shrink
from tests.differential.translations import DRAWN_ENTRIES, NOT_DRAWN
from tests.postgres import postgres_server


def main() -> int:
    arguments = _arguments()
    if arguments.reproduce:
        return _reproduce(arguments.reproduce)
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(10**9)
    print(f"seed {seed}, {arguments.cases} cases", flush=True)
    begin = time.perf_counter()
    tally: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    defects: list[tuple[int, Outcome]] = []
    for number, outcome in _outcomes(arguments, seed):
        tally[outcome.verdict] += 1
        tally[f"first path {outcome.path}"] += bool(outcome.path)
        tally["comparisons"] += outcome.paths_run
        tally["with matches"] += outcome.matched > 0
        tally["with PostgreSQL"] += outcome.postgres
        shown.update(outcome.shown)
        if outcome.verdict in (Verdict.REFUSED, Verdict.NO_ORACLE):
            refusals[_kind_of(outcome)] += 1
        if outcome.verdict is Verdict.DEFECT:
            defects.append((number, outcome))
            print(f"seed {number}: {outcome.reason}", flush=True)
        done = sum(tally[verdict] for verdict in Verdict)
        if done % 500 == 0:
            print(f"{done} cases, {len(defects)} defects, {time.perf_counter() - begin:.0f} s", flush=True)
        if len(defects) >= arguments.stop_after:
            break
    seconds = time.perf_counter() - begin
    print(f"{dict(tally)} in {seconds:.0f} s")
    for reason, count in refusals.most_common(30):
        print(f"  {count} {reason}")
    _print_coverage(shown)
    for number, outcome in defects[: arguments.shrink]:
        _shrink(number, outcome, arguments.out)
    return 1 if defects else 0


def _outcomes(arguments: argparse.Namespace, seed: int) -> Iterator[tuple[int, Outcome]]:
    seeds = range(seed, seed + arguments.cases)
    if not arguments.postgres:
        yield from outcomes(seeds, arguments.jobs)
        return
    with postgres_server() as url:
        yield from outcomes(seeds, arguments.jobs, url)


def _kind_of(outcome: Outcome) -> str:
    """Return a refusal's sentence without what only this case has in it."""
    words = re.sub(r"'[^']*'|\"[^\"]*\"|\d+|\([^)]*\)", "_", outcome.reason)
    return f"{outcome.verdict}: {words[:110]}"


def _print_coverage(shown: Counter[str]) -> None:
    print("cases in which an entry's values were compared:")
    print("  " + ", ".join(f"{name} {shown[name]}" for name in sorted(DRAWN_ENTRIES)))
    print(f"  not reached: {', '.join(sorted(DRAWN_ENTRIES - set(shown))) or 'none'}")
    print(f"  never drawn: {', '.join(f'{name} ({why})' for name, why in NOT_DRAWN.items())}")


def _shrink(seed: int, outcome: Outcome, out: Path) -> None:
    kind = _fault_kind(outcome)
    oracle = Oracle()
    try:
        with tempfile.TemporaryDirectory(prefix="kalla-differential-") as folder:
            counter = iter(range(10**9))

            def again(case: Case) -> Outcome:
                return check(case, oracle, Path(folder) / str(next(counter)))

            small = shrink(make_case(seed), lambda case: _fault_kind(again(case)) == kind)
            print("\n" + report(small, again(small)))
    finally:
        oracle.close()
    print(f"  {save_case(small, out)}", flush=True)


def _fault_kind(outcome: Outcome) -> str:
    """Return what must stay the same while a case shrinks: another defect is another story."""
    if outcome.verdict is not Verdict.DEFECT:
        return ""
    if outcome.reason.startswith("crash"):
        return outcome.reason.strip().splitlines()[-1][:60]
    return " ".join(outcome.reason.split()[:2])


def _reproduce(path: Path) -> int:
    case = load_case(path)
    oracle = Oracle()
    try:
        with tempfile.TemporaryDirectory(prefix="kalla-differential-") as folder:
            outcome = check(case, oracle, Path(folder) / "case")
    finally:
        oracle.close()
    print(report(case, outcome))
    return int(outcome.verdict is Verdict.DEFECT)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, help="default: a random one, printed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--no-postgres", dest="postgres", action="store_false", help="let DuckDB answer alone"
    )
    parser.add_argument("--stop-after", type=int, default=50, help="stop at this many defects")
    parser.add_argument("--shrink", type=int, default=5, help="how many defects to shrink")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "kalla-defects")
    parser.add_argument("--reproduce", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
