"""Kalla and DuckDB answer the same random cases; `python -m tests.differential` runs any number of them."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.differential.__main__ import run_chunk
from tests.differential.answer import Answer
from tests.differential.check import Outcome, Verdict, check, report
from tests.differential.generate import make_case
from tests.differential.model import Case
from tests.differential.oracle import Oracle
from tests.differential.reproduce import load_case, save_case
from tests.differential.shrink import shrink

CASES = 300
SEED = int(os.environ.get("KALLA_DIFFERENTIAL_SEED", "20240"))
FOUND = sorted((Path(__file__).parent / "found").glob("*.case"))
"""Small cases that once gave another answer than DuckDB's."""


@pytest.mark.timeout(900)  # about a minute on two idle cores; shared ones may be slower
def test_kalla_and_duckdb_agree_on_random_cases() -> None:
    chunks = [range(start, start + 50) for start in range(SEED, SEED + CASES, 50)]
    # Spawned, not forked: the engines' threads do not survive a fork.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        outcomes = [outcome for chunk in pool.map(run_chunk, chunks) for outcome in chunk]
    tally = Counter(outcome.verdict for _, outcome in outcomes)
    print(f"seed {SEED}: {dict(tally)}")  # noqa: T201 - says which cases these were
    defects = [(seed, outcome) for seed, outcome in outcomes if outcome.verdict is Verdict.DEFECT]
    assert not defects, "\n".join(_told(seed, outcome) for seed, outcome in defects[:3])
    # What is refused or has no oracle proves nothing: it must stay the exception.
    assert tally[Verdict.AGREED] >= 0.95 * CASES
    assert sum(outcome.matched > 0 for _, outcome in outcomes) >= 0.3 * CASES
    first_paths = Counter(outcome.path for _, outcome in outcomes)
    # Queries through CTEs take one pass, and are answered on both paths.
    assert min(first_paths["one_pass"], first_paths["general"]) >= 0.15 * CASES
    assert sum(outcome.paths_run == 2 for _, outcome in outcomes) >= 0.2 * CASES


def _told(seed: int, outcome: Outcome) -> str:
    return f"{report(make_case(seed), outcome)}\nagain: python -m tests.differential --cases 1 --seed {seed}"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_once_was_wrong_stays_right(path: Path, tmp_path: Path) -> None:
    case = load_case(path)
    oracle = Oracle()
    try:
        outcome = check(case, oracle, tmp_path / "case")
    finally:
        oracle.close()
    assert outcome.verdict is Verdict.AGREED, report(case, outcome)


def test_the_same_seed_gives_the_same_case_and_its_file_builds_it_again(tmp_path: Path) -> None:
    for seed in range(40):
        case = make_case(seed)
        assert make_case(seed) == case
        assert load_case(save_case(case, tmp_path)) == case


def test_an_answer_that_loses_a_row_is_seen_and_shrunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The harness itself: an oracle that loses one matched row stands for an engine that invents one."""
    honest = Oracle.answer

    def forgetful(self: Oracle, case: Case) -> Answer:
        answer = honest(self, case)
        for row in list(answer.matched)[:1]:
            answer.matched[row] -= 1
        return answer

    monkeypatch.setattr(Oracle, "answer", forgetful)
    oracle = Oracle()
    numbers = iter(range(10_000))
    try:

        def fails(case: Case) -> bool:
            return check(case, oracle, tmp_path / str(next(numbers))).verdict is Verdict.DEFECT

        seed = next(seed for seed in range(100) if honest(oracle, make_case(seed)).matched)
        case = make_case(seed)
        assert fails(case)
        small = shrink(case, fails, seconds=20)
        assert len(small.left.rows) <= 1
        assert len(small.right.rows) <= 1
    finally:
        oracle.close()
