"""What every agent is."""

from __future__ import annotations

from typing import Protocol

from kalla_chat.work.turn import Turn


class Agent(Protocol):
    """Answers one message or one pressed button."""

    async def answer(self, turn: Turn) -> None:
        """Change the turn's state, and say and show what there is to say and show.

        What sources, runner and gateway refuse is said, not raised; only what makes an answer
        impossible (the database, a defect) leaves as an exception.
        """
        ...
