"""One case through Kalla and the oracle: agreement, a lawful refusal, or a defect."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb
from kalla_common.errors import Code, KallaError

from tests.differential.answer import Answer, differences
from tests.differential.model import Case
from tests.differential.oracle import Oracle
from tests.differential.render import expected_names, match_sql
from tests.differential.subject import Subject


class Verdict(StrEnum):
    """What became of a case."""

    AGREED = "agreed"
    REFUSED = "refused"
    NO_ORACLE = "no oracle"
    DEFECT = "defect"


@dataclass(frozen=True)
class Outcome:
    """The verdict; `reason` says the refusal's code, or what is wrong. `path` is the first path taken."""

    verdict: Verdict
    reason: str = ""
    path: str = ""
    paths_run: int = 0
    matched: int = 0


LAWFUL = {Code.QUADRATIC_PLAN, Code.KEYS_NOT_SELECTED, Code.TYPE_MISMATCH, Code.INVALID_FILTER}
"""Refusals that are rules of the product; which of them a case may meet is counted, not forbidden."""


def check(case: Case, oracle: Oracle, folder: Path) -> Outcome:
    """Answer the case on every path it can take and compare each answer with the oracle's."""
    try:
        right = oracle.answer(case)
    except duckdb.Error as error:
        return Outcome(Verdict.NO_ORACLE, str(error).split(":", maxsplit=1)[0])
    subject = Subject(case, folder)
    try:
        with subject:
            return _compare(case, subject, right)
    except KallaError as error:
        lawful = error.code in LAWFUL
        return Outcome(Verdict.REFUSED if lawful else Verdict.DEFECT, f"{error.code}: {error.message}")
    except Exception:  # noqa: BLE001 - whatever else escapes is the defect looked for
        return Outcome(Verdict.DEFECT, "crash: " + traceback.format_exc(limit=-4))


def _compare(case: Case, subject: Subject, right: Answer) -> Outcome:
    first = ""
    runs = 0
    for path, ours in subject.answers():
        first = first or path
        runs += 1
        faults = differences(ours.answer, right) + ours.faults
        names = expected_names(case)
        if list(ours.names[: len(names)]) != names:
            faults.append(f"columns are named {ours.names}, not {names}")
        if faults:
            return Outcome(Verdict.DEFECT, f"{path}: " + "\n  ".join(faults), path, runs)
    return Outcome(Verdict.AGREED, "", first, runs, right.matched.total())


def report(case: Case, outcome: Outcome) -> str:
    """Say all that is needed to look into a case."""
    lines = [f"seed {case.seed}: {outcome.verdict}", f"  {outcome.reason}", f"  {match_sql(case)}"]
    for table in case.tables:
        names = ", ".join(f"{c.name} {c.kind.arrow()}" for c in table.columns)
        lines.append(f"  {table.alias} ({names}) key {table.primary_key} {table.format} {table.filters}")
        lines += [f"    {row}" for row in table.rows[:8]]
        if len(table.rows) > 8:
            lines.append(f"    ... {len(table.rows)} rows")
    return "\n".join(lines)
