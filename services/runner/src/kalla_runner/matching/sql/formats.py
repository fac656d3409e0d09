"""Patterns of dates as text, in the engine's form.

    DD.MM.YYYY  dd.MM.yyyy  %d.%m.%Y  ->  %d.%m.%Y

The fields of PostgreSQL, Oracle, Java and MySQL are translated where they have one meaning; a pattern
that would be copied as text, or that two databases read in two ways, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Use = Literal["write", "read"]

ADVICE: Final = "write a format such as '%Y-%m-%d' or 'YYYY-MM-DD'"

_DIGITS: Final[dict[str, str]] = {
    "Y": r"\d{4}",
    "m": r"\d{1,2}",
    "d": r"\d{1,2}",
    "H": r"\d{1,2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "y": r"\d{2}",
    "j": r"\d{3}",
    "I": r"\d{1,2}",
    "p": r"(?i:AM|PM)",
    "b": r"\p{L}{3}",
    "B": r"\p{L}{3,9}",
    "3f": r"\d{3}",
    "6f": r"\d{6}",
}
"""What a field may be in a text that is read."""
_WRITTEN_ONLY: Final = frozenset({"a", "A", "e", "G", "V", "u", "-d", "-m", "-H", "-I"})
_SHORT: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}

_FIELDS: Final[dict[str, str]] = {
    "YYYY": "Y",
    "yyyy": "Y",
    "IYYY": "G",
    "YY": "y",
    "yy": "y",
    "FMMonth": "B",
    "FMDay": "A",
    "FMMM": "-m",
    "FMDD": "-d",
    "FMHH24": "-H",
    "MON": "b!",
    "Mon": "b",
    "mon": "b!",
    "MMM": "b",
    "MM": "m",
    "mm": "mm",
    "DDD": "j",
    "DD": "d",
    "dd": "d",
    "Dy": "a",
    "IW": "V",
    "HH24": "H",
    "hh24": "H",
    "HH12": "I",
    "HH": "HH",
    "MI": "M",
    "mi": "M",
    "SSS": "3f",
    "SS": "S",
    "ss": "S",
    "MS": "3f",
    "US": "6f",
    "FF3": "3f",
    "FF6": "6f",
    "AM": "p",
    "PM": "p",
    "am": "p!",
    "pm": "p!",
}
"""Longer ones first, so far as they begin alike; "!" is read as such but never written so."""
_MYSQL: Final = {"i": "M", "s": "S"}
_MYSQL_OTHERWISE: Final = frozenset("MhkcWDrtfvVuUxX")
"""What DATE_FORMAT means in MySQL and not here, or the reverse."""


class PatternError(Exception):
    """A pattern that has no one meaning; the message is a sentence for its author."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern in the engine's form.

    Attributes:
        fields: codes without the percent sign, and text between them as it is, in order.
        text: as its author wrote it.
    """

    parts: tuple[tuple[bool, str], ...]
    text: str

    @property
    def fields(self) -> frozenset[str]:
        """The codes of all fields."""
        return frozenset(part for is_field, part in self.parts if is_field)

    @property
    def engine(self) -> str:
        """For the engine."""
        return "".join(f"%{part}" if is_field else part.replace("%", "%%") for is_field, part in self.parts)

    @property
    def regex(self) -> str:
        """What a text of this form looks like; every field is a group."""
        pieces: list[str] = []
        for at, (is_field, part) in enumerate(self.parts):
            if not is_field:
                pieces.append(escaped(part))
                continue
            around = self.parts[max(at - 1, 0) : at + 2]
            # 2024112 may be two days: fields that touch have all their digits.
            touching = sum(is_field for is_field, _ in around) > 1
            pieces.append(f"({_DIGITS[part].replace('{1,2}', '{2}') if touching else _DIGITS[part]})")
        return "".join(pieces)

    def group(self, field: str) -> int:
        """The number of a field's group in `regex`."""
        return [part for is_field, part in self.parts if is_field].index(field) + 1


def escaped(text: str) -> str:
    """Text as a regular expression of the engine that matches it alone."""
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$#&-~/" and c != "/" else c for c in text)


def read_pattern(text: str, function: str, use: Use) -> Pattern:
    """Understand a pattern.

    Args:
        text: as its author wrote it.
        function: the name under which it was called, lower case.
        use: whether dates are written by it or read.

    Raises:
        PatternError: if it has no field, one that is unknown, or one with two meanings.
    """
    parts = _percent(text, function) if "%" in text else _letters(text, function, use)
    pattern = Pattern(tuple(parts), text)
    if not pattern.fields:
        raise PatternError(f"The format '{text}' has no field and would be copied as it is: {ADVICE}.")
    for field in sorted(pattern.fields):
        if field not in _DIGITS and (use == "read" or field not in _WRITTEN_ONLY):
            raise PatternError(
                f"The format '{text}' has the field %{field}, which is not available: {ADVICE}."
            )
    twelve, half = "I" in pattern.fields or "-I" in pattern.fields, "p" in pattern.fields
    if twelve != half and (twelve or use == "read"):
        raise PatternError(f"The format '{text}' needs both hours of twelve and AM or PM, or %H (HH24).")
    if use == "read":
        _check_whole(pattern)
    return pattern


def _check_whole(pattern: Pattern) -> None:
    fields = pattern.fields
    named = [part for is_field, part in pattern.parts if is_field]
    year, month = fields & {"Y", "y"}, fields & {"m", "b", "B"}
    day = (len(month) == 1 and "d" in fields and "j" not in fields) or (not month and "j" in fields)
    if len(year) != 1 or not day or len(named) > len(fields):
        raise PatternError(
            f"The format '{pattern.text}' must have one year, one month and one day: {ADVICE}."
        )
    hour, minute, second = bool(fields & {"H", "I"}), "M" in fields, "S" in fields
    if (hour and not minute) or (minute and not hour) or (second and not minute):
        raise PatternError(f"The format '{pattern.text}' must have hours and minutes, or neither.")
    if fields & {"3f", "6f"} and not second:
        raise PatternError(f"The format '{pattern.text}' has parts of a second but no seconds.")


def _percent(text: str, function: str) -> list[tuple[bool, str]]:
    parts: list[tuple[bool, str]] = []
    at = 0
    for found in re.finditer(r"%(%|-?[A-Za-z]|[36]f|\.[36]f|.|$)", text, re.DOTALL):
        if found.start() > at:
            parts.append((False, text[at : found.start()]))
        at = found.end()
        code = found[1]
        if code == "%":
            parts.append((False, "%"))
        elif code in (".3f", ".6f"):
            parts += [(False, "."), (True, code[1:])]
        elif code in _SHORT:
            parts += _percent(_SHORT[code], function)
        elif function == "date_format" and code in _MYSQL:
            parts.append((True, _MYSQL[code]))
        elif function == "date_format" and code in _MYSQL_OTHERWISE:
            raise PatternError(
                f"In the format '{text}' %{code} means one thing in MySQL and another elsewhere: write "
                "TO_CHAR, where %H:%M:%S are hours, minutes and seconds, and %b is the month's name."
            )
        else:
            parts.append((True, code))
    if at < len(text):
        parts.append((False, text[at:]))
    return parts


def _letters(text: str, function: str, use: Use) -> list[tuple[bool, str]]:
    parts: list[tuple[bool, str]] = []
    at = 0
    while at < len(text):
        quoted = re.match(r'"([^"]*)"|\'([^\']+)\'', text[at:])
        if quoted:
            parts.append((False, quoted[1] if quoted[1] is not None else quoted[2]))
            at += quoted.end()
            continue
        token = next((token for token in _FIELDS if text.startswith(token, at)), None)
        if token is not None:
            parts.append((True, _FIELDS[token]))
            at += len(token)
        elif text[at].isalpha() and not (text[at] in "TZ" and parts):
            raise PatternError(_unknown(text, at))
        else:
            parts.append((False, text[at]))
            at += 1
    codes = {part for is_field, part in parts if is_field}
    return [
        (is_field, _one_meaning(part, codes, text, function, use) if is_field else part)
        for is_field, part in parts
    ]


def _unknown(text: str, at: int) -> str:
    word = re.match(r"[^\W\d_]+", text[at:])
    return f"The format '{text}' has {word[0] if word else text[at]!r}, which is not a field: {ADVICE}."


def _one_meaning(part: str, codes: set[str], text: str, function: str, use: Use) -> str:
    hours = codes & {"HH", "H", "I"}
    if part == "mm":
        if "m" in codes and hours and "M" not in codes:
            return "M"
        if not hours and not codes & {"m", "b", "b!", "B"} and function != "date_format":
            return "m"
        raise PatternError(
            f"In the format '{text}' mm may be the month or the minutes: write MM for months, MI for minutes."
        )
    if part == "HH":
        if "p" in codes or "p!" in codes:
            return "I"
        if "mm" in codes and "M" not in codes:
            return "H"
        raise PatternError(
            f"In the format '{text}' HH may count to 12 or to 24: write HH24, or HH12 with AM."
        )
    if part.endswith("!"):
        if use == "read":
            return part[0]
        raise PatternError(
            f"The format '{text}' asks for another case of letters: write Mon or AM, within UPPER or LOWER."
        )
    return part
