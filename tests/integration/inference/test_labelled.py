"""Recipes inferred from labelled sources, run in full by the engine and compared with the truth."""

from __future__ import annotations

import pytest

from benchmarks.inference.__main__ import AIM, CASES
from benchmarks.inference.data import Case
from benchmarks.inference.score import score


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_recipe_matches_what_belongs_together_and_without_a_key_there_is_none(case: Case) -> None:
    found = score(case, 300, seed=11)
    assert (found.answer.recipe is not None) == case.usable, found.answer.reason
    assert found.f1 >= AIM, found.answer.recipe
