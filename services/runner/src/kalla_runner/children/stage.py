"""Stages the sources of a run: pins all of them, then reads them side by side."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kalla_common.domain import JobProgress, SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.children.protocol import MatchTask, StageTask
from kalla_runner.connectors.base import OpenSource, Pin, ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.staging import StagedTable

STAGED_FILE: Final = "staged.pickle"
Report = Callable[[JobProgress], None]


@dataclass(frozen=True, slots=True)
class Staged:
    """What staging leaves in its folder for matching."""

    tables: tuple[StagedTable, ...]
    pins: Mapping[str, Pin]


def stage(task: StageTask, report: Report) -> dict[str, int]:
    """Pin all sources first, then read them side by side; returns rows by alias."""
    task.folder.mkdir(parents=True, exist_ok=True)
    with ReadSession(task.allowed_roots, task.threads, s3=task.s3, scratch=task.folder) as session:
        sources = [open_source(spec, session) for spec in task.spec.sources]
        with ThreadPoolExecutor(max_workers=max(1, task.threads)) as readers:
            reading = [
                readers.submit(_stage_one, source, task.folder / f"{number}", report)
                for number, source in enumerate(sources)
            ]
            tables = tuple(table.result() for table in reading)
        pins = {source.spec.alias: dict(source.pin) for source in sources}
    (task.folder / STAGED_FILE).write_bytes(pickle.dumps(Staged(tables, pins)))
    return {table.alias: table.row_count for table in tables}


def _stage_one(source: OpenSource, folder: Path, report: Report) -> StagedTable:
    alias = source.spec.alias

    def progress(fraction: float) -> None:
        report(JobProgress("staging", min(1.0, max(0.0, fraction)), source=alias))

    progress(0.0)
    table = source.stage(folder, progress)
    progress(1.0)
    return table


def load_staged(folder: Path) -> Staged:
    """What `stage` left in `folder`."""
    staged: Staged = pickle.loads((folder / STAGED_FILE).read_bytes())  # noqa: S301 - our own file
    return staged


def check_in_place(staged: Staged, task: MatchTask) -> None:
    """Raise SOURCE_CHANGED if a source that was read where it lies is not what was pinned."""
    in_place = [table.alias for table in staged.tables if not _copied(table, task.staged)]
    if not in_place:
        return
    specs = {source.alias: source for source in task.spec.sources}
    with ReadSession(task.allowed_roots, task.threads) as session:
        for alias in in_place:
            _check_pin(specs[alias], staged.pins[alias], session)


def _check_pin(spec: SourceSpec, pin: Pin, session: ReadSession) -> None:
    if dict(open_source(spec, session).pin) != dict(pin):
        raise KallaError(
            Code.SOURCE_CHANGED,
            f"The source {spec.alias} changed while the run read it: start the run again.",
            alias=spec.alias,
        )


def _copied(table: StagedTable, folder: Path) -> bool:
    return all(file.is_relative_to(folder) for file in table.files)
