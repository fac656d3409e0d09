"""Makes staged tables and match plans by hand, so that the engine is tested without connectors or checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_common.domain import FilterCondition
from kalla_runner.matching.engine import MatchOutcome, run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, ROW_COLUMN, MatchPlan, TableInfo
from kalla_runner.outputs.manifest import RunIdentity
from kalla_runner.staging import StagedTable

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Staged:
    """A table on disk and its key."""

    table: StagedTable
    key: tuple[str, ...]

    @property
    def info(self) -> TableInfo:
        return TableInfo(self.table.alias, self.table.schema, self.key, self.table.row_count)


def stage(
    folder: Path,
    alias: str,
    rows: pa.Table,
    key: tuple[str, ...] = (),
    *,
    filters: tuple[FilterCondition, ...] = (),
    parquet: bool = False,
    cut: int = 100,
) -> Staged:
    """Write rows as a connector would: two Arrow files, or one Parquet file in place."""
    folder.mkdir(parents=True, exist_ok=True)
    if parquet:
        files = (folder / f"{alias}.parquet",)
        pq.write_table(rows, files[0], row_group_size=cut)
    else:
        files = (folder / f"{alias}.0.arrow", folder / f"{alias}.1.arrow")
        half = rows.num_rows // 2
        for path, part in zip(files, (rows.slice(0, half), rows.slice(half)), strict=True):
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
                writer.write_table(part, max_chunksize=cut)
    kind = "parquet" if parquet else "arrow"
    return Staged(StagedTable(alias, rows.schema, kind, files, rows.num_rows, filters), key)


def make_plan(
    left: Staged,
    right: Staged,
    query: tuple[str, str],
    columns: tuple[str, ...],
    keys: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    path: str = "one_pass",
    join_keys: tuple[tuple[str, str], ...] = (),
    side_names: tuple[str, ...] = (),
) -> MatchPlan:
    """A plan for SELECT `query[0]` FROM `query[1]`; the aliases l and r stand for the two sides."""
    select, rest = query
    rows = f"l.{ROW_COLUMN} AS {LEFT_ROW}, r.{ROW_COLUMN} AS {RIGHT_ROW}"
    rows_sql = f"SELECT {select}, {rows} FROM {rest}"
    if path == "one_pass":
        keys_of = [*(f"l.{name}" for name in left.key), *(f"r.{name}" for name in right.key)]
        sql, rows_sql = f"{rows_sql} WHERE {' IS NOT NULL AND '.join(keys_of)} IS NOT NULL", ""
    else:
        sql = f"SELECT {select} FROM {rest}"
    return MatchPlan(
        "one_pass" if path == "one_pass" else "general",
        sql,
        columns,
        left.info,
        right.info,
        keys[0],
        keys[1],
        join_keys=join_keys,
        uses_side_names=side_names,
        rows_sql=rows_sql,
        numbered=(bool(rows_sql), bool(rows_sql)),
    )


@dataclass(frozen=True)
class Result:
    """A run's outcome and its files, read back."""

    outcome: MatchOutcome
    matched: pa.Table
    left: pa.Table
    right: pa.Table
    progress: list[tuple[float, int]]

    @property
    def rows(self) -> tuple[list[Row], list[Row], list[Row]]:
        """Matched rows sorted, unmatched rows in file order."""
        return sorted(rows_of(self.matched), key=repr), rows_of(self.left), rows_of(self.right)


def rows_of(table: pa.Table) -> list[Row]:
    """Rows as tuples."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def run(
    plan: MatchPlan,
    tables: Sequence[Staged],
    folder: Path,
    *,
    limits: Limits | None = None,
    identity: RunIdentity | None = None,
) -> Result:
    """Run a plan and read what it wrote."""
    seen: list[tuple[float, int]] = []
    outcome = run_match(
        plan,
        [staged.table for staged in tables],
        folder,
        limits or Limits(memory_bytes=256 << 20, threads=2),
        lambda fraction, matched: seen.append((fraction, matched)),
        identity=identity,
    )
    names = ("matched", "unmatched_left", "unmatched_right")
    return Result(outcome, *(pq.read_table(folder / f"{name}.parquet") for name in names), progress=seen)
