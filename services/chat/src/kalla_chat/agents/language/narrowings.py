"""Conditions on rows in a text: "only USD", "amount > 100", "since 2026-01-01", "exclude cancelled"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kalla_chat.agents.language.columns import QUOTED, unquoted

_VALUE: Final = rf"(?:{QUOTED}|[\w.:/@+-]*\w)"
_SIGNS: Final = {
    "=": "eq",
    "==": "eq",
    "!=": "neq",
    "<>": "neq",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
}
_PHRASES: Final = {
    "is not": "neq",
    "isn't": "neq",
    "not equal to": "neq",
    "equals": "eq",
    "is": "eq",
    "over": "gt",
    "above": "gt",
    "more than": "gt",
    "greater than": "gt",
    "at least": "gte",
    "under": "lt",
    "below": "lt",
    "less than": "lt",
    "at most": "lte",
    "since": "gte",
    "after": "gt",
    "before": "lt",
    "until": "lte",
    "like": "like",
}
_SIGN: Final = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
_PHRASE: Final = "|".join(rf"\b{phrase}\b" for phrase in sorted(_PHRASES, key=len, reverse=True))
_CONDITION: Final = re.compile(
    rf"(?P<column>{QUOTED}|[\w.]+)\s*(?P<op>{_SIGN}|{_PHRASE})\s*(?P<value>{_VALUE})", re.IGNORECASE
)
_DATE: Final = re.compile(
    r"\b(?P<op>since|from|after|before|until)\s+(?P<value>\d{4}-\d{2}-\d{2})\b", re.IGNORECASE
)
_ONLY: Final = re.compile(rf"\b(?:only|just)\s+(?:the\s+|those\s+)?(?P<value>{_VALUE})", re.IGNORECASE)
_WITHOUT: Final = re.compile(
    rf"\b(?:exclud(?:e|ing)|without|except|ignor(?:e|ing))\s+(?:the\s+)?(?P<value>{_VALUE})", re.IGNORECASE
)
_NO_VALUES: Final = (
    frozenset(
        (
            "rows",
            "row",
            "where",
            "with",
            "if",
            "the",
            "those",
            "amounts",
            "amount",
            "tolerance",
            "examples",
            "any",
        )
    )
    | frozenset(
        (
            "example",
            "filter",
            "filters",
            "source",
            "sources",
            "match",
            "matching",
            "a",
            "an",
            "in",
            "on",
            "by",
            "for",
        )
    )
    | frozenset(("and", "or"))
)
_NO_COLUMNS: Final = frozenset(
    (
        "where",
        "only",
        "with",
        "and",
        "or",
        "if",
        "rows",
        "row",
        "it",
        "that",
        "this",
        "what",
        "which",
        "there",
    )
)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Fewer rows: `column` in the person's words, "" where only the value was named.

    `loose`: it was said in words that may mean something else, such as "is".
    """

    column: str
    op: str
    value: str
    loose: bool = False


def narrowings(text: str, named: frozenset[str]) -> tuple[Narrowing, ...]:
    """The conditions in a text; `named` are words for matched columns, such as a = b after "on"."""
    found = [Narrowing("", _PHRASES.get(m["op"].lower(), "gte"), m["value"]) for m in _dates(text)]
    rest = _DATE.sub(_unless_column, text)
    for match in _CONDITION.finditer(rest):
        column, value = unquoted(match["column"]), unquoted(match["value"])
        op = re.sub(r"\s+", " ", match["op"].lower())
        if column.lower() in _NO_COLUMNS or column.isdigit() or (column in named and value in named):
            continue
        found.append(Narrowing(column, _SIGNS.get(op) or _PHRASES[op], value, loose=op not in _SIGNS))
    rest = _CONDITION.sub(" ", rest)
    for pattern, op in ((_ONLY, "eq"), (_WITHOUT, "neq")):
        values = [unquoted(match["value"]) for match in pattern.finditer(rest)]
        found += [Narrowing("", op, value) for value in values if value.lower() not in _NO_VALUES]
    return tuple(dict.fromkeys(found))


def _dates(text: str) -> list[re.Match[str]]:
    """Dates that stand alone; "paid_on after 2026-01-01" names its column itself."""
    return [match for match in _DATE.finditer(text) if not _has_column(match)]


def _unless_column(match: re.Match[str]) -> str:
    return match[0] if _has_column(match) else " "


def _has_column(match: re.Match[str]) -> bool:
    before = match.string[: match.start()].rstrip().rpartition(" ")[2]
    return "_" in before or "." in before.rstrip(".")
