"""Numbers, tolerances and days as people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_WORDS: Final = {
    "a": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "fourteen": 14,
    "thirty": 30,
}
_NUMBER: Final = r"(?:\d[\d.,']*\d|\d|\b(?:" + "|".join(_WORDS) + r")\b)"
_CENTS: Final = r"(?:cents?|pence|penny|pennies|ct)"
_MONEY: Final = r"(?:dollars?|euros?|pounds?|francs?|usd|eur|gbp|chf)"

_TOLERANCE: Final = re.compile(
    rf"""
    (?: \bwithin | \btolerance(?:\s+(?:of|to|is|be|at))* | \bup\ to | \bby\ at\ most | \bat\ most | \boff\ by
      | ± | \+/- | \bdiffer(?:ence)?s?(?:\s+(?:by|of|up\ to|at\ most))* )
    \s*[:=]?\s* [$€£]? \s* (?P<number>{_NUMBER}) (?!\s*%) \s* (?P<unit>{_CENTS}|{_MONEY})? (?![\w%])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_EXACT: Final = re.compile(
    r"""
    \b(?:no|zero|without(?:\ any)?)\s+tolerance\b
    | \b(?:exact(?:ly)?(?:\ the\ same|\ equal)?|same|equal)\s+amounts?\b
    | \bamounts?\s+(?:must\s+)?(?:be\s+)?(?:exact(?:ly)?(?:\ equal)?|equal|identical)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DAYS: Final = re.compile(
    rf"""
    (?: within | up\ to | at\ most | no\ more\ than | window\ of | ± | \+/- )
    \s*(?P<number>{_NUMBER})\s*(?:calendar\s+)?days?\b (?:\s+(?P<tail>after|later|before|earlier)\b)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SAME_DAY: Final = re.compile(r"\bsame (?:day|date)\b", re.IGNORECASE)


def read_number(text: str) -> Decimal | None:
    """A number as people write it: 0.02, 0,02, 1,000.50, 1.000,50, two; None for anything else.

    A comma before exactly three digits parts thousands, unless the number begins with 0.
    """
    word = text.strip().lower().replace("'", "")
    if word in _WORDS:
        return Decimal(_WORDS[word])
    if re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", word):
        return Decimal(word.replace(",", ""))
    if re.fullmatch(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+", word):
        return Decimal(word.replace(".", "").replace(",", "."))
    if re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?", word):
        return Decimal(word.replace(",", "."))
    return None


def tolerance(text: str) -> Decimal | None:
    """The largest difference of amounts that a text allows; None if it speaks of none."""
    match = _TOLERANCE.search(text)
    number = read_number(match["number"]) if match else None
    if match and number is not None:
        cents = re.fullmatch(_CENTS, match["unit"] or "", re.IGNORECASE)
        return number / 100 if cents else number
    return Decimal(0) if _EXACT.search(text) else None


def days(text: str) -> tuple[tuple[int, int] | None, str]:
    """The (earliest, latest) day that a text allows, and the text without that."""
    match = _DAYS.search(text)
    number = read_number(match["number"]) if match else None
    if match and number is not None and number == number.to_integral_value():
        count = int(number)
        tail = (match["tail"] or "").lower()
        earliest = 0 if tail in ("after", "later") else -count
        latest = 0 if tail in ("before", "earlier") else count
        return (earliest, latest), f"{text[: match.start()]} {text[match.end() :]}"
    if _SAME_DAY.search(text):
        return (0, 0), _SAME_DAY.sub(" ", text)
    return None, text
