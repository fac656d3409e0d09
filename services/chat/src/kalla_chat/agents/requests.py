"""What a person's words change."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_chat.agents.language.columns import named_sources, resolve_column
from kalla_chat.agents.language.understand import Reading, understand
from kalla_chat.agents.sentences import CHANGE_RULE, CHANGE_SCOPE, NOT_UNDERSTOOD, WHAT_IS_UNDERSTOOD
from kalla_chat.conversation.phases import PhaseName, go_back
from kalla_chat.conversation.state import State
from kalla_chat.work import recipes, sources
from kalla_chat.work.turn import Means, Turn

MORE: Final = 4
MOST: Final = 16
"""Example pairs that are shown at once, at most."""


async def hear(turn: Turn, means: Means) -> bool:
    """Apply a message to the state; False if it was answered here and nothing else is due."""
    aliases = [source.alias for source in await means.catalog.sources()]
    state = turn.state
    reading = _with_columns(understand(turn.asked.text, aliases), state)
    if reading.restarts:
        fresh = State(begun=True, cards=state.cards, drafts=state.drafts, usage=state.usage)
        for name in State.model_fields:
            setattr(state, name, getattr(fresh, name))
        turn.say("We begin again.")
        return True
    uploaded = await sources.take_uploads(turn, means) if turn.asked.uploads else []
    if uploaded:
        turn.say(f"I have {' and '.join(uploaded)}.")
    before = turn.phase.name
    if reading.other_source:
        _other_source(state, reading.side)
    chosen = await _choose(turn, means, [*reading.aliases, *uploaded], reading)
    if state.sides is None:
        _tell_unknown(turn, reading, aliases)
    changed = _wish(state, reading)
    if not chosen and not changed and not uploaded and not reading.other_source:
        return _answer(turn, reading, before)
    if (
        not chosen
        and changed
        and state.sides is not None
        and before is PhaseName.SCOPING
        and reading.consents
    ):
        state.scoped = True
    return True


def _with_columns(reading: Reading, state: State) -> Reading:
    """Once the sources are chosen, "match X to Y" may name columns of them."""
    if state.sides is None or reading.matched is None or reading.words:
        return reading
    one, two = reading.matched
    left, right = state.sides
    if resolve_column(one, left.names) is None or resolve_column(two, right.names) is None:
        return reading
    return replace(reading, words=((one, two),))


def _tell_unknown(turn: Turn, reading: Reading, aliases: list[str]) -> None:
    for name in reading.matched or ():
        if not named_sources(name, aliases)[0]:
            known = f"there are {', '.join(aliases[:10])}" if aliases else "there is none yet"
            turn.say(f'I know no source "{name}"; {known}.')


async def _choose(turn: Turn, means: Means, aliases: list[str], reading: Reading) -> bool:
    """Take the named sources; one alone fills the side that is free, or the side that was named."""
    state = turn.state
    present = {side.alias for side in (state.left, state.right) if side is not None}
    fresh = [alias for alias in dict.fromkeys(aliases) if alias not in present]
    if not fresh:
        return False
    if len(fresh) > 2:  # noqa: PLR2004 - a left one and a right one
        raise KallaError(
            Code.INVALID_REQUEST,
            f"You named {len(fresh)} sources ({', '.join(fresh)}); I reconcile two, so name two of them.",
        )
    if len(fresh) == 2:  # noqa: PLR2004
        if present:
            go_back(state, PhaseName.SOURCE_SELECTION)
        await sources.choose_source(turn, means, "left", fresh[0])
        await sources.choose_source(turn, means, "right", fresh[1])
        return True
    side = reading.side or ("left" if state.left is None else "right")
    if state.sides is not None and not reading.side:
        raise KallaError(
            Code.INVALID_REQUEST,
            f"Both sides are chosen ({' and '.join(sorted(present))}). Say which one {fresh[0]} shall "
            "replace: "
            f'"other left source {fresh[0]}" or "other right source {fresh[0]}".',
        )
    await sources.choose_source(turn, means, "left" if side == "left" else "right", fresh[0])
    return True


def _other_source(state: State, side: str) -> None:
    kept = state.right if side == "left" else state.left if side == "right" else None
    go_back(state, PhaseName.SOURCE_SELECTION)
    if side == "left":
        state.right = kept
    elif side == "right":
        state.left = kept


def _wish(state: State, reading: Reading) -> bool:
    """Note what is asked for; True if that is anything new."""
    wishes = state.wishes
    before = wishes.model_dump_json()
    if reading.tolerance is not None:
        wishes.tolerance = reading.tolerance
    if reading.window_days is not None:
        wishes.window_days = reading.window_days
    if reading.words:
        wishes.words, wishes.columns = list(reading.words), []
    wishes.narrowings += [asdict(narrowing) for narrowing in reading.narrowings]
    filtered = [side for side in (state.left, state.right) if side is not None and side.filters]
    if reading.all_rows and filtered:
        for side in filtered:
            side.filters = []
        go_back(state, PhaseName.SCOPING)
        return True
    if wishes.model_dump_json() == before:
        return False
    # New columns and filters are looked up while scoping; a tolerance only changes the rule.
    go_back(state, PhaseName.SCOPING if reading.words or reading.narrowings else PhaseName.INFERENCE)
    return True


def _answer(turn: Turn, reading: Reading, phase: PhaseName) -> bool:
    """Apply a plain answer to the question that is open; False if nothing is to follow."""
    state = turn.state
    if reading.asks_tolerance:
        turn.say('Which tolerance? Say for example "within 2 cents", "within 0.50" or "no tolerance".')
        return False
    if reading.help_wanted and phase is not PhaseName.INITIAL:
        turn.say(WHAT_IS_UNDERSTOOD)
        return True
    if reading.status or phase in (PhaseName.INITIAL, PhaseName.SOURCE_SELECTION, PhaseName.EXECUTION):
        return True
    if _applied(state, reading, phase):
        return True
    turn.say(_what_now(reading, phase))
    return False


def _applied(state: State, reading: Reading, phase: PhaseName) -> bool:
    """Whether the words answer the question of the phase; then the answer is noted."""
    match phase:
        case PhaseName.SCOPING if reading.consents or reading.skips or reading.all_rows:
            state.scoped = True
        case PhaseName.DEMONSTRATION if _judges(reading):
            _judge(state, reading)
        case PhaseName.DEMONSTRATION if reading.more_examples:
            _more_examples(state)
        case PhaseName.INFERENCE | PhaseName.VALIDATION if reading.confirmed or reading.rejected:
            recipes.judge(state, reading.confirmed, reading.rejected)
        case PhaseName.VALIDATION if reading.consents:
            state.accepted = True
        case PhaseName.INFERENCE | PhaseName.VALIDATION if reading.more_examples:
            _more_examples(state)
        case PhaseName.INFERENCE if reading.consents:
            # There is nothing to agree to: the reason is told again.
            pass
        case _:
            return False
    return True


def _more_examples(state: State) -> None:
    go_back(state, PhaseName.DEMONSTRATION)
    state.examples = min(state.examples + MORE, MOST)


def _judges(reading: Reading) -> bool:
    said = reading.all_pairs is not None or reading.skips or reading.agrees or reading.refuses
    return bool(reading.confirmed or reading.rejected) or said


def _judge(state: State, reading: Reading) -> None:
    numbers = [pair.number for pair in state.pairs]
    if reading.confirmed or reading.rejected:
        recipes.judge(state, reading.confirmed, reading.rejected)
    elif reading.skips:
        state.demonstrated = True
    elif reading.all_pairs is not False and not reading.refuses:
        recipes.judge(state, numbers, [])
    else:
        recipes.judge(state, [], numbers)


def _what_now(reading: Reading, phase: PhaseName) -> str:
    if not reading.refuses:
        return f"{NOT_UNDERSTOOD} {WHAT_IS_UNDERSTOOD}"
    return CHANGE_SCOPE if phase is PhaseName.SCOPING else CHANGE_RULE
