"""Equalities between a column of each side, and the pairs of rows that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kalla_chat.inference.columns import Codes, Column, Family, Ints
from kalla_chat.inference.views import PLAIN, View

MAX_PAIRS: Final = 1_000_000
"""Pairs of rows that are held at once: two numbers each, 16 MB."""

_SMALL_CODES: Final = 1 << 22
"""Values below this are codes as they are; counting them takes 32 MB."""

LinkKind = Literal["text", "day", "amount"]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """`left_view(left) = right_view(right)`; equal codes are equal values, -1 matches nothing.

    `negated`: the right amount is taken with the other sign. `blanks`: an empty text stands on both sides.
    """

    kind: LinkKind
    left: Column
    right: Column
    left_codes: Codes
    right_codes: Codes
    left_view: View = PLAIN
    right_view: View = PLAIN
    negated: bool = False
    blanks: bool = False

    @property
    def rank(self) -> int:
        """How much the two views take away."""
        return max(self.left_view.rank, self.right_view.rank)

    @property
    def names(self) -> tuple[str, str]:
        """The two columns."""
        return self.left.name, self.right.name


@dataclass(frozen=True, slots=True)
class Counts:
    """What an equality joins: distinct values on both sides, rows of each, and pairs of rows."""

    values: int
    left: int
    right: int
    pairs: int

    @property
    def excess(self) -> float:
        """Pairs for each row of the side that matches more rows: 1.0 for 1:1, 1:N and N:1."""
        return self.pairs / max(self.left, self.right, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of row numbers."""

    left: Ints
    right: Ints

    def __len__(self) -> int:
        return len(self.left)

    def where(self, mask: npt.NDArray[np.bool_]) -> Pairs:
        """Those for which the mask holds."""
        return Pairs(self.left[mask], self.right[mask])


def text_link(left: Column, right: Column, left_view: View = PLAIN, right_view: View = PLAIN) -> Link:
    """Link two columns by their texts."""
    viewed = [left_view.apply(left.texts), right_view.apply(right.texts)]
    both = pa.concat_arrays([_plain(v) for v in viewed]).dictionary_encode()
    ids = both.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    empty = both.dictionary.index("").as_py()
    cut = len(left.texts)
    blanks = False
    if empty >= 0:
        blanks = bool((ids[:cut] == empty).any() and (ids[cut:] == empty).any())
        ids = np.where(ids == empty, np.int32(-1), ids)
    left_codes = np.append(ids[:cut], np.int32(-1))[left.codes]
    right_codes = np.append(ids[cut:], np.int32(-1))[right.codes]
    return Link("text", left, right, left_codes, right_codes, left_view, right_view, blanks=blanks)


def _plain(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return array.cast(pa.string())


def day_link(left: Column, right: Column) -> Link:
    """Link two columns that hold the same day."""
    assert left.days is not None  # noqa: S101  # the caller chose columns of days
    assert right.days is not None  # noqa: S101  # see above
    codes = shared_codes(left.days.days, left.days.valid, right.days.days, right.days.valid)
    return Link("day", left, right, *codes)


def amount_link(left: Column, right: Column, *, negated: bool) -> Link | None:
    """Link two columns that hold the same amount, 0 excepted; None where their scales leave 64 bits."""
    assert left.amounts is not None  # noqa: S101  # the caller chose columns of amounts
    assert right.amounts is not None  # noqa: S101  # see above
    aligned = align(left, right)
    if aligned is None:
        return None
    one, two, _ = aligned
    codes = shared_codes(
        one, left.amounts.valid & (one != 0), -two if negated else two, right.amounts.valid & (two != 0)
    )
    return Link("amount", left, right, *codes, negated=negated)


def align(left: Column, right: Column) -> tuple[Ints, Ints, int] | None:
    """The units of two columns of amounts at the larger of their scales, and that scale."""
    if left.amounts is None or right.amounts is None:
        return None
    scale = max(left.amounts.scale, right.amounts.scale)
    raised: list[Ints] = []
    for amounts in (left.amounts, right.amounts):
        factor = 10 ** (scale - amounts.scale)
        if int(np.abs(amounts.units).max(initial=0)) * factor > 1 << 60:
            return None
        raised.append(amounts.units * factor)
    return raised[0], raised[1], scale


def shared_codes(
    left: Ints, left_valid: npt.NDArray[np.bool_], right: Ints, right_valid: npt.NDArray[np.bool_]
) -> tuple[Codes, Codes]:
    """Number the values of two arrays alike; -1 where not valid."""
    valid = np.concatenate((left_valid, right_valid))
    both = np.where(valid, np.concatenate((left, right)), 0)
    if len(both) and both.min() >= 0 and both.max() < _SMALL_CODES:
        codes = np.where(valid, both, -1).astype(np.int32)
        return codes[: len(left)], codes[len(left) :]
    values, places = np.unique(both, return_inverse=True)
    assert len(values) < 1 << 31  # noqa: S101  # at most two times MAX_ROWS
    codes = np.where(valid, places, -1).astype(np.int32)
    return codes[: len(left)], codes[len(left) :]


def combine(links: Sequence[Link]) -> tuple[Codes, Codes]:
    """Codes of several equalities that must all hold."""
    left, right = links[0].left_codes, links[0].right_codes
    for link in links[1:]:
        width = int(max(link.left_codes.max(initial=0), link.right_codes.max(initial=0))) + 1
        both = (
            left.astype(np.int64) * width + link.left_codes,
            right.astype(np.int64) * width + link.right_codes,
        )
        left, right = shared_codes(
            both[0], (left >= 0) & (link.left_codes >= 0), both[1], (right >= 0) & (link.right_codes >= 0)
        )
    return left, right


def count(codes: tuple[Codes, Codes]) -> Counts:
    """Count what equal codes join, without making the pairs."""
    size = int(max(codes[0].max(initial=-1), codes[1].max(initial=-1))) + 1
    left = np.bincount(codes[0][codes[0] >= 0], minlength=size)
    right = np.bincount(codes[1][codes[1] >= 0], minlength=size)
    common = (left > 0) & (right > 0)
    return Counts(
        int(common.sum()),
        int(left[common].sum()),
        int(right[common].sum()),
        int((left * right).sum()),
    )


def join(codes: tuple[Codes, Codes]) -> Pairs:
    """All pairs of rows with equal codes, in the order of the left rows; the caller has counted them."""
    left, right = codes
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    rows = np.flatnonzero(left >= 0)
    start = np.searchsorted(ordered, left[rows], "left")
    stop = np.searchsorted(ordered, left[rows], "right")
    many = stop - start
    first = np.repeat(start - np.concatenate(([0], np.cumsum(many)[:-1])), many) if len(many) else many
    places = first + np.arange(int(many.sum()))
    return Pairs(np.repeat(rows, many), order[places].astype(np.int64))


def keyable(column: Column) -> bool:
    """Whether a column may hold an id."""
    return column.family in (Family.TEXT, Family.INTEGER) and len(column.texts) > 0
