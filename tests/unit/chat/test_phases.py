"""The phase follows from the facts, and going back takes facts away."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_chat.agents.model_tools import tools
from kalla_chat.conversation.phases import PHASES, PhaseName, Status, Tool, go_back, phase_of, status_of
from kalla_chat.conversation.state import Column, Condition, Draft, Pair, Run, Side, State, Trial
from kalla_common.domain import FilterCondition, FilterOp


def side(alias: str) -> Side:
    return Side(alias=alias, source_type="file", columns=[Column(name="id", data_type="text")])


def draft() -> Draft:
    trial = Trial(
        matched_count=1,
        matched_left=1,
        matched_right=1,
        unmatched_left=0,
        unmatched_right=0,
        ambiguous_left=0,
        ambiguous_right=0,
    )
    return Draft(
        recipe_id="chat-1",
        name="a and b",
        match_sql="SELECT 1",
        match_description="",
        left_key=["id"],
        right_key=["id"],
        shape="1:1",
        rules=[],
        trial=trial,
        reason="",
    )


def full() -> State:
    pair = Pair(number=1, left={"id": "1"}, right={"id": None}, why="", clear=True)
    return State(
        begun=True,
        left=side("a"),
        right=side("b"),
        scoped=True,
        pairs=[pair],
        demonstrated=True,
        draft=draft(),
        accepted=True,
        run=Run(run_id="r", status="running"),
    )


def test_a_new_conversation_is_in_the_first_phase() -> None:
    assert phase_of(State()).name is PhaseName.INITIAL
    assert status_of(State()) is Status.ACTIVE


def test_a_conversation_with_all_facts_is_in_the_last_phase() -> None:
    assert phase_of(full()).name is PhaseName.EXECUTION
    assert status_of(full()) is Status.RUNNING


@pytest.mark.parametrize("name", [n for n in PhaseName if n is not PhaseName.INITIAL])
def test_going_back_leads_to_the_phase_and_keeps_what_came_before(name: PhaseName) -> None:
    state = full()
    go_back(state, name)
    assert phase_of(state).name is name
    ready = name in (PhaseName.VALIDATION, PhaseName.EXECUTION)
    assert status_of(state) is (Status.RECIPE_READY if ready else Status.ACTIVE)
    assert state.begun
    assert (state.sides is None) == (name is PhaseName.SOURCE_SELECTION)


def test_every_phase_needs_the_one_before_it() -> None:
    for before, phase in pairwise(PHASES):
        assert phase.needs == (before.name,)


def test_the_tools_of_the_phases_are_those_that_a_model_has() -> None:
    assert {tool for phase in PHASES for tool in phase.tools} == set(Tool) == set(tools.tools)


def test_a_run_can_only_be_started_in_the_last_phase() -> None:
    assert [phase.name for phase in PHASES if Tool.START_RUN in phase.tools] == [PhaseName.EXECUTION]
    assert [phase.name for phase in PHASES if Tool.ACCEPT_RECIPE in phase.tools] == [PhaseName.VALIDATION]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("completed", Status.COMPLETED), ("failed", Status.RECIPE_READY), ("submitted", Status.RUNNING)],
)
def test_the_status_follows_the_run(status: str, expected: Status) -> None:
    state = full()
    state.run = Run(run_id="r", status=status)
    assert status_of(state) is expected


SCALARS = st.one_of(
    st.text(), st.integers(), st.booleans(), st.decimals(allow_nan=False, allow_infinity=False, places=6)
)


@given(st.lists(SCALARS, min_size=1))
def test_filters_are_stored_without_rounding(values: list[str | int | bool | Decimal]) -> None:
    condition = FilterCondition("c", FilterOp.IN, tuple(values))
    stored = Condition.model_validate_json(Condition.of(condition).model_dump_json())
    assert [(type(v), v) for v in stored.domain().values] == [
        (int, int(v)) if isinstance(v, Decimal) and str(v).lstrip("-").isdigit() else (type(v), v)
        for v in values
    ]


def test_a_state_survives_being_stored() -> None:
    state = full()
    state.wishes.tolerance = Decimal("0.020")
    state.wishes.window_days = (-1, 3)
    assert State.model_validate(state.model_dump(mode="json")) == state
