"""One side in a query: how its columns are written, and how they are told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kalla_chat.inference.columns import Column, Family, Side
from kalla_chat.inference.views import View

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset(
    {
        *("all", "and", "any", "array", "as", "asc", "between", "by", "case", "cast", "column"),
        *("constraint", "cross", "current", "date", "day", "default", "desc", "distinct", "else"),
        *("end", "except", "exists", "extract", "false", "fetch", "filter", "first", "for", "from"),
        *("full", "group", "having", "hour", "in", "inner", "intersect", "interval", "into", "is"),
        *("join", "key", "last", "left", "like", "limit", "lateral", "month", "natural", "not"),
        *("null", "of", "offset", "on", "or", "order", "outer", "over", "overlaps", "partition"),
        *("primary", "range", "right", "row", "rows", "select", "set", "similar", "some", "table"),
        *("then", "time", "timestamp", "to", "true", "union", "unique", "unnest", "user", "using"),
        *("values", "when", "where", "window", "with", "year", "zone"),
    }
)


def quoted(name: str) -> str:
    """An identifier, in quotes where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Term:
    """A side under its letter; without one where it stands alone."""

    side: Side
    letter: str

    def column(self, name: str) -> str:
        """A column, in quotes where its name needs them or another differs in case only."""
        exact = quoted(name)
        twins = [n for n in self.side.source.rows.schema.names if n.casefold() == name.casefold()]
        if len(twins) > 1 and not exact.startswith('"'):
            exact = f'"{name}"'
        return f"{self.letter}.{exact}" if self.letter else exact

    def told(self, name: str) -> str:
        """A column in a sentence."""
        return f"{self.side.source.alias}.{name}"

    def text(self, column: Column, view: View, *, as_text: bool) -> str:
        """A column under a view; `as_text` casts what is no text."""
        plain = self.column(column.name)
        if column.family is not Family.TEXT and as_text:
            plain = f"CAST({plain} AS TEXT)"
        return view.sql.replace("{c}", plain)

    def day(self, column: Column) -> str:
        """A column as a date."""
        assert column.days is not None  # noqa: S101  # a window and a link are over columns of days
        return column.days.sql.replace("{c}", self.column(column.name))

    def amount(self, column: Column) -> str:
        """A column as a number."""
        assert column.amounts is not None  # noqa: S101  # a relation is over columns of amounts
        return column.amounts.sql.replace("{c}", self.column(column.name))


def letters(left: str, right: str) -> tuple[str, str]:
    """Short names for two aliases: their first letters, or l and r."""
    one, two = left[:1].lower(), right[:1].lower()
    plain = all("a" <= letter <= "z" for letter in (one, two) if letter) and one and two
    return (one, two) if plain and one != two else ("l", "r")
