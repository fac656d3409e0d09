"""Runs queries through the engine with the second engine as witness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kalla_common.domain import WitnessReport
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import Witness, run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import MatchPlan
from kalla_runner.matching.witness.witness import Question, witness

from tests.integration.matching.support import Staged

LIMITS = Limits(memory_bytes=256 << 20, threads=2)


def witness_of(sql: str, plan: MatchPlan, tables: Sequence[Staged], limits: Limits = LIMITS) -> Witness:
    """The witness of a query over staged tables."""

    def answer(folder: Path, scratch: Path, seconds: float) -> WitnessReport:
        staged, infos = [table.table for table in tables], [table.info for table in tables]
        return witness(Question(sql, plan, staged, infos, folder, scratch), limits, seconds)

    return answer


def witnessed(
    sql: str, tables: Sequence[Staged], folder: Path, *, engine_sql: tuple[str, str] | None = None
) -> WitnessReport:
    """Run a query with a witness.

    Args:
        sql: the query.
        tables: the two sides, then look-ups.
        folder: where the outputs go.
        engine_sql: a piece of the match engine's own SQL, and what to put in its place, so that it errs.
    """
    infos = [table.info for table in tables]
    plan = plan_match(sql, infos[0], infos[1], infos[2:], allow_quadratic=True)
    given = plan
    if engine_sql is not None:
        assert engine_sql[0] in plan.sql, plan.sql
        given = replace(plan, sql=plan.sql.replace(*engine_sql))
    outcome = run_match(
        given,
        [table.table for table in tables],
        folder,
        LIMITS,
        lambda _fraction, _matched: None,
        witness=witness_of(sql, plan, tables),
    )
    assert outcome.witness is not None
    return outcome.witness
