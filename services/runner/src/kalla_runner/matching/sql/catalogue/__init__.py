"""The functions and operators that match_sql may use; what is not listed here is refused.

- entry: the form of an entry; families: the families of types, shared parameters
- text, numbers, dates, conditional, lists, aggregates, windows: the functions; operators: the operators
- `find`: the entry of a name or alias
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kalla_runner.matching.sql.catalogue.aggregates import AGGREGATE_FUNCTIONS, KEY_KEEPING
from kalla_runner.matching.sql.catalogue.conditional import CONDITIONAL_FUNCTIONS
from kalla_runner.matching.sql.catalogue.dates import DATE_FUNCTIONS
from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import family
from kalla_runner.matching.sql.catalogue.lists import LIST_FUNCTIONS
from kalla_runner.matching.sql.catalogue.numbers import NUMBER_FUNCTIONS
from kalla_runner.matching.sql.catalogue.operators import OPERATORS
from kalla_runner.matching.sql.catalogue.text import TEXT_FUNCTIONS
from kalla_runner.matching.sql.catalogue.windows import WINDOW_FUNCTIONS

__all__ = [
    "AGGREGATES",
    "ENTRIES",
    "KEY_KEEPING",
    "OPERATORS",
    "Entry",
    "Family",
    "Parameter",
    "Signature",
    "family",
    "find",
]

ENTRIES: Final[tuple[Entry, ...]] = (
    *TEXT_FUNCTIONS,
    *NUMBER_FUNCTIONS,
    *DATE_FUNCTIONS,
    *CONDITIONAL_FUNCTIONS,
    *LIST_FUNCTIONS,
    *AGGREGATE_FUNCTIONS,
    *WINDOW_FUNCTIONS,
)
"""All functions, in the order of the documentation."""

_BY_NAME: Final[Mapping[str, Entry]] = {n: e for e in ENTRIES for n in (e.name, *e.aliases)}

AGGREGATES: Final = frozenset(n for n, e in _BY_NAME.items() if e.kind == "aggregate")
"""The names of all aggregates."""


def find(name: str) -> Entry | None:
    """The entry of a function by its name or an alias, in any case."""
    return _BY_NAME.get(name.lower())
