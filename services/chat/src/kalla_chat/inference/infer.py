"""The way from a request to an answer."""

from __future__ import annotations

from kalla_chat.inference.answer import Inference, ProposedPair, SourceProfile, Trials
from kalla_chat.inference.request import Request, Source


async def infer(request: Request, trials: Trials) -> Inference:
    """Find the rule by which the rows of two sources match, and run it.

    Computing is done in a thread, so that the event loop stays free. The answer depends on the rows
    only: not on their order, nor on the order of columns.

    Returns:
        READY with a recipe that passed `check` and whose trial run matched rows, or NO_RELIABLE_RULE.

    Raises:
        KallaError: INVALID_REQUEST for more than MAX_ROWS rows, an example that names no row, or a hint
            that names no column; whatever `trials` raises when the runner cannot be used.
    """
    raise NotImplementedError


def profile(source: Source) -> SourceProfile:
    """Describe a source: its columns in figures, and its primary key."""
    raise NotImplementedError


def propose_pairs(request: Request, count: int = 6) -> tuple[ProposedPair, ...]:
    """Choose pairs to show to a person for confirmation: clear ones first, then those that ask something.

    Empty if no column pair links the two sources. Blocking; a few seconds at most.
    """
    raise NotImplementedError
