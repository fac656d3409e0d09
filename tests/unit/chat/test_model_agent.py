"""The bounds of the model agent, with a model that a function plays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest
from kalla_chat.agents.guided import GuidedAgent
from kalla_chat.agents.model import ModelAgent
from kalla_chat.conversation.state import Column, Pair, Side, State
from kalla_chat.settings import ChatSettings
from kalla_chat.work.turn import Asked, Means, Turn
from pydantic import SecretStr
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

Played = AsyncIterator[str | DeltaToolCalls]


class Rules:
    """Stands where the guided agent is: what it is asked, it says."""

    async def answer(self, turn: Turn) -> None:
        turn.state.scoped = True
        turn.say("by rules")

    async def offer(self, turn: Turn) -> None:
        """Show nothing."""


def settings(**values: Any) -> ChatSettings:
    return ChatSettings(database_url=SecretStr("postgresql://x@y/z"), model="openai:played", **values)


def agent(play: Callable[[list[ModelMessage], AgentInfo], Played], **values: Any) -> ModelAgent:
    rules = cast("GuidedAgent", Rules())
    return ModelAgent(settings(**values), FunctionModel(stream_function=play), rules, cast("Means", None))


def turn(text: str, state: State) -> tuple[Turn, list[str]]:
    spoken: list[str] = []
    before = [("user", "earlier"), ("assistant", "before")]
    made = Turn(uuid4(), state, Asked(text), lambda _: None, spoken.append, before)
    return made, spoken


def demonstrating() -> State:
    def side(alias: str) -> Side:
        return Side(alias=alias, source_type="file", columns=[Column(name="name", data_type="text")])

    pair = Pair(number=1, left={"name": "Ada 36"}, right={"name": "Ada 37"}, why="", clear=True)
    return State(begun=True, left=side("a"), right=side("b"), scoped=True, pairs=[pair])


def seen(messages: list[ModelMessage], info: AgentInfo) -> str:
    return str(messages) + str(info.instructions)


async def test_the_answer_is_spoken_piece_by_piece_and_kept_whole() -> None:
    async def play(_messages: list[ModelMessage], _info: AgentInfo) -> Played:
        for piece in ("Are ", "these ", "right?"):
            yield piece

    made, spoken = turn("hello", demonstrating())
    await agent(play).answer(made)
    assert spoken == ["Are ", "these ", "right?"]
    assert made.texts == ["Are these right?"]
    assert made.state.usage.requests == 1


@pytest.mark.parametrize(
    ("show", "wanted", "hidden"), [(False, "Aaa 99", "Ada 36"), (True, "Ada 36", "Aaa 99")]
)
async def test_rows_are_masked_unless_the_setting_allows_real_ones(
    show: bool, wanted: str, hidden: str
) -> None:
    told: list[str] = []

    async def play(messages: list[ModelMessage], info: AgentInfo) -> Played:
        told.append(seen(messages, info))
        yield "ok"

    made, _ = turn("hello", demonstrating())
    await agent(play, model_show_rows=show).answer(made)
    assert wanted in told[0]
    assert hidden not in told[0]


async def test_a_tool_changes_the_phase_and_with_it_the_tools() -> None:
    offered: list[set[str]] = []

    async def play(_messages: list[ModelMessage], info: AgentInfo) -> Played:
        offered.append({tool.name for tool in info.function_tools})
        if len(offered) == 1:
            arguments = json.dumps({"confirmed": [1], "rejected": []})
            yield {0: DeltaToolCall("judge_pairs", arguments, tool_call_id="1")}
        else:
            yield "noted"

    made, _ = turn("1 is right", demonstrating())
    await agent(play).answer(made)
    assert made.state.pairs[0].verdict == "confirmed"
    assert "infer_recipe" not in offered[0]
    assert "infer_recipe" in offered[1]


async def test_what_was_done_before_a_failure_is_taken_back_and_what_it_cost_is_not() -> None:
    async def play(_messages: list[ModelMessage], _info: AgentInfo) -> Played:
        if not made.state.demonstrated:
            arguments = json.dumps({"confirmed": [1], "rejected": []})
            yield {0: DeltaToolCall("judge_pairs", arguments, tool_call_id="1")}
            return
        raise OSError("the line went dead")

    made, _ = turn("1 is right", demonstrating())
    await agent(play).answer(made)
    assert made.texts == ["The model did not answer (its provider failed), so I go on by rules.", "by rules"]
    assert made.state.pairs[0].verdict is None
    assert made.state.usage.requests >= 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"model_seconds": 0.2}, "it took too long"), ({"model_steps": 1}, "it took too many steps")],
)
async def test_time_and_steps_are_bounded(values: dict[str, Any], reason: str) -> None:
    async def play(_messages: list[ModelMessage], _info: AgentInfo) -> Played:
        if "model_seconds" in values:
            await asyncio.sleep(5)
        yield {0: DeltaToolCall("set_wishes", "{}", tool_call_id="1")}

    made, _ = turn("hello", demonstrating())
    await agent(play, **values).answer(made)
    assert reason in made.texts[0]
    assert made.texts[-1] == "by rules"


async def test_a_session_that_has_spent_its_share_asks_no_model() -> None:
    async def play(_messages: list[ModelMessage], _info: AgentInfo) -> Played:
        raise AssertionError("asked")
        yield ""

    state = demonstrating()
    state.usage.cost_usd = Decimal("1.00")
    made, _ = turn("hello", state)
    await agent(play, model_session_usd=Decimal("1.00")).answer(made)
    assert "has spent" in made.texts[0]


async def test_an_invented_tool_call_and_a_wrong_argument_do_no_harm() -> None:
    calls = iter([("start_run", "{}"), ("judge_pairs", '{"confirmed": [9], "rejected": []}'), None])

    async def play(_messages: list[ModelMessage], _info: AgentInfo) -> Played:
        call = next(calls)
        if call is None:
            yield "I see"
        else:
            yield {0: DeltaToolCall(*call, tool_call_id="1")}

    made, _ = turn("hello", demonstrating())
    await agent(play).answer(made)
    assert made.texts == ["I see"]
    assert (made.state.run, made.state.demonstrated) == (None, False)
