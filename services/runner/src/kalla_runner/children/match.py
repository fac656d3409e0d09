"""Matches what was staged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kalla_common.domain import JobProgress, JobResult

from kalla_runner.children.protocol import MatchTask
from kalla_runner.children.stage import check_in_place, load_staged
from kalla_runner.matching.plan import TableInfo
from kalla_runner.staging import StagedTable


def match_staged(task: MatchTask, report: Callable[[JobProgress], None]) -> JobResult:
    """Match, prove, write; the sources that were read in place must still be what was pinned."""
    from kalla_runner.matching.check import plan_match  # noqa: PLC0415
    from kalla_runner.matching.engine import run_match  # noqa: PLC0415

    staged = load_staged(task.staged)
    spec = task.spec
    infos = [_info(table, spec.primary_keys.get(table.alias, ())) for table in staged.tables]
    plan = plan_match(spec.match_sql, infos[0], infos[1], infos[2:], allow_quadratic=spec.allow_quadratic)
    check_in_place(staged, task)
    raise NotImplementedError(plan, run_match, report)


def _info(table: StagedTable, primary_key: Sequence[str]) -> TableInfo:
    return TableInfo(table.alias, table.schema, tuple(primary_key), table.row_count)
