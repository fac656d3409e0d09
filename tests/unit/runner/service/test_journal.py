"""What the journal keeps comes back exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from kalla_common.domain import (
    FilterCondition,
    FilterOp,
    JobResult,
    JobSpec,
    OutputPaths,
    SideDiagnostics,
    SourceSpec,
)
from kalla_common.errors import Code, KallaError
from kalla_runner.store.journal import (
    Failure,
    Outcome,
    outcome_from_json,
    outcome_to_json,
    spec_from_text,
    spec_to_text,
)

text = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    text, st.integers(), st.booleans(), st.decimals(allow_nan=False, allow_infinity=False, places=3)
)
filters = st.builds(
    FilterCondition, text, st.sampled_from(FilterOp), st.lists(scalars, max_size=3).map(tuple)
)
sources = st.builds(
    SourceSpec,
    text,
    text,
    st.lists(filters, max_size=3).map(tuple),
    st.lists(text, max_size=3).map(tuple),
)
specs = st.builds(
    JobSpec,
    run_id=text,
    match_sql=text,
    sources=st.lists(sources, max_size=3).map(tuple),
    output_path=text,
    primary_keys=st.dictionaries(text, st.lists(text, max_size=3).map(tuple), max_size=3),
    callback_url=text,
    allow_quadratic=st.booleans(),
    witness=st.sampled_from([None, True, False]),
)


def exact(spec: JobSpec) -> tuple[JobSpec, list[str]]:
    """A spec with the form of its literals: Decimal("1.20") equals Decimal("1.2"), and True equals 1."""
    return spec, [repr(value) for s in spec.sources for f in s.filters for value in f.values]


@given(specs)
def test_a_spec_comes_back_from_the_journal_exactly(spec: JobSpec) -> None:
    assert exact(spec_from_text(spec_to_text(spec))) == exact(spec)


@given(specs, specs)
def test_two_specs_have_one_text_only_if_they_are_the_same(one: JobSpec, other: JobSpec) -> None:
    assert (spec_to_text(one) == spec_to_text(other)) == (exact(one) == exact(other))


def test_the_order_of_primary_keys_in_a_request_does_not_make_another_job() -> None:
    keys = {"a": ("x",), "b": ("y",)}
    spec = JobSpec("r", "SELECT 1", (), "/out", keys)
    assert spec_to_text(spec) == spec_to_text(replace(spec, primary_keys=dict(reversed(keys.items()))))


def test_a_number_with_another_scale_is_another_job() -> None:
    def spec(number: str) -> JobSpec:
        condition = FilterCondition("amount", FilterOp.EQ, (Decimal(number),))
        return JobSpec("r", "SELECT 1", (SourceSpec("a", "a.csv", (condition,)),), "/out", {})

    assert spec_to_text(spec("1.2")) != spec_to_text(spec("1.20"))


def test_an_outcome_comes_back_through_json() -> None:
    side = SideDiagnostics("invoices", 3, 2, 1, 0, 1, ("7",), 1, 0)
    result = JobResult(2, 1, 1, OutputPaths("m", "l", "r", "j"), side, side, "one_pass")
    failure = Failure.of(KallaError(Code.INVALID_DATA, "Row 3 is ragged.", line="3"))
    for outcome in (Outcome.completed(result), Outcome.failed(failure)):
        assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome


def test_a_cancelled_failure_is_a_cancelled_job() -> None:
    failure = Failure.of(KallaError(Code.CANCELLED, "The run was cancelled."))
    assert Outcome.failed(failure).state == "cancelled"
    assert Outcome.failed(Failure.internal()).state == "failed"
