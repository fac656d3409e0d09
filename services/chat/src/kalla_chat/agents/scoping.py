"""What was asked for in words, resolved once the columns of both sources are known."""

from __future__ import annotations

from typing import Final

from kalla_chat.agents.language.columns import resolve_column
from kalla_chat.agents.language.narrowings import Narrowing
from kalla_chat.agents.narrowing import narrow
from kalla_chat.conversation.state import Wishes
from kalla_chat.work import sources
from kalla_chat.work.reading import Rows
from kalla_chat.work.turn import Means, Turn

_GENERIC: Final = frozenset({"amount", "amounts", "value", "date", "day"})


async def resolve_wishes(turn: Turn, means: Means) -> None:
    """Turn words for columns into columns and narrowings into filters; say what could not be found."""
    sides = turn.state.sides
    if sides is None:
        return
    wishes = turn.state.wishes
    for problem in _resolve_columns(wishes, sides[0].names, sides[1].names):
        turn.say(problem)
    if not wishes.narrowings:
        return
    rows: dict[str, Rows] = {}
    for side in sides:
        _, rows[side.alias] = await sources.read_side(turn, means, side, sources.LOOKED_AT, filtered=False)
    wanted = [Narrowing(**narrowing) for narrowing in wishes.narrowings]
    found, problems = narrow(wanted, sides, rows)
    wishes.narrowings = []
    for problem in problems:
        turn.say(problem)
    for role, side in zip(("left", "right"), sides, strict=True):
        fresh = found[side.alias]
        kept = [c for c in side.conditions() if c.column not in {f.column for f in fresh}]
        if fresh:
            sources.set_filters(turn.state, "left" if role == "left" else "right", [*kept, *fresh])


def _resolve_columns(wishes: Wishes, left: list[str], right: list[str]) -> list[str]:
    problems: list[str] = []
    for word, other in wishes.words:
        if other is None:
            pair = (resolve_column(word, left), resolve_column(word, right))
        else:
            pair = _either_way(word, other, left, right)
        if pair[0] is not None and pair[1] is not None:
            chosen = (pair[0], pair[1])
            if chosen not in wishes.columns:
                wishes.columns.append(chosen)
        elif (pair == (None, None) or other is not None) and word.lower() not in _GENERIC:
            shown = word if other is None else f"{word} = {other}"
            problems.append(f'I found no columns for "{shown}", and look for them myself.')
    wishes.words = []
    return problems


def _either_way(word: str, other: str, left: list[str], right: list[str]) -> tuple[str | None, str | None]:
    """Two columns, whichever of them was named first."""
    straight = (resolve_column(word, left), resolve_column(other, right))
    if None not in straight:
        return straight
    return (resolve_column(other, left), resolve_column(word, right))
