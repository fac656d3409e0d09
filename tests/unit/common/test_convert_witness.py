"""What is asked of a witness, and what it says, crosses gRPC unchanged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kalla_common.domain import (
    JobResult,
    JobSpec,
    OutputPaths,
    Recipe,
    RecipeSource,
    SideDiagnostics,
    WitnessReport,
)
from kalla_common.rpc.convert import (
    job_spec_from_proto,
    job_spec_to_proto,
    recipe_from_proto,
    recipe_to_proto,
    result_from_proto,
    result_to_proto,
)

_SIDE = SideDiagnostics("a", 3, 2, 1, 0, 0)
_RESULT = JobResult(2, 1, 1, OutputPaths("m", "l", "r", "j"), _SIDE, _SIDE, "one_pass")


@pytest.mark.parametrize("asked", [None, True, False])
def test_leaving_it_open_is_not_the_same_as_no(asked: bool | None) -> None:
    spec = JobSpec("r", "SELECT 1", (), "/out", {"a": ("x",)}, witness=asked)
    assert job_spec_from_proto(job_spec_to_proto(spec)) == spec
    side = RecipeSource("a", "file", ("id",))
    recipe = Recipe("r", "R", "SELECT 1", side, replace(side, alias="b"), witness=asked)
    assert recipe_from_proto(recipe_to_proto(recipe)) == recipe


@pytest.mark.parametrize(
    "report",
    [
        None,
        WitnessReport("not_possible", "A quotient may be rounded.", "duckdb 2.0.0", 0.25),
        WitnessReport("agreed", None, "duckdb 2.0.0", 0.5, 0, 0, 2**40, "0a", "0b", "0c"),
    ],
    ids=["none", "not possible", "agreed"],
)
def test_a_report_comes_back_as_it_was(report: WitnessReport | None) -> None:
    result = replace(_RESULT, witness=report)
    assert result_from_proto(result_to_proto(result)) == result
