"""One match: staged tables and a checked query in; three outputs, a manifest and a proof out.

    load -> run the query -> mark matched rows -> write unmatched rows -> prove -> state

A row is a number: the query (or, on the general path, a semi-join on what it wrote) marks the rows
that matched, and the unmatched ones are those without a mark, taken in source order from where the
rows lie. Their columns never pass through a join.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from kalla_common.domain import SideDiagnostics, WitnessReport

from kalla_runner.matching.duplicates import EXAMPLES, KeyFacts, Rows, key_examples, key_facts
from kalla_runner.matching.failures import engine_failures
from kalla_runner.matching.keyed import match_by_keys
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.matched import Marks, MatchedRows, MatchQuery, match_in_one_pass, quoted
from kalla_runner.matching.near import NearMatches, near_matches
from kalla_runner.matching.plan import MatchPlan, TableInfo
from kalla_runner.matching.progress import LOADED, QUERIED, UNMATCHED, MatchProgress, Ticker
from kalla_runner.matching.proof import prove_matched, prove_side
from kalla_runner.matching.session import new_session
from kalla_runner.matching.tables import RowStore, Table, partitioned
from kalla_runner.outputs.manifest import (
    MATCHED,
    UNMATCHED_LEFT,
    UNMATCHED_RIGHT,
    Manifest,
    RunIdentity,
    engine_versions,
    write_manifest,
)
from kalla_runner.outputs.writer import ParquetSink, WrittenFile
from kalla_runner.staging import StagedTable
from kalla_runner.storage import storage_errors

SCRATCH: Final = "scratch"
"""Folder below the attempt's for what does not fit in memory; gone when the match ends."""

_WHOLE_BUILD_THREADS: Final = 4
"""Up to as many threads, one hash table that all of them probe is faster than one for each: no row
has to be sent between threads (measured: docs/decisions/0011)."""
_ANY_SIZE: Final = str(1 << 60)
_LARGE_BATCH: Final = "32768"
_BATCH: Final = "8192"
_FEW_COLUMNS: Final = 32
"""Up to so many output columns a large batch still fits the processor's cache and is faster."""


Witness = Callable[[Path, Path, float], WitnessReport]
"""Answers the same question with another engine and compares: called with the folder of the written outputs,
a folder for what does not fit in memory, and the seconds that the match took. Raises WITNESS_DISAGREES."""


@dataclass(frozen=True, slots=True)
class MatchOutcome:
    """A finished and proven match. The files lie in the attempt's folder, `manifest` beside them."""

    matched_count: int
    left: SideDiagnostics
    right: SideDiagnostics
    match_path: str
    manifest: Manifest

    @property
    def witness(self) -> WitnessReport | None:
        """What a second engine found; None if none was asked."""
        return self.manifest.witness


def run_match(
    plan: MatchPlan,
    tables: Sequence[StagedTable],
    folder: Path,
    limits: Limits,
    progress: MatchProgress,
    *,
    identity: RunIdentity | None = None,
    witness: Witness | None = None,
) -> MatchOutcome:
    """Match, write the three outputs and the manifest into `folder`, and prove that no row was lost.

    Args:
        plan: the checked query.
        tables: every table that the query may read, by alias as in the plan.
        folder: the attempt's own folder, made if missing; empty again after a failure.
        limits: memory and threads.
        progress: told the fraction done and the matched rows so far, at most ten times a second.
        identity: what the manifest says of the run.
        witness: asked once everything is written and proven.

    Raises:
        KallaError: INVALID_DATA, INVALID_SQL, INVALID_FILTER, MEMORY_LIMIT, STORAGE_FULL,
            OUTPUT_NOT_WRITABLE, KEYS_NOT_SELECTED, CONSERVATION_FAILED, WITNESS_DISAGREES.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SCRATCH).mkdir(exist_ok=True)
    try:
        with engine_failures(limits), ExitStack() as closing:
            closing.callback(shutil.rmtree, folder / SCRATCH, ignore_errors=True)
            match = _Match(plan, folder, limits, Ticker(progress), closing)
            return match.run(tables, identity or RunIdentity(), witness)
    except BaseException:
        _empty(folder)
        raise


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


class _Side:
    """One side on its way to its diagnostics."""

    def __init__(self, info: TableInfo, table: Table, path: Path, facts: Future[KeyFacts]) -> None:
        self.info = info
        self.table = table
        self.path = path
        self.facts = facts
        self.matched_rows = 0
        self.shared: Rows = np.empty(0, dtype=np.int64)
        self.unsure: Rows = np.empty(0, dtype=np.int64)

    def write_unmatched(self, marks: Marks, written: Callable[[int], None]) -> WrittenFile:
        """Write the rows without a mark."""
        matched = marks.matched
        self.matched_rows = int(np.count_nonzero(matched))
        self.shared, self.unsure = self.facts.result().sharing(matched), marks.unsure
        start = 0
        with ParquetSink(self.path, self.table.schema) as sink:
            for batch in self.table.batches:
                unmatched = ~matched[start : start + batch.num_rows]
                sink.write(batch.filter(pa.array(unmatched)))
                start += batch.num_rows
                written(batch.num_rows)
            return sink.finish()

    def diagnostics(self, unmatched_rows: int, near: NearMatches) -> SideDiagnostics:
        facts = self.facts.result()
        return SideDiagnostics(
            alias=self.info.alias,
            total_rows=self.table.rows,
            matched_rows=self.matched_rows,
            unmatched_rows=unmatched_rows,
            null_key_rows=facts.null_rows,
            duplicate_keys=facts.duplicated,
            duplicate_key_examples=facts.examples,
            would_match_trimmed=near.trimmed,
            would_match_case_folded=near.case_folded,
            shared_key_rows=len(self.shared) + len(self.unsure),
            shared_key_examples=self._shared_examples(),
            would_match_normalized=near.normalized,
        )

    def _shared_examples(self) -> tuple[str, ...]:
        key = self.info.primary_key
        unsure = key_examples(self.table, key, self.unsure)
        named = [f"{text} (the query does not say which of its rows)" for text in unsure]
        return (*key_examples(self.table, key, self.shared), *named)[:EXAMPLES]


class _Match:
    """The steps of one match, and what they share."""

    def __init__(
        self, plan: MatchPlan, folder: Path, limits: Limits, ticker: Ticker, closing: ExitStack
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.limits = limits
        self.ticker = ticker
        self.closing = closing
        self.pool = closing.enter_context(ThreadPoolExecutor(max(limits.threads, 2)))
        self.session = new_session(
            partitions=limits.threads,
            memory_bytes=limits.memory_bytes,
            spill_folder=folder / SCRATCH,
            tuning=_tuning(limits, len(plan.output_columns)),
        )

    def run(
        self, staged: Sequence[StagedTable], identity: RunIdentity, witness: Witness | None
    ) -> MatchOutcome:
        began = time.perf_counter()
        self.ticker.tick(0.0)
        tables = self._load(staged)
        left = self._side(self.plan.left, tables, UNMATCHED_LEFT)
        right = self._side(self.plan.right, tables, UNMATCHED_RIGHT)
        self.ticker.tick(LOADED)
        rows, files = self._write(tables, left, right)
        self.ticker.tick(QUERIED, rows)
        prove_matched(rows, self.folder / MATCHED)
        unmatched = [prove_side(s.info.alias, s.table.rows, s.matched_rows, s.path) for s in (left, right)]
        near = self._near((left.path, right.path), min(unmatched))
        manifest = Manifest(
            identity=identity,
            match_path=self.plan.path,
            files=files,
            left=left.diagnostics(unmatched[0], near[0]),
            right=right.diagnostics(unmatched[1], near[1]),
            engine=engine_versions(),
            witness=None
            if witness is None
            else witness(self.folder, self.folder / SCRATCH, time.perf_counter() - began),
        )
        write_manifest(self.folder, manifest)
        self.ticker.tick(1.0, rows, last=True)
        return MatchOutcome(rows, manifest.left, manifest.right, self.plan.path, manifest)

    def _load(self, staged: Sequence[StagedTable]) -> dict[str, Table]:
        scratch, budget = self.folder / SCRATCH, self.limits.held_bytes
        sides = {info.alias: info for info in (self.plan.left, self.plan.right)}
        loading = [
            self.pool.submit(
                Table.load,
                table,
                scratch,
                budget,
                self.closing,
                row_column=sides[table.alias].row_column if table.alias in sides else "",
            )
            for table in staged
        ]
        tables = {table.alias: table for table in (future.result() for future in loading)}
        for alias, table in tables.items():
            for name in self._names(alias):
                numbered = alias in sides and (self.plan.path == "one_pass" or bool(self.plan.rows_sql))
                batches = table.numbered() if numbered else table.plain()
                self.session.register_record_batches(quoted(name), partitioned(batches, self.limits.threads))
        return tables

    def _names(self, alias: str) -> list[str]:
        sides = {self.plan.left.alias: "left_src", self.plan.right.alias: "right_src"}
        side = sides.get(alias)
        return [alias, side] if side in self.plan.uses_side_names and side != alias else [alias]

    def _side(self, info: TableInfo, tables: dict[str, Table], name: str) -> _Side:
        table = tables[info.alias]
        # Runs beside the query, whose hash table is built by one thread.
        facts = self.pool.submit(key_facts, table, info.primary_key)
        return _Side(info, table, self.folder / name, facts)

    def _write(
        self, tables: dict[str, Table], left: _Side, right: _Side
    ) -> tuple[int, tuple[WrittenFile, WrittenFile, WrittenFile]]:
        """Write the three outputs; the number of matched rows that the query gave, and the files."""
        query = MatchQuery(self.session, self.plan, tables, self.ticker)
        with ParquetSink(self.folder / MATCHED, query.schema()) as sink:
            if self.plan.path == "one_pass":
                found = match_in_one_pass(query, sink)
                finishing = self.pool.submit(sink.finish)
            else:
                finishing = Future[WrittenFile]()
                found = match_by_keys(
                    query,
                    sink,
                    lambda: _finished(sink, finishing),
                    lambda: (left.facts.result(), right.facts.result()),
                )
            written = self._unmatched_progress(found, left, right)
            files = [
                self.pool.submit(side.write_unmatched, marks, written)
                for side, marks in ((left, found.left), (right, found.right))
            ]
            return found.rows, (finishing.result(), files[0].result(), files[1].result())

    def _unmatched_progress(self, found: MatchedRows, left: _Side, right: _Side) -> Callable[[int], None]:
        total = max(left.table.rows + right.table.rows, 1)
        done = 0

        def written(rows: int) -> None:
            # A lost update of this count would only make one report a little low.
            nonlocal done
            done += rows
            self.ticker.tick(QUERIED + (UNMATCHED - QUERIED) * done / total, found.rows)

        return written

    def _near(self, unmatched: tuple[Path, Path], fewest: int) -> tuple[NearMatches, NearMatches]:
        if not self.plan.join_keys or not fewest:
            return NearMatches(), NearMatches()

        def store(schema: pa.Schema) -> RowStore:
            return RowStore(schema, self.folder / SCRATCH / "keys", self.limits.held_bytes, self.closing)

        return near_matches(self.session, self.plan.join_keys, unmatched, store)


def _finished(sink: ParquetSink, finishing: Future[WrittenFile]) -> Path:
    finishing.set_result(sink.finish())
    return sink.path


def _tuning(limits: Limits, columns: int) -> dict[str, str]:
    tuning = {
        # They narrow the reading of files; our rows lie in memory, where finding the bounds only costs.
        "datafusion.optimizer.enable_dynamic_filter_pushdown": "false",
        "datafusion.execution.batch_size": _LARGE_BATCH if columns <= _FEW_COLUMNS else _BATCH,
    }
    if limits.threads > _WHOLE_BUILD_THREADS:
        return tuning
    return tuning | {
        "datafusion.optimizer.hash_join_single_partition_threshold": _ANY_SIZE,
        "datafusion.optimizer.hash_join_single_partition_threshold_rows": _ANY_SIZE,
    }
