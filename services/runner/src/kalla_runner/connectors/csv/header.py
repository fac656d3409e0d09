"""Whether the first line of a CSV file names its columns, or is a row that would be lost as a header.

A cell counts against the line only where it is of the form that the values below it share: a date above
dates, an amount above amounts, a reference above references. A name above them does not, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

_ROWS: Final = 50
_CELLS: Final = 20_000
"""Cells that are looked at, in files of very many columns."""
_MOST: Final = 0.8
"""Share of a column's values that must have the cell's form: files have footers."""
_SHOWN: Final = 8
_WIDTH: Final = 40

_DAY: Final = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AP]M)?(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)
_CURRENCY: Final = r"(?:[$€£¥]|AUD|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HUF|INR|JPY|NOK|PLN|SEK|USD)"
_NUMBER: Final = re.compile(
    rf"[+-]?(?:{_CURRENCY} ?)?[+-]?(?:\d+|\d{{1,3}}(?:[.,' ]\d{{3}})+)"
    rf"(?:[.,](\d+))?(?: ?{_CURRENCY}| ?%)?[+-]?"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d+")
_RUNS: Final = re.compile(r"[A-Za-z]+|\d+")
_LONG: Final = 6
"""Digits of a number that is a reference and no count."""
_LONG_CODE: Final = 10


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why the first line is taken for a row.

    Attributes:
        column: from 1; 0 if the second line is the header.
        cell: what the first line holds there.
        kind: what it and the values below it are, in the plural.
        below: one of these values.
    """

    column: int
    cell: str
    kind: str
    below: str


def rows_wanted(columns: int) -> int:
    """How many rows below the first line are looked at."""
    return max(3, min(_ROWS, _CELLS // max(columns, 1)))


def suspect(
    names: Sequence[str], rows: Sequence[Sequence[str]], vouched: Collection[str] = ()
) -> Suspicion | None:
    """Find what speaks against the first line as a header; None if nothing does.

    Args:
        names: its cells.
        rows: the rows below it, all of its width; `rows_wanted` of them do.
        vouched: names that the recipe's schema lists: whoever wrote it knows them for names.
    """
    rows = rows[: rows_wanted(len(names))]
    if not rows:
        return _of_line(names, vouched)
    values = [[row[place].strip() for row in rows if row[place].strip()] for place in range(len(names))]
    scale = _is_scale(names)
    for place, cell in enumerate(names):
        if cell in vouched or not values[place]:
            continue
        kind = _shared_kind(cell.strip(), values[place], scale=scale, first=place == 0)
        if kind:
            return Suspicion(place + 1, cell, kind, values[place][0])
    if not scale and len(names) > 1 and not any(name in vouched for name in names):
        found = _all_numbers(names, values)
        if found is not None:
            return found
    return _preamble(names, rows, vouched)


def sentence(
    file: str, line: int, names: Sequence[str], rows: Sequence[Sequence[str]], why: Suspicion
) -> str:
    """Say what was found, and what to do."""
    if why.column == 0 and rows:
        return (
            f"Line {line + 1} of {file} looks like the header ({_cells(rows[0])}), but the first line was "
            f"taken for it: {_cells(names)}. Remove what is above the column names; or, if the first line "
            "names the columns, list them in the recipe's schema."
        )
    above = f"{why.cell!r} in column {why.column} is one of the {why.kind}"
    if why.below:
        above += f" that follow below it, such as {why.below!r}"
    return (
        f"The first line of {file} looks like data, not like a header with the names of the columns: "
        f"{_cells(names)}. {above}. Add a line with the column names above it; or, if it is the header, list "
        "these columns in the recipe's schema."
    )


def _cells(cells: Sequence[str]) -> str:
    shown = [cell if len(cell) <= _WIDTH else f"{cell[:_WIDTH]}..." for cell in cells[:_SHOWN]]
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return " | ".join(shown) + more


def _shared_kind(cell: str, values: Sequence[str], *, scale: bool, first: bool) -> str:
    """What a cell and the values below it are, if they are of one kind that no name has; else "".

    Args:
        cell: of the first line.
        values: below it, without empty ones.
        scale: whether the numbers in the line are those of a scale, such as years.
        first: whether it is the first column, where rows are numbered.
    """
    if _DAY.fullmatch(cell):
        return "dates" if _most(values, _DAY) else ""
    if _UUID.fullmatch(cell):
        return "ids" if _most(values, _UUID) else ""
    if cell.lower() in ("true", "false"):
        return "truth values" if all(value.lower() in ("true", "false") for value in values) else ""
    number = _NUMBER.fullmatch(cell)
    if number is not None:
        return "" if scale else _shared_number(cell, number, values, first=first)
    if any(letter.isdigit() for letter in cell):
        if _share(values, lambda value: _skeleton(value) == _skeleton(cell)):
            return "references"
        if len(cell) >= _LONG_CODE and _share(values, lambda value: _mask(value) == _mask(cell)):
            return "references"
    return ""


def _shared_number(cell: str, number: re.Match[str], values: Sequence[str], *, first: bool) -> str:
    fraction = len(number[1] or "")
    found = [_NUMBER.fullmatch(value) for value in values]
    if sum(one is not None for one in found) < _MOST * len(values):
        return ""
    if fraction > 1:
        same = [one is not None and len(one[1] or "") == fraction for one in found]
        return "amounts" if sum(same) >= _MOST * len(values) else ""
    if not _DIGITS.fullmatch(cell) or not all(_DIGITS.fullmatch(value) for value in values):
        return ""
    if len(cell) >= _LONG and all(len(value) == len(cell) for value in values):
        return "numbers"
    following = [int(cell) + step for step in range(1, 6)][: len(values)]
    counted = first and len(following) > 1 and [int(value) for value in values[: len(following)]] == following
    return "numbers" if counted else ""


def _all_numbers(names: Sequence[str], values: Sequence[Sequence[str]]) -> Suspicion | None:
    """A line of numbers above nothing but numbers, in no order that columns would have."""
    for name, column in zip(names, values, strict=True):
        if not _NUMBER.fullmatch(name.strip()) or not column or not _most(column, _NUMBER):
            return None
    if _is_scale(names, least=2):
        return None
    return Suspicion(1, names[0], "numbers", values[0][0])


def _of_line(names: Sequence[str], vouched: Collection[str]) -> Suspicion | None:
    """What the line says by itself, where no row follows: values of two kinds and no name."""
    days = [place for place, name in enumerate(names) if _DAY.fullmatch(name.strip())]
    amounts = [
        place
        for place, name in enumerate(names)
        if (found := _NUMBER.fullmatch(name.strip())) is not None and len(found[1] or "") > 1
    ]
    if days and amounts and not any(names[place] in vouched for place in (*days, *amounts)):
        return Suspicion(days[0] + 1, names[days[0]], "values", "")
    return None


def _preamble(
    names: Sequence[str], rows: Sequence[Sequence[str]], vouched: Collection[str]
) -> Suspicion | None:
    """Whether the second line names columns that have values below it, and the first one holds a value."""
    header, below = rows[0], rows[1:]
    if not below or any(name in vouched for name in names):
        return None
    cells = [cell.strip() for cell in header]
    if not all(cells) or len(set(cells)) < len(cells) or any(_is_value(cell) for cell in cells):
        return None
    if not any(_is_value(name.strip()) for name in names):
        return None
    typed = 0
    for place in range(len(names)):
        column = [row[place].strip() for row in below if row[place].strip()]
        typed += bool(column) and (_most(column, _DAY) or _most(column, _NUMBER))
    # One column may be a year above numbers with their unit between; two of three are a table.
    return Suspicion(0, names[0], "names", cells[0]) if typed > 1 else None


def _is_value(cell: str) -> bool:
    return any(form.fullmatch(cell) for form in (_DAY, _NUMBER, _UUID))


def _is_scale(names: Sequence[str], least: int = 3) -> bool:
    """Whether the numbers in a line rise or fall throughout, as years or price steps in a header do."""
    numbers = [Decimal(name.strip()) for name in names if re.fullmatch(r"-?\d+(\.\d+)?", name.strip())]
    pairs = list(pairwise(numbers))
    return len(numbers) >= least and (all(a < b for a, b in pairs) or all(a > b for a, b in pairs))


def _most(values: Sequence[str], form: re.Pattern[str]) -> bool:
    return sum(form.fullmatch(value) is not None for value in values) >= _MOST * len(values)


def _share(values: Sequence[str], holds: Callable[[str], bool]) -> bool:
    return sum(holds(value) for value in values) >= _MOST * len(values)


def _skeleton(text: str) -> str:
    """The text with every number in it as one 9: equal for INV-17 and INV-2024."""
    return _DIGITS.sub("9", text)


def _mask(text: str) -> str:
    """Which runs of letters and digits it has, and how long: equal for two IBANs of one country."""
    return _RUNS.sub(lambda run: ("9" if run[0].isdigit() else "A") * len(run[0]), text)
