"""What a model sees of rows: the shape of every value, not the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kalla_chat.conversation.state import Cells, Pair

_QUOTED: Final = re.compile("'((?:[^']|'')*)'")


def mask(text: str) -> str:
    """Letters become A or a, digits 9; the rest, such as - . / and spaces, stays.

    So `INV-00123` arrives as `AAA-99999`: enough to talk about formats, nothing to learn a value from.
    """
    return "".join(_mask_character(character) for character in text)


def _mask_character(character: str) -> str:
    if character.isdigit() or character.isnumeric():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    # Of everything else only ASCII stays: other symbols may be told apart as well as letters.
    return character if character.isascii() else "?"


class Rows:
    """Shows rows to a model.

    Args:
        real: whether values are shown as they are.
    """

    def __init__(self, *, real: bool) -> None:
        self._real = real

    def cells(self, cells: Cells) -> Cells:
        """One row."""
        if self._real:
            return cells
        return {name: None if value is None else mask(value) for name, value in cells.items()}

    def rows(self, rows: Iterable[Cells]) -> list[Cells]:
        """Some rows."""
        return [self.cells(row) for row in rows]

    def pairs(self, pairs: Sequence[Pair]) -> list[dict[str, object]]:
        """Pairs that were shown, with what was said of them."""
        return [
            {
                "number": pair.number,
                "left": self.cells(pair.left),
                "right": self.cells(pair.right),
                "verdict": pair.verdict or "open",
            }
            for pair in pairs
        ]

    def text(self, text: str) -> str:
        """A sentence or a query, in which values stand in single quotes."""
        return text if self._real else _QUOTED.sub(lambda match: f"'{mask(match[1])}'", text)
