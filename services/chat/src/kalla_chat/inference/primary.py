"""Finds the columns that tell every row of a source from every other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from kalla_chat.inference.columns import Column, Family, Side

_KEY_WORDS: Final = (
    "id",
    "key",
    "no",
    "nr",
    "number",
    "num",
    "code",
    "ref",
    "reference",
    "uuid",
    "guid",
    "line",
)
_REFERENCE_WORDS: Final = frozenset({"ref", "reference", "their", "external", "related", "parent"})
"""Words of columns that name a row of some other source."""
_MOST_COLUMNS: Final = 4
_TRIED: Final = 8
"""Columns of which sets are made, those with most values first."""


def primary_key(side: Side) -> tuple[tuple[str, ...], str]:
    """The primary key, in the source's order of columns, and what is wrong with it ("" for nothing)."""
    order = side.source.rows.schema.names
    if side.source.primary_key:
        columns = [c for c in side.columns if c.name in side.source.primary_key]
        return side.source.primary_key, _objection(columns, side.rows)
    usable = [c for c in side.columns if c.family is not Family.OTHER and c.rows == side.rows]
    single = [c for c in usable if c.unique and c.family in (Family.TEXT, Family.INTEGER)]
    if single:
        return (min(single, key=lambda c: _unlikely(c, side.source.alias)).name,), ""
    found = _composite(usable, side)
    if found:
        return tuple(sorted((c.name for c in found), key=order.index)), ""
    return _best_effort(side, order)


def _unlikely(column: Column, alias: str) -> tuple[object, ...]:
    """Least for the column that looks most like the key: by name, then by how short its values are."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.name).lower())
    stem = alias.lower().rstrip("s")
    named = bool(words) and (words[-1] in _KEY_WORDS)
    own = any(word and stem.startswith(word[:4]) for word in words if word not in _KEY_WORDS)
    plain = words in (["id"], ["key"], ["uuid"])
    longest = max((len(str(t)) for t in column.texts.to_pylist()[:1_000]), default=0)
    elsewhere = bool(_REFERENCE_WORDS & set(words))
    return (elsewhere, not (plain or (named and own)), not named, longest > 40, column.name)  # noqa: PLR2004  # a text


def _composite(usable: Sequence[Column], side: Side) -> tuple[Column, ...]:
    ranked = sorted(usable, key=lambda c: (_kind(c), -len(c.texts), c.name))[:_TRIED]
    for size in range(2, _MOST_COLUMNS + 1):
        fitting = [
            chosen
            for chosen in combinations(ranked, size)
            if _product(chosen) >= side.rows and _distinct(chosen) == side.rows
        ]
        if fitting:
            return min(fitting, key=lambda cs: (sum(_kind(c) for c in cs), sorted(c.name for c in cs)))
    return ()


def _kind(column: Column) -> int:
    """Ids and codes before days, amounts last: those are equal by accident."""
    return {Family.TEXT: 0, Family.INTEGER: 0, Family.DAY: 1}.get(column.family, 3)


def _product(columns: Sequence[Column]) -> int:
    product = 1
    for column in columns:
        product *= max(len(column.texts), 1)
    return product


def _distinct(columns: Sequence[Column]) -> int:
    codes = np.zeros(len(columns[0].codes), np.int64)
    for column in columns:
        _, codes = np.unique(codes * (len(column.texts) + 1) + column.codes, return_inverse=True)
    return int(codes.max(initial=-1)) + 1


def _objection(columns: Sequence[Column], rows: int) -> str:
    if not columns or not rows:
        return ""
    missing = max(rows - c.rows for c in columns)
    repeated = rows - _distinct(columns)
    parts = [f"{missing:,} rows have no value in it"] if missing else []
    parts += [f"{repeated:,} rows repeat the key of another one"] if repeated else []
    return " and ".join(parts)


def _best_effort(side: Side, order: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Where no columns tell the rows apart, those that come nearest to it."""
    usable = [c for c in side.columns if c.family is not Family.OTHER and c.rows == side.rows]
    usable = usable or [c for c in side.columns if c.rows]
    if not usable:
        return (), "no column holds a value in every row"
    keys = [c for c in usable if c.family in (Family.TEXT, Family.INTEGER)] or usable
    best = max(keys, key=lambda c: (len(c.texts), [-ord(ch) for ch in c.name]))
    if len(best.texts) >= 0.9 * side.rows:  # a key with slips, such as lines that come twice
        return (best.name,), _objection([best], side.rows)
    ranked = sorted(usable, key=lambda c: (_kind(c), -len(c.texts), c.name))[:_MOST_COLUMNS]
    return tuple(sorted((c.name for c in ranked), key=order.index)), _objection(ranked, side.rows)
