# ruff: noqa: T201 - a command that prints
"""`python -m tests.differential.witnessed --cases N --seed S`: random cases with a second engine as witness.

A disagreement is a defect, of the match engine, of DuckDB or of the translation. Says how many cases
could not be translated with certainty, and why.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from kalla_common.domain import WitnessReport
from kalla_common.errors import KallaError
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.witness.witness import Question, witness

from tests.differential.check import LAWFUL
from tests.differential.generate import make_case
from tests.differential.model import Case
from tests.differential.render import match_sql
from tests.differential.subject import Subject

_LIMITS = Limits(memory_bytes=256 << 20, threads=2)


def witnessed(case: Case, folder: Path) -> WitnessReport:
    """The witness's report on a case.

    Raises:
        KallaError: WITNESS_DISAGREES; what the case is lawfully refused for.
    """
    sql = match_sql(case)
    with Subject(case, folder / "case") as subject:
        tables = [subject.staged(table) for table in case.tables]
        infos = [
            TableInfo(staged.alias, staged.schema, table.primary_key, staged.row_count)
            for table, staged in zip(case.tables, tables, strict=True)
        ]
        plan = plan_match(sql, infos[0], infos[1], infos[2:])

        def answer(written: Path, scratch: Path, seconds: float) -> WitnessReport:
            return witness(Question(sql, plan, tables, infos, written, scratch), _LIMITS, seconds)

        outcome = run_match(plan, tables, folder / "out", _LIMITS, lambda _f, _m: None, witness=answer)
    assert outcome.witness is not None
    return outcome.witness


def tally_of(seeds: range) -> tuple[Counter[str], Counter[str], list[str]]:
    """How the cases of these seeds end, why some were not possible, and the disagreements."""
    tally: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    defects: list[str] = []
    for seed in seeds:
        case = make_case(seed)
        with tempfile.TemporaryDirectory(prefix="kalla-witness-") as folder:
            try:
                report = witnessed(case, Path(folder))
            except KallaError as error:
                tally["refused" if error.code in LAWFUL else error.code.value] += 1
                if error.code not in LAWFUL:
                    defects.append(f"seed {seed}: {error.message}\n  {match_sql(case)}")
                continue
        tally[report.status] += 1
        if report.reason is not None:
            reasons[report.reason] += 1
    return tally, reasons, defects


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential.witnessed", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally, reasons, defects = tally_of(range(arguments.seed, arguments.seed + arguments.cases))
    print(*defects, dict(tally), sep="\n")
    for reason, count in reasons.most_common():
        print(f"{count:5}  {reason}")
    return int(bool(defects))


if __name__ == "__main__":
    sys.exit(main())
