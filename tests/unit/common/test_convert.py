"""Domain values survive the way through protobuf unchanged."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla.common.v1 import source_pb2
from kalla_common import domain
from kalla_common.errors import Code, KallaError
from kalla_common.rpc import convert

TEXT = st.text(max_size=20).filter(lambda s: s < "\ud800" or s.isprintable())
NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False, places=5)
SCALARS = TEXT | NUMBERS | st.booleans()
ONE = st.builds(
    domain.FilterCondition,
    TEXT,
    st.sampled_from([op for op in domain.FilterOp if op not in ("between", "in")]),
    st.tuples(SCALARS),
)
TWO = st.builds(domain.FilterCondition, TEXT, st.just(domain.FilterOp.BETWEEN), st.tuples(SCALARS, SCALARS))
MANY = st.builds(
    domain.FilterCondition,
    TEXT,
    st.just(domain.FilterOp.IN),
    st.lists(SCALARS, min_size=1, max_size=4).map(tuple),
)
KEYS = st.lists(TEXT, max_size=3).map(tuple)
SOURCES = st.builds(domain.SourceSpec, TEXT, TEXT, st.lists(ONE | TWO | MANY, max_size=3).map(tuple), KEYS)
SIDES = st.builds(domain.RecipeSource, TEXT, TEXT, KEYS, st.none() | TEXT, KEYS)
COUNTS = st.integers(0, 2**62)
DIAGNOSTICS = st.builds(
    domain.SideDiagnostics, TEXT, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, KEYS, COUNTS, COUNTS
)


@given(
    st.builds(
        domain.JobSpec,
        TEXT,
        TEXT,
        st.lists(SOURCES, max_size=3).map(tuple),
        TEXT,
        st.dictionaries(TEXT, KEYS, max_size=3),
        TEXT,
        st.booleans(),
    )
)
def test_a_job_survives(spec: domain.JobSpec) -> None:
    again = convert.job_spec_from_proto(convert.job_spec_to_proto(spec))
    assert again == spec
    for before, after in zip(spec.sources, again.sources, strict=True):
        for old, new in zip(before.filters, after.filters, strict=True):
            assert [(type(v), str(v)) for v in old.values] == [(type(v), str(v)) for v in new.values]


@given(
    st.builds(
        domain.Recipe, TEXT, TEXT, TEXT, SIDES, SIDES, TEXT, TEXT, st.lists(SIDES, max_size=2).map(tuple)
    )
)
def test_a_recipe_survives(recipe: domain.Recipe) -> None:
    assert convert.recipe_from_proto(convert.recipe_to_proto(recipe)) == recipe


@given(
    st.builds(
        domain.JobResult,
        COUNTS,
        COUNTS,
        COUNTS,
        st.builds(domain.OutputPaths, TEXT, TEXT, TEXT, TEXT),
        DIAGNOSTICS,
        DIAGNOSTICS,
        TEXT,
    )
)
def test_a_result_survives(result: domain.JobResult) -> None:
    assert convert.result_from_proto(convert.result_to_proto(result)) == result


def test_absent_and_zero_progress_figures_stay_different() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for progress in (
        domain.JobProgress("staging", 0.5, source="left_src"),
        domain.JobProgress("matching", 1.0, 0, 0, 0),
    ):
        message = convert.progress_to_proto(progress, now)
        assert convert.progress_from_proto(message) == progress
        assert convert.moment(message.updated_at) == now


@pytest.mark.parametrize("state", list(domain.JobState))
def test_every_state_survives(state: domain.JobState) -> None:
    assert convert.state_from_proto(convert.state_to_proto(state)) is state


@pytest.mark.parametrize(
    "message",
    [
        source_pb2.FilterCondition(column="a"),
        source_pb2.FilterCondition(column="a", op=source_pb2.FILTER_OPERATOR_EQ),
        source_pb2.FilterCondition(
            column="a",
            op=source_pb2.FILTER_OPERATOR_EQ,
            values=[source_pb2.FilterValue(number="1e"), source_pb2.FilterValue(text="b")],
        ),
        source_pb2.FilterCondition(
            column="a", op=source_pb2.FILTER_OPERATOR_GT, values=[source_pb2.FilterValue()]
        ),
    ],
)
def test_a_filter_that_means_nothing_is_refused(message: source_pb2.FilterCondition) -> None:
    with pytest.raises(KallaError) as caught:
        convert.source_from_proto(source_pb2.ResolvedSource(filters=[message]))
    assert caught.value.code is Code.INVALID_FILTER


def test_an_exponent_stays_exact() -> None:
    condition = domain.FilterCondition("a", domain.FilterOp.EQ, (Decimal("1E+3"),))
    source = domain.SourceSpec("a", "u", (condition,))
    assert convert.source_from_proto(convert.source_to_proto(source)) == source
