"""What speaks for a key besides its equal values: other columns of the pairs that agree, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from kalla_chat.inference.amounts import AmountFit, fit_columns
from kalla_chat.inference.columns import Column, Family, Side
from kalla_chat.inference.links import Link, Pairs
from kalla_chat.inference.windows import Window, find_window

_compute: Any = pyarrow.compute  # its functions are made at run time

_CODES: Final = 20
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
    """Whether both columns vary as amounts do; integers with few values are counts or codes."""
    return varies(left) and varies(right)


def varies(column: Column) -> bool:
    """Whether a column has more values than a code has."""
    return len(column.texts) > (_CODES if column.family is Family.INTEGER else 1)


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


def agreements(pairs: Pairs, links: Sequence[Link], used: Sequence[Link]) -> Iterator[float]:
    """How far other equalities hold beyond chance: 1.0 for always.

    `links` are telling ones: running numbers agree with running numbers anyhow.
    """
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
    size = int(max(link.left_codes.max(initial=-1), link.right_codes.max(initial=-1))) + 2
    there = np.zeros(size, np.bool_)
    there[link.right_codes] = True
    there[-1] = False
    shared = np.unique(link.left.codes[there[link.left_codes]])
    if not len(shared):
        return False
    viewed = link.left_view.apply(link.left.texts.take(pa.array(shared)))
    lettered = _compute.match_substring_regex(viewed, r"\p{L}")
    if int(_compute.sum(lettered).as_py() or 0) > 0.9 * len(shared):  # nearly all
        return True
    return not (link.left.dense or link.right.dense)


def named_alike(link: Link) -> bool:
    """Whether both columns have one name that means something, such as invoice_id and InvoiceID."""
    left, right = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in link.names)
    return left == right and left not in _GENERIC
