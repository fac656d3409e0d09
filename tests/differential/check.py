"""One case through Kalla and the oracle: agreement, a lawful refusal, or a defect."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import duckdb
import psycopg
from kalla_common.errors import Code, KallaError

from tests.differential.answer import Answer, differences
from tests.differential.model import Case
from tests.differential.oracle import Oracle
from tests.differential.postgres import PostgresOracle
from tests.differential.render import expected_names, match_sql, meaning
from tests.differential.subject import Subject


class Verdict(StrEnum):
    """What became of a case."""

    AGREED = "agreed"
    FAILED_ALIKE = "failed alike"
    REFUSED = "refused"
    NO_ORACLE = "no oracle"
    DEFECT = "defect"


@dataclass(frozen=True)
class Outcome:
    """The verdict; `reason` says the refusal's code, or what is wrong. `path` is the first path taken.

    `shown` are the entries of the catalogue whose values were compared and not all NULL.
    """

    verdict: Verdict
    reason: str = ""
    path: str = ""
    paths_run: int = 0
    matched: int = 0
    postgres: bool = False
    shown: tuple[str, ...] = ()


LAWFUL = {Code.QUADRATIC_PLAN, Code.KEYS_NOT_SELECTED, Code.TYPE_MISMATCH, Code.INVALID_FILTER}
"""Refusals that are rules of the product; which of them a case may meet is counted, not forbidden."""

LIMITS = (
    "match_sql can be read in two ways",
    "The engine states one type",
    "The types of match_sql do not settle",
    "The engine cannot plan a window",
    "Aggregates of one SELECT ask for different orders",
    "The engine contradicts itself about NULLs",
    "A value does not fit what match_sql makes of it: a local time does not exist",
)
"""Also rules, with a sentence each: what the engine cannot do, or would do in another way, is refused."""


def check(
    case: Case, oracle: Oracle, folder: Path, postgres: PostgresOracle | None = None, *, both: bool = True
) -> Outcome:
    """Answer the case and compare with the oracles' answers; with `both`, on every path it can take."""
    if case.refused:
        return _check_refusal(case, folder)
    right: list[tuple[str, Answer]] = []
    failed = ""
    try:
        right.append(("DuckDB", oracle.answer(case)))
        if postgres is not None and case.postgres:
            right.append(("PostgreSQL", postgres.answer(case)))
    except (duckdb.Error, psycopg.Error) as error:
        failed = " ".join(str(error).split())[:200]
    if len(right) == 2 and (apart := differences(right[1][1], right[0][1], "DuckDB")):
        return Outcome(Verdict.NO_ORACLE, "the oracles differ: " + "\n ".join(apart))
    try:
        with Subject(case, folder, both=both) as subject:
            outcome = _compare(case, subject, right if not failed else [])
    except KallaError as error:
        if failed and error.code is Code.INVALID_DATA:
            return Outcome(Verdict.FAILED_ALIKE, failed)
        lawful = error.code in LAWFUL or error.message.startswith(LIMITS)
        return Outcome(Verdict.REFUSED if lawful else Verdict.DEFECT, f"{error.code}: {error.message}")
    except Exception:  # noqa: BLE001 - whatever else escapes is the defect looked for
        return Outcome(Verdict.DEFECT, "crash: " + traceback.format_exc(limit=-12))
    return replace(outcome, verdict=Verdict.NO_ORACLE, reason=failed) if failed else outcome


def _check_refusal(case: Case, folder: Path) -> Outcome:
    """Plan a case that holds something that must not run."""
    try:
        with Subject(case, folder) as subject:
            subject.plan()
    except KallaError as error:
        lawful = error.code in (Code.TYPE_MISMATCH, Code.INVALID_SQL, Code.FORBIDDEN_SQL)
        return Outcome(Verdict.AGREED if lawful else Verdict.DEFECT, str(error.message))
    return Outcome(Verdict.DEFECT, f"accepted what must be refused: {case.query.select[-1].expr.kalla}")


def _compare(case: Case, subject: Subject, right: Sequence[tuple[str, Answer]]) -> Outcome:
    first = ""
    runs = matched = 0
    shown: set[str] = set()
    for path, ours in subject.answers():
        first = first or path
        runs += 1
        faults = [line for name, answer in right for line in differences(ours.answer, answer, name)]
        faults += ours.faults
        names = expected_names(case)
        if list(ours.names[: len(names)]) != names:
            faults.append(f"columns are named {ours.names}, not {names}")
        if faults:
            return Outcome(Verdict.DEFECT, f"{path}: " + "\n  ".join(faults), path, runs)
        matched = ours.answer.matched.total()
        shown |= _shown(case, ours.answer)
    return Outcome(Verdict.AGREED, "", first, runs, matched, len(right) > 1, tuple(sorted(shown)))


def _shown(case: Case, answer: Answer) -> set[str]:
    """Return the entries whose values decided something: an output not all NULL, or which rows match."""
    found = {
        use
        for at, item in enumerate(case.query.select)
        for use in item.expr.uses
        if any(row[at] is not None for row in answer.matched)
    }
    return found | _below_outputs(case) if answer.matched else found


def entries(case: Case) -> set[str]:
    """Return the entries of the catalogue that a case uses."""
    return {use for item in case.query.select for use in item.expr.uses} | _below_outputs(case)


def _below_outputs(case: Case) -> set[str]:
    query = case.query
    grouped = query.grouped
    exprs = [*query.on, *query.where, *query.having, *query.second_on]
    for level in (*query.left_levels, *query.right_levels):
        exprs += [*level.where, *level.second, *(item.expr for item in level.extra)]
    if grouped is not None:
        exprs += [*grouped.where, *grouped.having, *(item.expr for item in (*grouped.by, *grouped.items))]
    return {use for expr in exprs for use in expr.uses}


def report(case: Case, outcome: Outcome) -> str:
    """Say all that is needed to look into a case."""
    lines = [f"seed {case.seed}: {outcome.verdict}", f"  {outcome.reason}", f"  {match_sql(case)}"]
    lines.append(f"  DuckDB: {meaning(case).sql}")
    for table in case.tables:
        names = ", ".join(f"{c.name} {c.kind.arrow()}" for c in table.columns)
        lines.append(f"  {table.alias} ({names}) key {table.primary_key} {table.format} {table.filters}")
        lines += [f"    {row}" for row in table.rows[:8]]
        if len(table.rows) > 8:
            lines.append(f"    ... {len(table.rows)} rows")
    return "\n".join(lines)
