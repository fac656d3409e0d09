"""Chooses pairs of rows that a person should look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from kalla_chat.inference.answer import ProposedPair
from kalla_chat.inference.draft import Drafts
from kalla_chat.inference.hypothesis import Hypothesis
from kalla_chat.inference.links import Pairs, join
from kalla_chat.inference.request import Example

_CLEAR_SHARE: Final = 0.5


def choose_pairs(drafts: Drafts, count: int) -> tuple[ProposedPair, ...]:
    """Half of them clear, half of them doubtful, as far as there are such."""
    made = next((h for h in drafts.hypotheses if len(h.pairs)), None)
    if made is None or count < 1:
        return ()
    doubtful = list(_doubtful(drafts, made))
    clear = list(_clear(drafts, made, count))
    asked = doubtful[: max(count - max(len(clear[:count]), 0), int(count * _CLEAR_SHARE))]
    chosen = clear[: count - len(asked)] + asked
    return tuple(chosen[:count])


def _clear(drafts: Drafts, made: Hypothesis, count: int) -> Iterator[ProposedPair]:
    """Pairs in which neither row has another partner, spread over the source."""
    single = made.pairs.where(_only(made.pairs.left) & _only(made.pairs.right))
    text = "; ".join(part.text for part in drafts.written(made).parts)
    for place in (
        np.unique(np.linspace(0, max(len(single) - 1, 0), count).astype(np.int64)) if len(single) else ()
    ):
        yield ProposedPair(Example(int(single.left[place]), int(single.right[place])), text, clear=True)


def _only(rows: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.bool_]:
    _, places, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return counts[places] == 1


def _doubtful(drafts: Drafts, made: Hypothesis) -> Iterator[ProposedPair]:
    """One pair for each condition that it alone breaks, and one with several partners."""
    keyed = join(made.codes) if made.keyed >= 0 else Pairs(made.pairs.left, made.pairs.right)
    held = made.conditions(keyed)
    for part in drafts.written(made).parts:
        broken = (
            keyed.where(~held[part.name])
            if part.name in held
            else keyed.where(np.zeros(len(keyed), np.bool_))
        )
        if len(broken):
            yield ProposedPair(
                Example(int(broken.left[0]), int(broken.right[0])),
                f"the key is the same, but this does not hold: {part.text}",
                clear=False,
            )
    several = made.pairs.where(~(_only(made.pairs.left) & _only(made.pairs.right)))
    if len(several):
        yield ProposedPair(
            Example(int(several.left[0]), int(several.right[0])),
            "the rule holds, but one of the two rows has another partner, too",
            clear=False,
        )
