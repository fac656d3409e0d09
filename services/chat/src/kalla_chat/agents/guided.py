"""The guided agent: no key, no network, the same answer to the same words.

a message or a pressed button -> facts -> advance until a question is due
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_chat.agents.pressing import press
from kalla_chat.agents.requests import hear
from kalla_chat.agents.scoping import resolve_wishes
from kalla_chat.conversation import cards
from kalla_chat.conversation.phases import PHASES, PhaseName
from kalla_chat.conversation.state import State
from kalla_chat.work import recipes, runs, sources
from kalla_chat.work.turn import Means, Turn

RAISED: Final = frozenset({Code.DATABASE_UNAVAILABLE, Code.INTERNAL})
"""After these there is no sense in an answer."""

SCOPE_QUESTION: Final = cards.confirm("scope", "Work with these rows?", "Yes", "No, change it")

_HELLO: Final = (
    "I help you to find out which rows of two sources belong together. Name two sources, for example "
    '"match invoices to payments on reference and amount within 2 cents, only USD", or upload two CSV files. '
    "I show you example pairs, find the rule, try it on your data, and run it when you say so."
)


class GuidedAgent:
    """Drives all phases by rules."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._steps: dict[PhaseName, Callable[[Turn], Awaitable[bool]]] = {
            PhaseName.INITIAL: self._begin,
            PhaseName.SOURCE_SELECTION: self._select,
            PhaseName.SCOPING: self._scope,
            PhaseName.DEMONSTRATION: self._demonstrate,
            PhaseName.INFERENCE: self._infer,
            PhaseName.VALIDATION: self._validate,
            PhaseName.EXECUTION: self._execute,
        }

    async def answer(self, turn: Turn) -> None:
        """See Agent."""
        try:
            heard = await press(turn, self._means) if turn.asked.pressed else await hear(turn, self._means)
            if heard:
                await self._advance(turn)
        except KallaError as error:
            if error.code in RAISED:
                raise
            turn.say(error.message)

    async def offer(self, turn: Turn) -> None:
        """Show the buttons that are due in the present phase, if none of them is shown yet."""
        shown = {card["type"] for card in turn.shown}
        state, sides = turn.state, turn.state.sides
        match turn.phase.name:
            case PhaseName.SOURCE_SELECTION if "upload_request" not in shown:
                await sources.show_sources(turn, self._means)
            case PhaseName.SCOPING if "confirm" not in shown and sides is not None:
                turn.show(SCOPE_QUESTION)
            case PhaseName.DEMONSTRATION if (
                "match_proposal" not in shown and state.pairs and sides is not None
            ):
                turn.show(cards.match_proposal(state.pairs, sides[0].alias, sides[1].alias))
            case PhaseName.VALIDATION if "rule_summary" not in shown:
                recipes.show_draft(turn)
            case _:
                pass

    async def _advance(self, turn: Turn) -> None:
        """Go on until a phase needs an answer of the person."""
        for _ in PHASES:
            if not await self._steps[turn.phase.name](turn):
                return

    async def _begin(self, turn: Turn) -> bool:
        turn.state.begun = True
        if turn.state.sides is None and turn.state.left is None:
            turn.say(_HELLO)
        return True

    async def _select(self, turn: Turn) -> bool:
        found = await sources.show_sources(turn, self._means)
        state = turn.state
        if len(found) < 2 and state.left is None:  # noqa: PLR2004 - a left one and a right one
            turn.say("There are not yet two sources to choose from: upload CSV files, or register sources.")
        elif state.left is None and state.right is None:
            turn.say(f"Which two sources? There are {', '.join(s.alias for s in found[:10])}.")
        else:
            chosen = state.left or state.right
            side = "right" if state.left is not None else "left"
            turn.say(f"{chosen.alias if chosen else ''} is chosen. Which source is the {side} one?")
        return False

    async def _scope(self, turn: Turn) -> bool:
        await resolve_wishes(turn, self._means)
        await sources.show_rows(turn, self._means)
        told = [
            f"{side.alias} has {sources.counted(side.row_count or 0, 'row')}{sources.scope_words(side)}"
            for side in turn.state.sides or ()
        ]
        turn.say(f"{' and '.join(told)}.")
        empty = [side.alias for side in turn.state.sides or () if not side.row_count]
        if empty:
            turn.say(f"There is nothing to match in {' and '.join(empty)}: change the filter or the source.")
            return False
        turn.say(
            'Shall I work with these rows? You can narrow them, for example "only USD" or "amount > 100".'
        )
        turn.show(SCOPE_QUESTION)
        return False

    async def _demonstrate(self, turn: Turn) -> bool:
        state = turn.state
        if not state.pairs and not await recipes.propose(turn, self._means):
            turn.say("No column obviously links the two sources, so I have no example pairs to show.")
            state.demonstrated = True
            return True
        if not any(card["type"] == "match_proposal" for card in turn.shown):
            left, right = state.sides or (None, None)
            if left is not None and right is not None:
                turn.show(cards.match_proposal(state.pairs, left.alias, right.alias))
        number = len(state.pairs)
        turn.say(
            f"Here {'is a pair' if number == 1 else f'are {number} pairs'} of rows. Do they belong together? "
            'Answer with the buttons, or in words ("1 and 3 are right, 2 is wrong"); you may also skip this.'
        )
        return False

    async def _infer(self, turn: Turn) -> bool:
        state = turn.state
        if not state.no_rule:
            await recipes.find_recipe(turn, self._means)
        if state.draft is not None:
            return True
        turn.say(state.no_rule)
        turn.say(
            'You can name the columns ("on invoice_id = reference"), give a tolerance ("within 2 cents") '
            'or days ("within 5 days"), set a filter, or choose another source.'
        )
        return False

    async def _validate(self, turn: Turn) -> bool:
        draft = turn.state.draft
        if draft is None:
            return False
        if not any(card["type"] == "rule_summary" for card in turn.shown):
            recipes.show_draft(turn)
        left, right = turn.state.sides or (None, None)
        turn.say(f"I found a rule and tried it. {draft.match_description}")
        if left is not None and right is not None:
            turn.say(recipes.trial_words(draft.trial, left.alias, right.alias))
        for sentence in (*draft.contradictions, *draft.notes):
            turn.say(sentence)
        turn.say(
            'Shall I run it and keep the results? You can also say what to change, such as "within 5 cents".'
        )
        return False

    async def _execute(self, turn: Turn) -> bool:
        state = turn.state
        if state.run is None or not state.run.run_id or state.run.status in ("failed", "cancelled"):
            run = await runs.start_run(turn, self._means)
            turn.say(f"The run {run.run_id} is under way; I tell you how it ends.")
        else:
            turn.say(run_words(state))
        return False


def run_words(state: State) -> str:
    """Where the run stands."""
    if state.run is None or not state.run.run_id:
        return "Nothing was run yet."
    if state.run.status == "completed":
        return (
            f"The run {state.run.run_id} is completed. To go on, change something "
            '("within 5 cents", "other source") or say "start over".'
        )
    return f"The run {state.run.run_id} is {state.run.status}; I tell you when it ends."
