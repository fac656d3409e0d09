"""Trials on Kalla's own engine: the sources are CSV files that Kalla types, stages, checks and matches."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_chat.inference import DraftRecipe, Source, TrialRun
from kalla_common.domain import SourceSpec, SqlCheck
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.matching.check import check_match_sql, plan_match
from kalla_runner.matching.engine import run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import TableInfo
from kalla_runner.staging import StagedTable

THREADS = 2


def stage(path: Path, alias: str, folder: Path) -> StagedTable:
    """Read a CSV file as a run does."""
    with ReadSession((path.resolve().parent,), THREADS) as session:
        return open_source(SourceSpec(alias, str(path.resolve())), session).stage(
            folder / alias, lambda _done: None
        )


def source_of(staged: StagedTable) -> Source:
    """The rows of a staged table, as inference gets them."""
    batches = [
        batch
        for path in staged.files
        for batch in pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_batches()
    ]
    rows = pa.Table.from_batches(batches, staged.schema)
    return Source(staged.alias, rows, staged.row_count)


@dataclass
class EngineTrials:
    """The port of inference over the engine; `matched` is the last run's whole output."""

    left: StagedTable
    right: StagedTable
    folder: Path
    runs: int = 0
    matched: pa.Table | None = None

    async def check(self, draft: DraftRecipe) -> SqlCheck:
        """Check a draft's query against the staged schemas."""
        return await asyncio.to_thread(check_match_sql, draft.match_sql, *self._infos(draft))

    async def run(self, draft: DraftRecipe, rows: int) -> TrialRun:
        """Run a draft, and read its outputs."""
        return await asyncio.to_thread(self._run, draft, rows)

    def _infos(self, draft: DraftRecipe) -> tuple[TableInfo, TableInfo]:
        keys = (draft.left_key, draft.right_key)
        one, two = (
            TableInfo(t.alias, t.schema, key, t.row_count)
            for t, key in zip((self.left, self.right), keys, strict=True)
        )
        return one, two

    def _run(self, draft: DraftRecipe, rows: int) -> TrialRun:
        self.runs += 1
        out = self.folder / f"run{self.runs}"
        plan = plan_match(draft.match_sql, *self._infos(draft))
        limits = Limits(memory_bytes=1 << 30, threads=THREADS)
        outcome = run_match(plan, [self.left, self.right], out, limits, lambda _done, _rows: None)
        names = ("matched", "unmatched_left", "unmatched_right")
        tables = [pq.read_table(out / f"{name}.parquet") for name in names]
        shutil.rmtree(out)
        self.matched = tables[0]
        return TrialRun(
            outcome.matched_count,
            outcome.left,
            outcome.right,
            outcome.match_path,
            tables[0].slice(0, rows),
            tables[1].slice(0, rows),
            tables[2].slice(0, rows),
        )
