"""Types of a CSV file's columns: a hypothesis, and what the rows really showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from kalla_runner.connectors.text_types import Kind, MisfitError, Shape, fit, shape_of, try_convert

_NOTHING_SEEN = Shape(Kind.NULL)


class DeclaredMisfitError(Exception):
    """A value does not fit its declared type: which column, which row of the block, what value."""

    def __init__(self, column: int, row: int, value: str) -> None:
        super().__init__(column, row)
        self.column = column
        self.row = row
        self.value = value


@dataclass(frozen=True, slots=True)
class ColumnTypes:
    """The types a pass converts to; `declared` ones are fixed, the others may prove too narrow."""

    types: tuple[pa.DataType, ...]
    declared: tuple[bool, ...]


class ColumnReader:
    """Converts the blocks of one lane and keeps the shapes that it saw.

    Args:
        columns: the types.
        shapes: whether shapes are wanted: not where the types are known from an earlier pass.

    Attributes:
        seen: the joined shape of each column's values; Kind.NULL for declared columns.
        broken: whether a value did not fit its hypothetical type: what was converted is of no use.
    """

    def __init__(self, columns: ColumnTypes, *, shapes: bool = True) -> None:
        self._types = list(columns.types)
        self._declared = columns.declared
        self._shapes = shapes
        self.seen = [_NOTHING_SEEN] * len(columns.types)
        self.broken = False

    def convert(self, texts: Sequence[pa.StringArray]) -> list[pa.Array]:
        """The columns in their types, as long as nothing is `broken`.

        Raises:
            DeclaredMisfitError: a value does not fit its declared type.
        """
        return [self._column(index, text) for index, text in enumerate(texts)]

    def _column(self, index: int, text: pa.StringArray) -> pa.Array:
        target = self._types[index]
        if self._declared[index]:
            try:
                return fit(text, target)
            except MisfitError as error:
                raise DeclaredMisfitError(index, error.position, text[error.position].as_py()) from error
        if pa.types.is_string(target):
            if self._shapes and self.seen[index].kind is not Kind.TEXT:
                self.seen[index] = self.seen[index].join(shape_of(text))
            return text
        converted = try_convert(text, target)
        if converted is None:
            self.broken = True
            # From here on only the shape matters.
            self._types[index] = pa.string()
            self.seen[index] = self.seen[index].join(shape_of(text))
            return text
        self.seen[index] = self.seen[index].join(converted[1])
        return converted[0]


def join_shapes(lanes: Sequence[Sequence[Shape]]) -> list[Shape]:
    """The shapes of the whole columns from those of the lanes."""
    whole = list(lanes[0])
    for lane in lanes[1:]:
        whole = [one.join(other) for one, other in zip(whole, lane, strict=True)]
    return whole
