"""One labelled pair through inference and engine, compared with the truth."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from kalla_chat.inference import Inference, Request, Verdict, infer
from kalla_runner.staging import StagedTable

from benchmarks.inference.data import Case, Labelled, write_csv
from benchmarks.inference.engine import EngineTrials, source_of, stage

LEFT, RIGHT = "ours", "theirs"


@dataclass(frozen=True)
class Score:
    """How one inference went. Without a usable key, F1 is 1.0 for saying so and 0.0 for a recipe."""

    case: Case
    rows: tuple[int, int]
    seed: int
    verdict: Verdict
    precision: float
    recall: float
    f1: float
    seconds: float
    cpu_seconds: float
    answer: Inference


def score(case: Case, rows: int, seed: int) -> Score:
    """Make the data, infer, run in full, compare."""
    random = Random(f"{case.name} {rows} {seed}")  # noqa: S311  # data, no secrets
    made = case.make(random, rows)
    folder = Path(tempfile.mkdtemp(prefix="kalla-inference-"))
    try:
        return _scored(case, made, seed, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scored(case: Case, made: Labelled, seed: int, folder: Path) -> Score:
    staged: list[StagedTable] = []
    for alias, rows in ((LEFT, made.left), (RIGHT, made.right)):
        path = folder / f"{alias}.csv"
        write_csv(rows, path)
        staged.append(stage(path, alias, folder))
    trials = EngineTrials(staged[0], staged[1], folder)
    sources = [source_of(table) for table in staged]
    begin, cpu = time.perf_counter(), time.process_time()
    answer = asyncio.run(infer(Request(sources[0], sources[1]), trials))
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    figures = (0.0, 0.0, 0.0)
    if answer.recipe is None:
        figures = (1.0, 1.0, 1.0) if not case.usable else figures
    elif case.usable and trials.matched is not None:
        figures = _compare(pairs_of(trials.matched, answer, made, sources), made)
    sizes = (len(made.left), len(made.right))
    return Score(case, sizes, seed, answer.verdict, *figures, seconds, cpu, answer)


def pairs_of(
    matched: pa.Table, answer: Inference, made: Labelled, sources: list[Any]
) -> set[tuple[str, str]]:
    """The pairs of the truth's keys in a run's output, whatever keys the recipe has."""
    recipe = answer.recipe
    assert recipe is not None
    sides: list[list[list[str]]] = []
    place = 0
    for key, truth_key, source in zip(
        (recipe.left_key, recipe.right_key), (made.left_key, made.right_key), sources, strict=True
    ):
        columns = [matched.column(n).to_pylist() for n in range(place, place + len(key))]
        place += len(key)
        to_truth: dict[tuple[Any, ...], list[str]] = {}
        for values, name in zip(
            zip(*(source.rows.column(k).to_pylist() for k in key), strict=True),
            source.rows.column(truth_key).to_pylist(),
            strict=True,
        ):
            to_truth.setdefault(values, []).append(str(name))
        sides.append([[t for one in _keys(row) for t in to_truth[one]] for row in zip(*columns, strict=True)])
    return {(a, b) for left, right in zip(*sides, strict=True) for a in left for b in right}


def _keys(row: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The keys of one output row: one, or as many as its lists have."""
    if isinstance(row[0], list):
        yield from zip(*row, strict=True)
    else:
        yield row


def _compare(found: set[tuple[str, str]], made: Labelled) -> tuple[float, float, float]:
    right = len(found & made.truth)
    precision, recall = right / max(len(found), 1), right / max(len(made.truth), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)
