"""Finds an id inside a longer text, by a pattern learned from the column that holds the ids alone."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from kalla_chat.inference.views import View

_compute: Any = pyarrow.compute  # its functions are made at run time

_SAMPLE: Final = 5_000
_USUAL: Final = 0.95
_SHORTEST: Final = 4
"""Characters of an id that can be told from any other number in a text."""
_MOST_SHAPES: Final = 3
_CONSTANT: Final = 0.98
_RANGES: Final = {"9": "0-9", "A": "A-Z", "a": "a-z"}


def extractor(ids: pa.StringArray, *, loose: bool) -> View | None:
    """A view that takes an id out of a text.

    Args:
        ids: distinct values of the column that holds ids alone.
        loose: allow any case, and any separators (or none) between the parts of an id.

    Returns:
        None where the ids have no common shape, or are too short to be told from other text.
    """
    step = max(1, len(ids) // _SAMPLE)
    sample = ids.take(pa.array(range(0, len(ids), step), pa.int64()))
    values = [str(text).strip(" ") for text in sample.to_pylist()]
    values = [value.upper() for value in values if value] if loose else [value for value in values if value]
    if not values or min(len(value) for value in values) < _SHORTEST:
        return None
    shapes = Counter(_shape(value) for value in values)
    common = sorted(shapes, key=lambda shape: (-shapes[shape], shape))[:_MOST_SHAPES]
    if sum(shapes[shape] for shape in common) < _USUAL * len(values):
        return None
    patterns = [_pattern([v for v in values if _shape(v) == shape], loose=loose) for shape in common]
    pattern = "|".join(dict.fromkeys(patterns))
    if not re.search(r"\[", pattern):
        return None
    bare = patterns[0].startswith("[0-9]")
    return _view(rf"\b({pattern})\b" if bare else f"({pattern})", loose=loose)


def _view(pattern: str, *, loose: bool) -> View:
    column = "upper({c})" if loose else "{c}"
    sql = f"regexp_match({column}, '{pattern.replace(chr(39), chr(39) * 2)}')[1]"
    named = pattern.replace("(", "(?P<id>", 1)

    def apply(texts: Any) -> Any:
        source = _compute.utf8_upper(texts) if loose else texts
        return _compute.struct_field(_compute.extract_regex(source, named), "id")

    return View(8 if loose else 5, sql, apply, "where it stands inside the longer text")


def _kind(character: str) -> str:
    if "0" <= character <= "9":
        return "9"
    if character.isascii() and character.isalpha():
        return "A" if character.isupper() else "a"
    return character


def _runs(value: str) -> list[tuple[str, str]]:
    return [(kind, "".join(run)) for kind, run in groupby(value, key=_kind)]


def _shape(value: str) -> str:
    """Kinds of characters without their numbers: INV-0012 is A-9."""
    return "".join(kind for kind, _ in _runs(value))


def _pattern(values: list[str], *, loose: bool) -> str:
    columns = zip(*(_runs(value) for value in values), strict=True)
    parts: list[str] = []
    for place, column in enumerate(columns):
        kind = column[0][0]
        runs = Counter(run for _, run in column)
        most, count = min(runs.items(), key=lambda item: (-item[1], item[0]))
        if kind not in "9Aa":
            parts.append("[^A-Z0-9]*" if loose else _escaped(most))
            continue
        if loose and place and parts and not parts[-1].startswith("[^"):
            parts.append("[^A-Z0-9]*")
        if kind in "Aa" and count >= _CONSTANT * len(values):
            parts.append(_escaped(most))
            continue
        lengths = [len(run) for run in runs]
        least = 1 if loose and place and kind == "9" else min(lengths)
        size = f"{least}" if least == max(lengths) else f"{least},{max(lengths)}"
        parts.append(f"[{_RANGES[kind]}]{{{size}}}")
    return "".join(parts)


def _escaped(text: str) -> str:
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)
