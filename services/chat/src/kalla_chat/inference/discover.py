"""Finds the column pairs that hold the same values, whatever their spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from kalla_chat.inference.columns import Codes, Column, Family, Side
from kalla_chat.inference.embedded import extractor
from kalla_chat.inference.links import Counts, Link, count, keyable, text_link
from kalla_chat.inference.views import (
    DIGITS,
    LADDER,
    LETTERS,
    PARTS,
    PLAIN,
    Affixes,
    View,
    affixes,
    chained,
    without,
)

_compute: Any = pyarrow.compute  # its functions are made at run time

LEAST_VALUES: Final = 3
"""Distinct values that two columns must share to be looked at."""
_LONGER: Final = 1.5
"""An id is looked for in texts whose average is this many times as long."""
_CLOSE: Final = 0.999
"""A simpler spelling is stated if it finds this share of the rows that the best one finds."""
_SOME: Final = 500
"""Values by which a spelling is judged before it is tried on all."""
_RARELY: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A link with what it joins."""

    link: Link
    counts: Counts

    @property
    def order(self) -> tuple[object, ...]:
        """Best first: rows found, then the simplest spelling, then names; never the order of columns."""
        found = self.counts
        return (-(found.left + found.right), found.excess, self.link.rank, self.link.names)


@dataclass(frozen=True, slots=True, eq=False)
class _Viewed:
    """A column's values under one view: their ids in a dictionary of all columns, and rows by value."""

    column: Column
    view: View
    ids: Codes


def discover(left: Side, right: Side) -> list[Found]:
    """Every column pair that shares values, each in the simplest spelling that loses nothing."""
    pairs: dict[tuple[str, str], tuple[Column, Column, set[str]]] = {}
    for general in ("parts", "bare", "digits"):
        for one, two in _overlapping(_columns(left), _columns(right), general):
            pairs.setdefault((one.name, two.name), (one, two, set()))[2].add(general)
    found = [best for one, two, general in pairs.values() for best in _spellings(one, two, general)]
    found += _embedded(left, right)
    return sorted(found, key=lambda f: f.order)


def _columns(side: Side) -> list[Column]:
    return [column for column in side.columns if keyable(column)]


def _overlapping(
    left: Sequence[Column], right: Sequence[Column], general: str
) -> Iterator[tuple[Column, Column]]:
    viewed = [(column, _general(column, general).apply(column.texts)) for column in (*left, *right)]
    if not viewed:
        return
    arrays = [v.cast(pa.string()) for _, v in viewed]
    encoded = pa.concat_arrays(arrays).dictionary_encode()
    ids = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    empty = encoded.dictionary.index("").as_py()
    size = len(encoded.dictionary)
    cuts = np.cumsum([0, *(len(a) for a in arrays)])
    parts = [np.unique(ids[a:b]) for a, b in pairwise(cuts)]
    parts = [p[(p >= 0) & (p != empty)] for p in parts]
    held = np.zeros(size + 1, np.bool_)
    for column, mine in zip(left, parts[: len(left)], strict=True):
        held[:] = False
        held[mine] = True
        for other, theirs in zip(right, parts[len(left) :], strict=True):
            if int(held[theirs].sum()) >= LEAST_VALUES or _all_shared(held, mine, theirs):
                yield column, other


def _all_shared(held: np.typing.NDArray[np.bool_], mine: Codes, theirs: Codes) -> bool:
    """Whether columns of one or two values, such as a currency, hold the same ones."""
    return 0 < len(theirs) < LEAST_VALUES and len(mine) < LEAST_VALUES and bool(held[theirs].any())


def _general(column: Column, general: str) -> View:
    if column.family is Family.INTEGER:
        return PLAIN
    if general == "bare":
        return chained(_bare(column), PARTS)
    return PARTS if general == "parts" else DIGITS


def _bare(column: Column) -> View:
    found = affixes(column.texts) if column.family is Family.TEXT else Affixes("", "")
    return without(found) if found.prefix or found.suffix else PLAIN


def _spellings(left: Column, right: Column, general: set[str]) -> Iterator[Found]:
    """The best spelling of a pair; also the best one without taking letters away, where that is another."""
    tried: list[Found] = []
    before: tuple[Any, Any] | None = None
    for view in LADDER[:-1] if "parts" in general else ():
        now = (_own(left, view).apply(left.texts), _own(right, view).apply(right.texts))
        if before is None or not (now[0].equals(before[0]) and now[1].equals(before[1])):
            tried.append(_found(left, right, view, view))
        before = now
    if "bare" in general:
        tried += _without_affixes(left, right)
    if "digits" in general:
        tried.append(_found(left, right, DIGITS, DIGITS))
    kept = [f for f in tried if f.counts.values]
    if not kept:
        return
    spelled = [f for f in kept if DIGITS not in (f.link.left_view, f.link.right_view)]
    for group in (spelled, kept):
        best = _simplest(group)
        if best is not None and not (group is kept and spelled and best in spelled):
            yield simplified(best)


def _own(column: Column, view: View) -> View:
    """Integers are spelled in one way, whatever is done to them."""
    return PLAIN if column.family is Family.INTEGER else view


def _found(left: Column, right: Column, left_view: View, right_view: View) -> Found:
    link = text_link(left, right, _own(left, left_view), _own(right, right_view))
    return Found(link, count((link.left_codes, link.right_codes)))


def _without_affixes(left: Column, right: Column) -> list[Found]:
    views = (_bare(left), _bare(right))
    if views == (PLAIN, PLAIN):
        return []
    return [_found(left, right, *views)] + [
        _found(left, right, chained(views[0], then), chained(views[1], then)) for then in (LETTERS, PARTS)
    ]


def _simplest(tried: Sequence[Found]) -> Found | None:
    if not tried:
        return None
    most = max(f.counts.left + f.counts.right for f in tried)
    good = [f for f in tried if f.counts.left + f.counts.right >= _CLOSE * most]
    # Of spellings that find as much, those that mix up values of one side come last.
    return min(
        good, key=lambda f: (round(f.counts.excess, 3), f.link.rank, -(f.counts.left + f.counts.right))
    )


def simplified(found: Found) -> Found:
    """Take each side's spelling back as far as nothing changes: one side often is in order as it is."""
    for place in (0, 1):
        now = found.link
        column, other = ((now.left, now.right), (now.right, now.left))[place]
        views = [now.left_view, now.right_view]
        shared = _shared_texts(now, place)
        theirs = views[1 - place].apply(other.texts)
        for simpler in sorted((*LADDER, _bare(column)), key=lambda v: v.rank):
            if simpler.rank >= views[place].rank:
                break
            if not _all_in(simpler.apply(shared), theirs):
                continue
            views[place] = simpler
            tried = _found(now.left, now.right, views[0], views[1])
            if tried.counts == found.counts:
                found = tried
                break
            views[place] = (now.left_view, now.right_view)[place]
    return found


def _shared_texts(link: Link, place: int) -> Any:
    """Some of the values of one side that find a partner."""
    mine, theirs = ((link.left_codes, link.right_codes), (link.right_codes, link.left_codes))[place]
    column = (link.left, link.right)[place]
    there = np.zeros(int(max(mine.max(initial=-1), theirs.max(initial=-1))) + 2, np.bool_)
    there[theirs] = True
    there[-1] = False
    codes = np.unique(column.codes[there[mine]])
    return column.texts.take(pa.array(codes[:: max(1, len(codes) // _SOME)]))


def _all_in(values: Any, among: Any) -> bool:
    return bool(_compute.all(_compute.is_in(values, value_set=among)).as_py())


def _embedded(left: Side, right: Side) -> Iterator[Found]:
    for ids, texts, turned in ((left, right, False), (right, left, True)):
        for id_column in _columns(ids):
            for text_column in _columns(texts):
                if _longer(text_column, id_column):
                    yield from _inside(id_column, text_column, turned=turned)


def _longer(text: Column, ids: Column) -> bool:
    lengths = [
        sum(len(str(t)) for t in c.texts.slice(0, 500).to_pylist()) / min(len(c.texts), 500)
        for c in (text, ids)
    ]
    return len(ids.texts) >= LEAST_VALUES and lengths[0] >= _LONGER * lengths[1]


def _inside(ids: Column, text: Column, *, turned: bool) -> Iterator[Found]:
    tried: list[Found] = []
    for loose in (False, True):
        view = extractor(ids.texts, loose=loose)
        if view is None:
            continue
        if not _sometimes(view, ids, text):
            continue
        for plain in (LETTERS, PARTS) if loose else (PLAIN,):
            there = chained(view, plain) if loose else view
            pair = (text, ids, there, plain) if turned else (ids, text, plain, there)
            tried.append(_found(*pair))
    best = _simplest([f for f in tried if f.counts.values >= LEAST_VALUES])
    if best is not None:
        yield simplified(best)


def _sometimes(view: View, ids: Column, text: Column) -> bool:
    """Whether the ids stand in some of the texts, judged by a few of them."""
    some = text.texts.take(pa.array(range(0, len(text.texts), max(1, len(text.texts) // _SOME)), pa.int64()))
    taken = PARTS.apply(view.apply(some))
    hits = _compute.sum(_compute.is_in(taken.drop_null(), value_set=PARTS.apply(ids.texts))).as_py()
    return int(hits or 0) >= _RARELY * len(some)
