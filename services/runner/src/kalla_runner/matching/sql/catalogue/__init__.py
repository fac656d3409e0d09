"""The functions and operators that match_sql may use; what is not listed here is refused.

- entry: the form of an entry
- text, numbers, dates, ...: the entries
- `find`: the entry of a name or alias
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.text import TEXT_FUNCTIONS

__all__ = ["ENTRIES", "Entry", "Family", "Parameter", "Signature", "find"]

ENTRIES: Final[tuple[Entry, ...]] = (*TEXT_FUNCTIONS,)
"""All entries, in the order of the documentation."""

_BY_NAME: Final[Mapping[str, Entry]] = {n: e for e in ENTRIES for n in (e.name, *e.aliases)}


def find(name: str) -> Entry | None:
    """The entry of a function by its name or an alias, in any case."""
    return _BY_NAME.get(name.lower())
