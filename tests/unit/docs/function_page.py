"""docs/functions.md, written from the catalogue by `python -m tests.unit.docs.function_page`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from kalla_runner.matching.sql.catalogue import OPERATORS, Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.aggregates import AGGREGATE_FUNCTIONS
from kalla_runner.matching.sql.catalogue.casts import CASTS
from kalla_runner.matching.sql.catalogue.conditional import CONDITIONAL_FUNCTIONS
from kalla_runner.matching.sql.catalogue.dates import DATE_FUNCTIONS
from kalla_runner.matching.sql.catalogue.equivalents import EQUIVALENTS
from kalla_runner.matching.sql.catalogue.lists import LIST_FUNCTIONS
from kalla_runner.matching.sql.catalogue.numbers import NUMBER_FUNCTIONS
from kalla_runner.matching.sql.catalogue.text import TEXT_FUNCTIONS
from kalla_runner.matching.sql.catalogue.windows import WINDOW_FUNCTIONS

PAGE: Final = Path(__file__).parents[3] / "docs" / "functions.md"

_HEAD: Final = """\
# Functions and operators

`match_sql` may use what is listed here and nothing else; any other name is refused with what to write in its
place. Each is tested over all its types, scales, NULLs and edge values against DuckDB and PostgreSQL. A NULL
argument makes the result NULL unless the meaning says otherwise. An argument marked `*` must be written out,
not computed.
[When two rows match](matching.md) has the rules of division and of types.

This page is written from the catalogue in the code: `python -m tests.unit.docs.function_page`.
"""
_GROUPS: Final[tuple[tuple[str, Sequence[Entry]], ...]] = (
    ("Text", TEXT_FUNCTIONS),
    ("Numbers", NUMBER_FUNCTIONS),
    ("Dates and timestamps", DATE_FUNCTIONS),
    ("Choosing", CONDITIONAL_FUNCTIONS),
    ("Lists and structs", LIST_FUNCTIONS),
    ("Aggregates", AGGREGATE_FUNCTIONS),
    ("Window functions", WINDOW_FUNCTIONS),
    ("Operators", OPERATORS),
)
_MOST: Final = 4
"""So many families of an argument are listed; more are "any"."""


def function_page() -> str:
    """The page as Markdown."""
    parts = [_HEAD, *(_group(title, entries) for title, entries in _GROUPS), _casts(), _equivalents()]
    return "\n".join(parts)


def _group(title: str, entries: Sequence[Entry]) -> str:
    rows = [(_calls(e), e.meaning, ", ".join(f"`{a}`" for a in e.aliases)) for e in entries]
    return f"## {title}\n\n" + _table(("Call", "Meaning", "Also written"), rows)


def _calls(entry: Entry) -> str:
    return "<br>".join(dict.fromkeys(f"`{_call(entry, s)}`" for s in entry.signatures))


def _call(entry: Entry, signature: Signature) -> str:
    named = [_parameter(p) for p in signature.parameters]
    if entry.form is not None and entry.form.count("{") == len(named):
        return entry.form.format(*named)
    if entry.name == "in":
        return entry.form.format(named[0], named[1], "...") if entry.form else entry.name
    return f"{entry.name}({', '.join(named)}{', ...' if signature.repeated else ''})"


def _parameter(parameter: Parameter) -> str:
    families = sorted(parameter.families)
    star = "*" if parameter.literal else ""
    if len(families) > _MOST or families == [parameter.name]:
        return parameter.name + star
    return f"{parameter.name}{star}: {' or '.join(families)}"


def _casts() -> str:
    rows = [
        (f"`{target}`", f"`{source}`", CASTS[target][source])
        for target in CASTS
        for source in Family
        if source in CASTS[target]
    ]
    head = (
        "## Casts\n\n`CAST(x AS type)` and `x::type`; `TRY_CAST` gives NULL where a cast is an error. "
        "Any other pair is refused with what to write.\n\n"
    )
    return head + _table(("To", "From", "What becomes of the value"), rows)


def _equivalents() -> str:
    rows = [(f"`{name}`", instead) for name, instead in sorted(EQUIVALENTS.items())]
    head = "## Written elsewhere\n\nNot available here, with what to write.\n\n"
    return head + _table(("Function", "Here"), rows)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(function_page())
