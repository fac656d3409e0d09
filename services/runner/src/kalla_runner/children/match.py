"""Matches what was staged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kalla_common.domain import JobProgress, JobResult, JobSpec, OutputPaths, WitnessReport
from kalla_common.uris import mask_uri

from kalla_runner.children.protocol import MatchTask
from kalla_runner.children.stage import Staged, check_in_place, load_staged
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import MatchOutcome, Witness, run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import MatchPlan, TableInfo
from kalla_runner.matching.sql.deadline import killed_in_time
from kalla_runner.outputs.manifest import (
    MANIFEST,
    MATCHED,
    UNMATCHED_LEFT,
    UNMATCHED_RIGHT,
    RunIdentity,
)
from kalla_runner.staging import StagedTable
from kalla_runner.store.journal import spec_to_text


def match_staged(task: MatchTask, report: Callable[[JobProgress], None]) -> JobResult:
    """Match, prove, write; sources that were read in place must afterwards still be what was pinned."""
    spec, staged = task.spec, load_staged(task.staged)
    tables = staged.tables
    infos = [_info(table, spec.primary_keys.get(table.alias, ())) for table in tables]
    with killed_in_time():
        plan = plan_match(spec.match_sql, infos[0], infos[1], infos[2:], allow_quadratic=spec.allow_quadratic)

    def progress(fraction: float, matched: int) -> None:
        report(JobProgress("matching", fraction, matched, tables[0].row_count, tables[1].row_count))

    limits = Limits(memory_bytes=task.memory_bytes // 2, threads=task.threads)
    identity = RunIdentity(spec.run_id, recipe_hash(spec), _pins(staged))
    witness = _witness(spec, plan, tables, infos, limits) if task.witness else None
    outcome = run_match(plan, tables, task.folder, limits, progress, identity=identity, witness=witness)
    check_in_place(staged, task)
    return _result(outcome, task.output)


def _witness(
    spec: JobSpec,
    plan: MatchPlan,
    tables: Sequence[StagedTable],
    infos: Sequence[TableInfo],
    limits: Limits,
) -> Witness:
    # Imported late: it takes time and memory that a run without a witness shall not pay for.
    from kalla_runner.matching.witness.witness import Question, witness  # noqa: PLC0415

    def answer(folder: Path, scratch: Path, seconds: float) -> WitnessReport:
        return witness(Question(spec.match_sql, plan, tables, infos, folder, scratch), limits, seconds)

    return answer


def recipe_hash(spec: JobSpec) -> str:
    """Identifies what was asked: query, sources, filters and keys, without secrets and run."""
    asked = replace(
        spec,
        run_id="",
        output_path="",
        callback_url="",
        witness=None,
        sources=tuple(replace(source, uri=mask_uri(source.uri)) for source in spec.sources),
    )
    return hashlib.sha256(spec_to_text(asked).encode()).hexdigest()


def _pins(staged: Staged) -> dict[str, dict[str, str | int]]:
    return {alias: dict(pin) for alias, pin in staged.pins.items()}


def _info(table: StagedTable, primary_key: Sequence[str]) -> TableInfo:
    return TableInfo.of(table.alias, table.schema, primary_key, table.row_count)


def _result(outcome: MatchOutcome, output: str) -> JobResult:
    return JobResult(
        matched_count=outcome.matched_count,
        unmatched_left_count=outcome.left.unmatched_rows,
        unmatched_right_count=outcome.right.unmatched_rows,
        output_paths=OutputPaths(
            *(f"{output}/{name}" for name in (MATCHED, UNMATCHED_LEFT, UNMATCHED_RIGHT, MANIFEST))
        ),
        left=outcome.left,
        right=outcome.right,
        match_path=outcome.match_path,
        witness=outcome.witness,
    )
