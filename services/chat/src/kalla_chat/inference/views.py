"""Ways to write a key so that two spellings of it are one: each as SQL and over distinct texts.

The two must agree: the trial run counts what SQL makes of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

_compute: Any = pyarrow.compute  # its functions are made at run time

Apply = Callable[[Any], Any]

_SAMPLE: Final = 2_000
_USUAL: Final = 0.8


@dataclass(frozen=True, slots=True)
class View:
    """One way to write a key.

    Attributes:
        rank: how much it takes away; of two that find the same rows the lower one is stated.
        sql: with `{c}` for the column as text.
        apply: the same over an array of texts.
        words: how it is told, after "equal"; empty for the plain value.
    """

    rank: int
    sql: str
    apply: Apply
    words: str = ""


def _same(texts: Any) -> Any:
    return texts


def _trim(texts: Any) -> Any:
    return _compute.utf8_trim(texts, " ")


def _upper(texts: Any) -> Any:
    return _compute.utf8_upper(_trim(texts))


def _no_zeros(texts: Any) -> Any:
    return _compute.utf8_ltrim(_upper(texts), "0")


def _letters_and_digits(texts: Any) -> Any:
    return _compute.replace_substring_regex(_upper(texts), "[^A-Z0-9]", "")


def _parts(texts: Any) -> Any:
    bare = _compute.replace_substring_regex(_upper(texts), "(^|[^0-9])0+([0-9])", r"\1\2")
    return _compute.replace_substring_regex(bare, "[^A-Z0-9]", "")


def _digits(texts: Any) -> Any:
    return _compute.utf8_ltrim(_compute.replace_substring_regex(texts, "[^0-9]", ""), "0")


_PARTS_SQL: Final = (
    r"regexp_replace(regexp_replace(upper(trim({c})), '(^|[^0-9])0+([0-9])', '\1\2', 'g'), "
    r"'[^A-Z0-9]', '', 'g')"
)

PLAIN: Final = View(0, "{c}", _same)
TRIMMED: Final = View(1, "trim({c})", _trim, "without spaces around them")
UPPER: Final = View(2, "upper(trim({c}))", _upper, "whatever their case and the spaces around them")
NO_ZEROS: Final = View(3, "ltrim(upper(trim({c})), '0')", _no_zeros, "without leading zeros")
LETTERS: Final = View(
    4,
    "regexp_replace(upper(trim({c})), '[^A-Z0-9]', '', 'g')",
    _letters_and_digits,
    "by their letters and digits",
)
PARTS: Final = View(
    6, _PARTS_SQL, _parts, "by their letters and digits, without the leading zeros of each number in them"
)
DIGITS: Final = View(
    7,
    "ltrim(regexp_replace({c}, '[^0-9]', '', 'g'), '0')",
    _digits,
    "by their digits without leading zeros",
)
LADDER: Final = (PLAIN, TRIMMED, UPPER, NO_ZEROS, LETTERS, PARTS, DIGITS)


@dataclass(frozen=True, slots=True)
class Affixes:
    """What nearly all values of a column begin and end with, in upper case; empty for nothing."""

    prefix: str
    suffix: str


def affixes(texts: pa.StringArray) -> Affixes:
    """Find the usual prefix and suffix of a column's distinct values, such as "INV-" and "/2024"."""
    step = max(1, len(texts) // _SAMPLE)
    sample = texts.take(pa.array(range(0, len(texts), step), pa.int64()))
    values = [str(text).strip(" ").upper() for text in sample.to_pylist()]
    return Affixes(_usual(values, r"[A-Z]+[^A-Z0-9]*(?=[A-Z0-9])|[A-Z]+(?=[0-9])"), _usual_end(values))


def _usual(values: list[str], pattern: str) -> str:
    heads = Counter(m.group() for v in values if (m := re.match(pattern, v)))
    if not heads:
        return ""
    head, count = min(heads.items(), key=lambda item: (-item[1], item[0]))
    return head if len(values) > 2 and count >= _USUAL * len(values) else ""  # noqa: PLR2004  # two prove nothing


def _usual_end(values: list[str]) -> str:
    ends = Counter(m.group() for v in values if (m := re.search(r"[^A-Z0-9]+[A-Z0-9]{1,6}$", v)))
    if not ends:
        return ""
    end, count = min(ends.items(), key=lambda item: (-item[1], item[0]))
    return end if len(values) > 2 and count >= _USUAL * len(values) else ""  # noqa: PLR2004  # two prove nothing


def without(found: Affixes) -> View:
    """The value without its column's prefix and suffix."""
    pattern = "|".join(
        part
        for part in (
            f"^{re.escape(found.prefix)}" if found.prefix else "",
            f"{re.escape(found.suffix)}$" if found.suffix else "",
        )
        if part
    )

    def apply(texts: Any) -> Any:
        return _compute.replace_substring_regex(_upper(texts), pattern, "")

    shown = " and ".join(f"{part!r}" for part in (found.prefix, found.suffix) if part)
    quoted = pattern.replace("'", "''")
    return View(5, f"regexp_replace(upper(trim({{c}})), '{quoted}', '', 'g')", apply, f"without {shown}")


def chained(first: View, then: View) -> View:
    """One view after another."""
    if first is PLAIN:
        return then
    words = " and ".join(w for w in (first.words, then.words) if w)
    return View(
        first.rank + then.rank + 1,
        then.sql.replace("{c}", first.sql),
        lambda t: then.apply(first.apply(t)),
        words,
    )
