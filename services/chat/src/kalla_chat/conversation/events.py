"""What leaves a session while a message is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kalla_common.domain import Recipe

from kalla_chat.conversation.state import State


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is stored."""

    role: str
    content: str
    cards: tuple[dict[str, Any], ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunView:
    """The full run as it stands; `stage` is "" while nothing is known."""

    run_id: str
    status: str
    stage: str = ""
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it may be shown."""

    session_id: str
    phase: str
    status: str
    state: State
    recipe: Recipe | None
    run: RunView | None
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Note:
    """What is being done now."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer and the session with it, without its messages."""

    message: Message
    session: Session


Event = Note | TextDelta | Answer | RunView
