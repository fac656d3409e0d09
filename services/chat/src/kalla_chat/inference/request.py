"""What inference is told: two sources, examples, and what the person asked for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pyarrow as pa
from kalla_common.domain import FilterCondition

MAX_ROWS: Final = 200_000
"""Rows of one side that inference looks at, at most. Beyond it: a sample, or a filter."""


@dataclass(frozen=True, slots=True)
class Source:
    """One side of the recipe to be found.

    Attributes:
        alias: the table's name in match_sql.
        rows: all columns, exactly typed, as Flight brings them; at most MAX_ROWS.
        total_rows: rows of the scoped source, after its filters.
        primary_key: if it is known; empty lets inference find it.
        filters: those that `rows` went through; they are told in words, and are not part of match_sql.
    """

    alias: str
    rows: pa.Table
    total_rows: int
    primary_key: tuple[str, ...] = ()
    filters: tuple[FilterCondition, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether `rows` is all of the source."""
        return self.rows.num_rows == self.total_rows


@dataclass(frozen=True, slots=True)
class Example:
    """Two rows, by their numbers in `Source.rows`, from 0."""

    left_row: int
    right_row: int


@dataclass(frozen=True, slots=True)
class Hints:
    """What the person asked for; it is followed, not weighed.

    Attributes:
        columns: pairs (left, right) that must decide the match; others may refine it.
        ignored_left, ignored_right: columns that must not.
        tolerance: largest difference of amounts, in the amounts' unit.
        window_days: (earliest, latest) day of the right date after the left one.
    """

    columns: tuple[tuple[str, str], ...] = ()
    ignored_left: frozenset[str] = frozenset()
    ignored_right: frozenset[str] = frozenset()
    tolerance: Decimal | None = None
    window_days: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that one inference starts from."""

    left: Source
    right: Source
    confirmed: tuple[Example, ...] = ()
    rejected: tuple[Example, ...] = ()
    hints: Hints = Hints()
