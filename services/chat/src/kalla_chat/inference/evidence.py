"""What speaks for a key besides its equal values: other columns of the pairs that agree, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from kalla_chat.inference.amounts import AmountFit, fit_columns
from kalla_chat.inference.columns import Column, Family, Ints, Side
from kalla_chat.inference.links import Link, Pairs
from kalla_chat.inference.windows import Window, find_window

_DENSE: Final = 0.05
"""Share of the numbers in its range that a column holds, from which on equal numbers prove little."""
_GENERIC: Final = frozenset(
    {"id", "no", "nr", "num", "number", "row", "line", "index", "idx", "seq", "key", "code", "pos", "rownum"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Both sides."""

    left: Side
    right: Side


def amount_fits(
    sides: Sides,
    pairs: Pairs,
    used: Sequence[Link],
    given: Decimal | None,
    rejected: Pairs | None = None,
) -> list[AmountFit]:
    """Relations between columns of amounts over these pairs, the one with most above chance first."""
    taken_left = {link.left.name for link in used}
    taken_right = {link.right.name for link in used}
    found = [
        relation
        for one in sides.left.columns
        if one.amounts is not None and one.name not in taken_left
        for two in sides.right.columns
        if two.amounts is not None and two.name not in taken_right and may_be_one_amount(one, two)
        if (relation := fit_columns(one, two, pairs, given, rejected)) is not None
    ]
    return sorted(found, key=lambda f: (-round(f.lift, 4), not f.relation.plain, f.left.name, f.right.name))


def may_be_one_amount(left: Column, right: Column) -> bool:
    """Integers with few values are counts or codes; a constant says nothing."""
    return all(
        len(c.texts) > 1 and (c.family is not Family.INTEGER or len(c.texts) > 20) for c in (left, right)
    )  # noqa: PLR2004


def windows(sides: Sides, pairs: Pairs, given: tuple[int, int] | None) -> list[Window]:
    """Windows between columns of days over these pairs; the one with most above chance first."""
    found = [
        window
        for one in sides.left.columns
        if one.days is not None
        for two in sides.right.columns
        if two.days is not None and (window := find_window(one, two, pairs, given)) is not None
    ]
    return sorted(
        found,
        key=lambda w: (-round(w.precision * w.support), w.latest - w.earliest, w.left.name, w.right.name),
    )


def near_in_time(sides: Sides, pairs: Pairs) -> float:
    """How much more often than by chance the pairs lie within a few days of each other: 0.0 to 1.0."""
    best = 0.0
    for window in windows(sides, pairs, None):
        share = window.support / max(window.tested, 1)
        best = max(best, share * window.precision)
    return best


def agreements(sides: Sides, pairs: Pairs, links: Sequence[Link], used: Sequence[Link]) -> Iterator[float]:
    """How far other equalities hold beyond chance: 1.0 for always."""
    taken = {(side, name) for link in used for side, name in zip("lr", link.names, strict=True)}
    for link in links:
        if ("l", link.left.name) in taken or ("r", link.right.name) in taken or link.kind == "amount":
            continue
        one, two = link.left_codes[pairs.left], link.right_codes[pairs.right]
        both = (one >= 0) & (two >= 0)
        if not both.any():
            continue
        share = float((one[both] == two[both]).mean())
        chance = chance_of_link(link)
        if chance < 0.5:  # noqa: PLR2004  # a column that hardly varies agrees anyhow
            yield (share - chance) / (1.0 - chance)


def chance_of_link(link: Link) -> float:
    """Share of all pairs of rows for which an equality holds."""
    size = int(max(link.left_codes.max(initial=-1), link.right_codes.max(initial=-1))) + 1
    counts = [
        np.bincount(codes[codes >= 0], minlength=size).astype(np.float64)
        for codes in (link.left_codes, link.right_codes)
    ]
    return float((counts[0] * counts[1]).sum()) / max(len(link.left_codes) * len(link.right_codes), 1)


def is_telling(link: Link) -> bool:
    """Whether equal values of this link are no accident: they hold letters, or are rare among numbers."""
    if link.kind != "text":
        return False
    common = np.intersect1d(link.left_codes, link.right_codes)
    places = np.searchsorted(common, link.left_codes)
    shared = (link.left_codes >= 0) & (common[np.clip(places, 0, len(common) - 1)] == link.left_codes)
    codes = np.unique(link.left.codes[shared])
    viewed = link.left_view.apply(link.left.texts.take(codes))
    values = [str(v) for v in viewed.to_pylist()[:: max(1, len(codes) // 5_000)]]
    if not values:
        return False
    if sum(bool(re.search(r"[^\W\d_]", v)) for v in values) > 0.9 * len(values):  # noqa: PLR2004  # nearly all
        return True
    return not (_is_dense(link.left) or _is_dense(link.right))


def _is_dense(column: Column) -> bool:
    """Whether a column's numbers fill their range, as running numbers, days and amounts do."""
    texts = [re.sub(r"\D", "", str(t)) for t in column.texts.to_pylist()]
    numbers = np.unique(np.array([int(t) for t in texts if t and len(t) <= 18], np.int64))  # noqa: PLR2004  # of 64 bits
    if not len(numbers):
        return True
    low, high = _core(numbers)
    return len(numbers) >= _DENSE * (high - low + 1)


def _core(numbers: Ints) -> tuple[int, int]:
    """The range without the outermost hundredths: one large number makes no range."""
    cut = len(numbers) // 100
    return int(numbers[cut]), int(numbers[len(numbers) - 1 - cut])


def named_alike(link: Link) -> bool:
    """Whether both columns have one name that means something, such as invoice_id and InvoiceID."""
    left, right = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in link.names)
    return left == right and left not in _GENERIC
