"""Kalla's answer to a case: real connectors, the plan and the engine, in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.matching import check
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import MatchOutcome, run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import MatchPlan, TableInfo
from kalla_runner.staging import StagedTable

from tests.differential.answer import Answer, Row, rows_of
from tests.differential.files import csv_source, parquet_source, staged_arrow
from tests.differential.model import Case, Table
from tests.differential.render import match_sql


@dataclass(frozen=True)
class Given:
    """One answer of Kalla: its rows, the names of the matched columns, and what contradicts itself in it."""

    answer: Answer
    names: tuple[str, ...]
    faults: list[str]


class Subject:
    """A case staged below `folder`; gone on leaving. With `both` it is answered on every path it can take."""

    def __init__(self, case: Case, folder: Path, *, both: bool = True) -> None:
        self._both = both
        self._case = case
        self._folder = folder
        self._closing = ExitStack()
        self._staged: dict[str, StagedTable] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self._closing.callback(shutil.rmtree, self._folder, ignore_errors=True)
        try:
            session = self._closing.enter_context(ReadSession((self._folder,), 2))
            for number, table in enumerate(self._case.tables):
                self._staged[table.alias] = self._stage(table, self._folder / str(number), session)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def plan(self) -> MatchPlan:
        """Plan the query and run nothing."""
        return self._plan(force_general=False)

    def answers(self) -> Iterator[tuple[str, Given]]:
        """Answer on the path that the plan takes, then on the other one where the query allows it."""
        plan = self._plan(force_general=False)
        yield plan.path, self._run(plan)
        if plan.path == "one_pass" and self._both:
            general = self._plan(force_general=True)
            yield "general (forced)", self._run(general)

    def staged(self, table: Table) -> StagedTable:
        """A table of the case as it was staged."""
        return self._staged[table.alias]

    def _stage(self, table: Table, folder: Path, session: ReadSession) -> StagedTable:
        # Chance that belongs to the table alone, so that shrinking does not change the dialect.
        rng = Random(f"{self._case.seed} {table.alias}")  # noqa: S311 - no secret
        folder.mkdir()
        match table.format:
            case "arrow":
                return staged_arrow(table, folder / "staged", rng.choice([1, 1, 3]))
            case "parquet":
                spec = parquet_source(table, folder / "source.parquet")
            case "csv":
                spec = csv_source(table, folder / "source.csv", rng)
        source = open_source(spec, session)
        return source.stage(folder / "staged", lambda _: None)

    def _plan(self, *, force_general: bool) -> MatchPlan:
        infos = [self._info(table) for table in self._case.tables]
        with ExitStack() as patched:
            if force_general:
                # What decides between the paths: without sides whose rows it can number, none is left.
                patched.enter_context(patch.object(check, "direct_sides", return_value=None))
            return plan_match(match_sql(self._case), infos[0], infos[1], infos[2:])

    def _info(self, table: Table) -> TableInfo:
        staged = self._staged[table.alias]
        return TableInfo(table.alias, staged.schema, table.primary_key, staged.row_count)

    def _run(self, plan: MatchPlan) -> Given:
        folder = self._folder / f"out-{plan.path}"
        tables = [self._staged[table.alias] for table in self._case.tables]
        limits = Limits(memory_bytes=256 << 20, threads=2)
        outcome = run_match(plan, tables, folder, limits, lambda _fraction, _matched: None)
        matched = pq.read_table(folder / "matched.parquet")
        sides = [pq.read_table(folder / f"unmatched_{side}.parquet") for side in ("left", "right")]
        visible = [name for name in plan.output_columns if name not in plan.added_columns]
        ordered = matched.select([*visible, *plan.left_key_columns, *plan.right_key_columns])
        answer = Answer(rows_of(ordered), rows_of(sides[0]), rows_of(sides[1]))
        return Given(answer, tuple(visible), self._faults(plan, outcome, matched, sides))

    def _faults(
        self, plan: MatchPlan, outcome: MatchOutcome, matched: pa.Table, sides: list[pa.Table]
    ) -> list[str]:
        faults: list[str] = []
        if tuple(matched.column_names) != plan.output_columns:
            faults.append(f"matched has columns {matched.column_names}, planned were {plan.output_columns}")
        if outcome.matched_count != matched.num_rows:
            faults.append(f"{outcome.matched_count} matched rows reported, {matched.num_rows} written")
        key_columns = (plan.left_key_columns, plan.right_key_columns)
        for table, written, said, names in zip(
            self._case.tables, sides, (outcome.left, outcome.right), key_columns, strict=False
        ):
            keys = set(_keys(matched, names))
            sharing = sum(key in keys for key in _keys(written, table.primary_key))
            if said.shared_key_rows != sharing:
                faults.append(f"{said.shared_key_rows} rows share a matched key, {sharing} do: {table.alias}")
            schema = self._staged[table.alias].schema
            if written.schema.names != schema.names or written.schema.types != schema.types:
                faults.append(f"unmatched rows of {table.alias} are typed {written.schema}, not {schema}")
            if said.unmatched_rows != written.num_rows:
                faults.append(f"{said.unmatched_rows} unmatched rows reported, {written.num_rows} written")
            if said.matched_rows + said.unmatched_rows != said.total_rows:
                faults.append(f"rows of {table.alias} are not conserved: {said}")
        return faults


def _keys(table: pa.Table, names: Sequence[str]) -> Iterator[Row]:
    """The keys in some columns, without those that have a NULL; lists of keys are taken apart."""
    for key in rows_of(table.select(names)).elements():
        parts = [cell[1] if isinstance(cell, tuple) and cell[0] == "list" else (cell,) for cell in key]
        yield from (one for one in zip(*parts, strict=True) if None not in one)
