"""Kalla and DuckDB answer the same random cases; `python -m tests.differential` runs any number of them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from kalla_runner.matching.sql.catalogue import ENTRIES, OPERATORS

from tests.differential.answer import Answer
from tests.differential.check import Outcome, Verdict, check, entries, report
from tests.differential.generate import make_case
from tests.differential.model import Case
from tests.differential.oracle import Oracle
from tests.differential.pool import outcomes
from tests.differential.reproduce import load_case, save_case
from tests.differential.shrink import shrink
from tests.differential.translations import DRAWN_ENTRIES, NOT_DRAWN

CASES = 240
SEED = int(os.environ.get("KALLA_DIFFERENTIAL_SEED", "20240"))
FOUND = sorted((Path(__file__).parent / "found").glob("*.case"))
"""Small cases that once gave another answer than DuckDB's."""
DRAWN = 1500
"""So many cases draw every entry of the catalogue."""


@pytest.mark.timeout(900)  # less than a minute on two idle cores; shared ones may be slower
def test_kalla_duckdb_and_postgresql_agree_on_random_cases(postgres_url: str) -> None:
    results = list(outcomes(range(SEED, SEED + CASES), 2, postgres_url))
    tally = Counter(outcome.verdict for _, outcome in results)
    print(f"seed {SEED}: {dict(tally)}")  # noqa: T201 - says which cases these were
    defects = [(seed, outcome) for seed, outcome in results if outcome.verdict is Verdict.DEFECT]
    assert not defects, "\n".join(_told(seed, outcome) for seed, outcome in defects[:3])
    # What is refused or has no oracle proves nothing: it must stay the exception.
    assert tally[Verdict.AGREED] >= 0.85 * CASES
    assert sum(outcome.matched > 0 for _, outcome in results) >= 0.2 * CASES
    first_paths = Counter(outcome.path for _, outcome in results)
    assert min(first_paths["one_pass"], first_paths["general"]) >= 0.15 * CASES
    assert sum(outcome.paths_run == 2 for _, outcome in results) >= 0.2 * CASES
    assert sum(outcome.postgres for _, outcome in results) >= 0.05 * CASES


def test_the_cases_draw_every_entry_of_the_catalogue() -> None:
    drawn: Counter[str] = Counter()
    for seed in range(DRAWN):
        drawn.update(entries(make_case(seed)))
    assert not DRAWN_ENTRIES - set(drawn)
    assert set(NOT_DRAWN) < {entry.name for entry in (*ENTRIES, *OPERATORS)}


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
