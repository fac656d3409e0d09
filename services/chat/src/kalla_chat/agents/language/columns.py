"""Names of sources and columns in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

QUOTED: Final = r"'[^']*'|\"[^\"]*\"|`[^`]*`"
_LONGEST_NAME: Final = 3
"""Words of a column's name."""
_TELLING: Final = 3
"""Letters that a part of a name needs to be looked for inside another."""

_ON: Final = re.compile(
    r"""
    \b(?:on|by|using|via|keys?(?:\ (?:is|are|on|by))?)\s+
    (?P<what>.+?)
    (?=\s*(?: \b(?:within|with|only|where|tolerance|for|if|since|after|before|but|up\ to)\b
            | \bexclud | \bignor | ± | [;:.!?](?:\s|$) | $ ))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_EQUALS: Final = re.compile(
    rf"({QUOTED}|[\w.]+)\s*(?:==?|\bequals\b|\bto\b|\bmatches\b)\s*({QUOTED}|[\w.]+)", re.IGNORECASE
)
_ARTICLE: Final = re.compile(r"^\s*(?:the|their|its|same|both)\s+", re.IGNORECASE)


_MATCHED: Final = re.compile(
    rf"""
    \b(?:match|reconcile|compare)\s+ (?:(?:the|my|our|all)\s+)? (?P<one>{QUOTED}|[\w.-]+) \s+
    (?:to|with|against|and|vs\.?|=)\s+ (?:(?:the|my|our|all)\s+)? (?P<two>{QUOTED}|[\w.-]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NO_NAMES: Final = frozenset(
    (
        "them",
        "these",
        "those",
        "it",
        "both",
        "each",
        "other",
        "another",
        "rows",
        "sources",
        "files",
        "everything",
    )
)


def unquoted(value: str) -> str:
    """A value without the quotes it was written in."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`" else value


def named_sources(text: str, aliases: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The sources that a text names, in its order, and the text without them."""
    found: list[tuple[int, str]] = []
    rest = text
    for alias in sorted(aliases, key=lambda name: (-len(name), name)):
        # A name after a dot is a column's.
        match = re.search(rf"(?<![\w.])(?:{_spellings(alias)})(?!\w|\.\w)", rest, re.IGNORECASE)
        if match:
            found.append((match.start(), alias))
            rest = rest[: match.start()] + " " * len(match[0]) + rest[match.end() :]
    return tuple(alias for _, alias in sorted(found)), rest


def matched_names(text: str) -> tuple[str, str] | None:
    """The two names in "match X to Y", be they sources or columns; None if there are none."""
    match = _MATCHED.search(text)
    if match is None:
        return None
    names = unquoted(match["one"]), unquoted(match["two"])
    return None if {name.lower() for name in names} & _NO_NAMES else names


def named_columns(text: str) -> tuple[tuple[str, str | None], ...]:
    """The columns after "on": pairs, or one word for both sides."""
    match = _ON.search(text)
    found: list[tuple[str, str | None]] = []
    for part in re.split(r",|\band\b|&|\bplus\b", match["what"]) if match else ():
        piece = _ARTICLE.sub("", part.strip())
        pair = _EQUALS.fullmatch(piece)
        if pair:
            found.append((unquoted(pair[1]), unquoted(pair[2])))
        elif piece and len(piece.split()) <= _LONGEST_NAME:
            found.append((unquoted(re.sub(r"\s+", "_", piece)), None))
    return tuple(found)


def resolve_column(word: str, names: Iterable[str]) -> str | None:
    """The one column that a word names; None if there is none, or if several fit equally well."""
    wanted = _bare(word)
    folded = {name: _bare(name) for name in names}

    def inside(name: str) -> bool:
        shorter, longer = sorted((wanted, folded[name]), key=len)
        return len(shorter) > _TELLING and shorter in longer

    rules: tuple[Callable[[str], bool], ...] = (
        lambda name: folded[name] == wanted,
        lambda name: folded[name].rstrip("s") == wanted.rstrip("s"),
        lambda name: wanted.rstrip("s") in (part.rstrip("s") for part in _parts(name)),
        inside,
    )
    for fits in rules:
        found = [name for name in folded if wanted and fits(name)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _spellings(alias: str) -> str:
    words = re.sub(r"[_ -]", "[_ -]", alias) if re.fullmatch(r"[\w -]+", alias) else re.escape(alias)
    if alias.endswith("s") and len(alias) > _TELLING:
        return f"{words}|{words[:-1]}"
    return f"{words}s?"


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unquoted(word).rpartition(".")[2].lower())


def _parts(name: str) -> list[str]:
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[0-9]+|[A-Z]+(?![a-z])", name)]
