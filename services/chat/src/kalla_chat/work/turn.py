"""One answer in the making: what came in, what changed, what will be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kalla_common.runner.ports import RunnerControl, RunnerRows, RunnerTrials

from kalla_chat.conversation.cards import Card, issue
from kalla_chat.conversation.phases import Phase, phase_of
from kalla_chat.conversation.state import State
from kalla_chat.work.ports import Catalog, Upload


@dataclass(frozen=True, slots=True)
class Means:
    """The services that the work needs, and its limits."""

    catalog: Catalog
    control: RunnerControl
    tester: RunnerTrials
    rows: RunnerRows
    trial_seconds: float


@dataclass(frozen=True, slots=True)
class Pressed:
    """The answer to a card. `value` is any JSON, None for none."""

    card_id: str
    action: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person sent."""

    text: str = ""
    pressed: Pressed | None = None
    uploads: tuple[Upload, ...] = ()


@dataclass(slots=True)
class Turn:
    """One answer in the making.

    Attributes:
        session_id: of the session.
        state: its facts, changed in place; kept only if the turn ends well.
        asked: what came in.
        note: tells the person what is being done, while it is being done.
        speak: gives the person the next piece of the answer.
        before: role and content of the messages before, oldest first, as far as an agent needs them.
        texts: paragraphs of the answer so far.
        shown: cards of the answer so far, as JSON.
    """

    session_id: UUID
    state: State
    asked: Asked
    note: Callable[[str], None]
    speak: Callable[[str], None]
    before: Sequence[tuple[str, str]] = ()
    texts: list[str] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)

    @property
    def phase(self) -> Phase:
        """The phase that the facts make now."""
        return phase_of(self.state)

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self.speak(f"\n\n{text}" if self.texts else text)
        self.texts.append(text)

    def show(self, card: Card) -> None:
        """Add a card."""
        self.shown.append(issue(self.state, card))

    def replace(self, types: set[str]) -> None:
        """Take back cards of these types that newer ones of this turn stand for."""
        for card in [card for card in self.shown if card["type"] in types]:
            self.shown.remove(card)
            self.state.cards.pop(card["card_id"], None)
