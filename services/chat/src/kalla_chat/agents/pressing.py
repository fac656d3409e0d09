"""What a pressed button changes. It means the same whatever agent leads the conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from kalla_common.errors import Code, KallaError

from kalla_chat.agents.language.amounts import read_number
from kalla_chat.agents.sentences import CHANGE_RULE, CHANGE_SCOPE
from kalla_chat.conversation.phases import PhaseName, go_back
from kalla_chat.conversation.state import IssuedCard, State
from kalla_chat.work import recipes, sources
from kalla_chat.work.turn import Means, Pressed, Turn


def check_pressed(state: State, pressed: Pressed) -> IssuedCard:
    """The card that was answered.

    Raises:
        KallaError: INVALID_REQUEST for an unknown card or action, or a value that the action cannot take.
    """
    card = state.cards.get(pressed.card_id)
    if card is None:
        raise KallaError(
            Code.INVALID_REQUEST, "This session has no card of this card_id.", field="card_response.card_id"
        )
    if pressed.action not in card.actions:
        known = ", ".join(card.actions) or "none"
        raise KallaError(
            Code.INVALID_REQUEST,
            f"The card cannot be answered by {pressed.action!r}; it can by: {known}.",
            field="card_response.action",
        )
    if pressed.action == "judge":
        judged_numbers(pressed.value)
    elif pressed.action in ("select", "tolerance") and not isinstance(pressed.value, str | int):
        raise _wrong_value(f"{pressed.action} needs a value, given as text")
    if pressed.action == "tolerance" and _tolerance(pressed.value) is None:
        raise _wrong_value('tolerance needs a decimal number that is not negative, such as "0.02"')
    return card


def judged_numbers(value: Any) -> tuple[list[int], list[int]]:
    """The numbers of confirmed and rejected pairs; raises INVALID_REQUEST."""
    lists: list[list[int]] = []
    for name in ("confirmed", "rejected"):
        numbers: Any = cast("Mapping[str, Any]", value).get(name, []) if isinstance(value, Mapping) else None
        if not isinstance(numbers, list) or not all(
            isinstance(n, int) and not isinstance(n, bool) for n in cast("list[object]", numbers)
        ):
            raise _wrong_value('judge needs {"confirmed": [numbers], "rejected": [numbers]}')
        lists.append(cast("list[int]", numbers))
    return lists[0], lists[1]


async def press(turn: Turn, means: Means) -> bool:
    """Apply an answer to a card; False if there is nothing to follow."""
    pressed = turn.asked.pressed
    if pressed is None:
        return False
    state = turn.state
    card = check_pressed(state, pressed)
    card.answer = json.dumps({"action": pressed.action, "value": pressed.value}, sort_keys=True)
    state.begun = True
    if turn.asked.uploads:
        for alias in await sources.take_uploads(turn, means):
            turn.say(f"I have {alias}.")
    match card.role:
        case "left":
            await sources.choose_source(turn, means, "left", str(pressed.value))
        case "right":
            await sources.choose_source(turn, means, "right", str(pressed.value))
        case "scope":
            return _scope(turn, pressed)
        case "pairs":
            _pairs(state, pressed)
        case _:
            return _recipe(turn, card, pressed)
    return True


def _scope(turn: Turn, pressed: Pressed) -> bool:
    if turn.state.sides is None or pressed.action == "confirm":
        turn.state.scoped = turn.state.sides is not None
        return True
    go_back(turn.state, PhaseName.SCOPING)
    turn.say(CHANGE_SCOPE)
    return False


def _pairs(state: State, pressed: Pressed) -> None:
    numbers = [pair.number for pair in state.pairs]
    match pressed.action:
        case "confirm":
            recipes.judge(state, numbers, [])
        case "reject":
            recipes.judge(state, [], numbers)
        case "judge":
            recipes.judge(state, *judged_numbers(pressed.value))
        case _:
            state.demonstrated = True


def _recipe(turn: Turn, card: IssuedCard, pressed: Pressed) -> bool:
    state = turn.state
    if state.draft is None or state.draft.recipe_id != card.draft:
        turn.say("That proposal was replaced since.")
        return True
    match pressed.action:
        case "confirm":
            state.accepted = True
            return True
        case "tolerance":
            state.wishes.tolerance = _tolerance(pressed.value)
            go_back(state, PhaseName.INFERENCE)
            return True
        case _:
            turn.say(CHANGE_RULE)
            return False


def _tolerance(value: Any) -> Decimal | None:
    return read_number(str(value))


def _wrong_value(sentence: str) -> KallaError:
    return KallaError(
        Code.INVALID_REQUEST, f"The card response is wrong: {sentence}.", field="card_response.value"
    )
