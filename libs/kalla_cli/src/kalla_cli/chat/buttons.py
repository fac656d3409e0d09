"""Buttons of cards, by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_IN_WORDS: Final = frozenset(("judge", "tolerance"))
"""Actions with values that are easier said: "1 and 3 are right", "within 5 cents"."""


@dataclass(frozen=True, slots=True)
class Button:
    """One answer to a card."""

    label: str
    response: Mapping[str, Any]


def buttons(cards: Iterable[Mapping[str, Any]]) -> list[Button]:
    """All buttons of a message, in the order in which they are numbered from 1."""
    found: list[Button] = []
    for card in cards:
        for action in card["actions"]:
            response = {"card_id": card["card_id"], "action": action["action"]}
            if action["action"] in _IN_WORDS:
                continue
            if action["action"] == "select":
                found += [
                    Button(
                        f"{option['label']}, the {card['side']} source", response | {"value": option["value"]}
                    )
                    for option in card["options"]
                ]
            else:
                found.append(Button(str(action["label"]), response))
    return found
