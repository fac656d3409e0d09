"""Date formats of mappings, and the instants that values written in them mean.

The engine keeps a date to the millisecond; its document may say more. So values are read from the
document where their format is one of those here, which are nearly all in use.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

_ZONE: Final = r"(?P<zone>Z|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)"
_FRACTION: Final = r"(?:[.,](?P<fraction>\d{1,9}))?"


def _optional_time(two: str) -> str:
    clock = rf"T(?P<hour>{two})(?::(?P<minute>{two})(?::(?P<second>{two}){_FRACTION})?)?{_ZONE}?"
    return rf"(?P<year>\d{{4}})(?:-(?P<month>{two})(?:-(?P<day>{two})(?:T|{clock})?)?)?"


_REGEX_NAMES: Final = {
    "strict_date_optional_time": _optional_time(r"\d{2}"),
    "strict_date_optional_time_nanos": _optional_time(r"\d{2}"),
    "date_optional_time": _optional_time(r"\d{1,2}"),
}
_EPOCHS: Final = {"epoch_millis": 1_000_000, "epoch_second": 1_000_000_000}
"""Nanoseconds of their unit."""
_PATTERN_NAMES: Final = {
    "date": "yyyy-MM-dd",
    "year_month_day": "yyyy-MM-dd",
    "basic_date": "yyyyMMdd",
    "date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSSX",
    "date_time_no_millis": "yyyy-MM-dd'T'HH:mm:ssX",
    "basic_date_time": "yyyyMMdd'T'HHmmss.SSSX",
    "basic_date_time_no_millis": "yyyyMMdd'T'HHmmssX",
    "date_hour_minute_second": "yyyy-MM-dd'T'HH:mm:ss",
    "date_hour_minute_second_millis": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "date_hour_minute_second_fraction": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSS",
    "date_hour_minute": "yyyy-MM-dd'T'HH:mm",
    "year_month": "yyyy-MM",
    "year": "yyyy",
}
_ANY_FRACTION: Final = frozenset({"date_time", "date_hour_minute_second_fraction"})
_ISO: Final = frozenset(
    {
        *_REGEX_NAMES,
        *_EPOCHS,
        "date_time",
        "date_time_no_millis",
        "date",
        "strict_date_time",
        "strict_date_time_no_millis",
        "strict_date",
        "yyyy-MM-dd",
        "uuuu-MM-dd",
        "yyyy-MM-dd HH:mm:ss",
        "yyyy-MM-dd'T'HH:mm:ss",
    }
)
_EPOCH: Final = re.compile(r"(?P<whole>-?\d{1,18})(?:\.(?P<part>\d{1,9}))?", re.ASCII)
_TOKEN: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|\[|\]|.", re.DOTALL)
_FIELDS: Final = {
    "yyyy": r"(?P<year>\d{4})",
    "uuuu": r"(?P<year>\d{4})",
    "MM": r"(?P<month>\d{2})",
    "M": r"(?P<month>\d{1,2})",
    "dd": r"(?P<day>\d{2})",
    "d": r"(?P<day>\d{1,2})",
    "HH": r"(?P<hour>\d{2})",
    "H": r"(?P<hour>\d{1,2})",
    "mm": r"(?P<minute>\d{2})",
    "m": r"(?P<minute>\d{1,2})",
    "ss": r"(?P<second>\d{2})",
    "s": r"(?P<second>\d{1,2})",
}
_SECONDS_A_DAY: Final = 86_400
_DAY_ZERO: Final = dt.date(1970, 1, 1).toordinal()

Read = Callable[[str], int | None]
"""Nanoseconds since 1970 that a text means in one format, None if it is not written in it."""


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How a mapping writes its dates.

    Attributes:
        text: the mapping's own words.
        readers: one for each of the alternatives, in the engine's order.
        iso: a text that is ISO 8601 means what ISO says.
        epoch_millis: a number of five digits and more counts milliseconds.
        days: every value is a day without a time.
    """

    text: str
    readers: tuple[Read, ...]
    iso: bool
    epoch_millis: bool
    days: bool

    def nanoseconds(self, text: str) -> int | None:
        """The instant since 1970 that `text` means, None if it is written in none of the formats."""
        return next((found for read in self.readers if (found := read(text)) is not None), None)


@cache
def date_format(text: str) -> DateFormat | None:
    """The format of a mapping, None if a part of it is not known here."""
    names = [part.strip() for part in text.split("||")]
    found = [_reader(name) for name in names]
    readers = tuple(read for read in found if read is not None)
    if len(readers) < len(found):
        return None
    return DateFormat(
        text,
        readers,
        iso=all(name in _ISO for name in names),
        epoch_millis="epoch_millis" in names
        and all(name in _REGEX_NAMES or name in _EPOCHS or name in _ISO for name in names)
        and "epoch_second" not in names,
        days=all(_is_day(name) for name in names),
    )


def _is_day(name: str) -> bool:
    pattern = _PATTERN_NAMES.get(name.removeprefix("strict_"), name)
    return name not in _REGEX_NAMES and name not in _EPOCHS and not re.search("[HhKkmsSnAN]", pattern)


def _reader(name: str) -> Read | None:
    if name in _EPOCHS:
        return lambda text: _count(text, _EPOCHS[name])
    if name in _REGEX_NAMES:
        return _matcher(_REGEX_NAMES[name])
    plain = name.removeprefix("strict_")
    pattern = _PATTERN_NAMES.get(plain)
    regex = _regex(pattern or name.removeprefix("8"), any_fraction=plain in _ANY_FRACTION)
    return None if regex is None else _matcher(regex)


def _regex(pattern: str, *, any_fraction: bool) -> str | None:
    """A pattern of java.time as a regular expression, None for what has no fixed digits."""
    parts: list[str] = []
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token[1] is not None:
            parts.append(re.escape(token[1].replace("''", "'") or "'"))
        elif text in "[]":
            parts.append("(?:" if text == "[" else ")?")
        elif token[2] is None:
            parts.append(re.escape(text))
        elif text in _FIELDS:
            parts.append(_FIELDS[text])
        elif token[2] == "S":
            parts.append(r"(?P<fraction>\d{1,9})" if any_fraction else rf"(?P<fraction>\d{{{len(text)}}})")
        elif token[2] in "XZx":
            parts.append(_ZONE)
        else:
            return None
    regex = "".join(parts)
    try:
        return regex if "year" in re.compile(regex).groupindex else None
    except re.error:
        return None  # brackets that do not pair, a field that comes twice


def _matcher(regex: str) -> Read:
    compiled = re.compile(regex, re.ASCII)
    names = compiled.groupindex

    def read(text: str) -> int | None:
        found = compiled.fullmatch(text)
        return None if found is None else _instant({name: found[name] for name in names if found[name]})

    return read


def _instant(parts: dict[str, str]) -> int | None:
    try:
        day = dt.date(int(parts["year"]), int(parts.get("month", 1)), int(parts.get("day", 1))).toordinal()
        hour, minute, second = (int(parts.get(name, 0)) for name in ("hour", "minute", "second"))
        clock = dt.time(hour, minute, second)
    except ValueError:
        return None
    seconds = clock.hour * 3600 + clock.minute * 60 + clock.second - _offset(parts.get("zone", "Z"))
    fraction = int(parts.get("fraction", "0").ljust(9, "0"))
    return ((day - _DAY_ZERO) * _SECONDS_A_DAY + seconds) * 10**9 + fraction


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(6, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6])
    return -seconds if zone[0] == "-" else seconds


def _count(text: str, unit: int) -> int | None:
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    part = int((found["part"] or "").ljust(9, "0")) * unit
    if part % 10**9:
        return None
    sign = -1 if text[0] == "-" else 1
    return int(found["whole"]) * unit + sign * (part // 10**9)


def _server_format() -> DateFormat:
    known = date_format("strict_date_optional_time_nanos")
    assert known is not None  # noqa: S101 - it is in the table above
    return known


SERVER_FORMAT: Final = _server_format()
"""In which the server is asked to write the dates that it has to read itself."""
