"""What a labelled pair of sources is, and the pieces that the generators share."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

Row = dict[str, Any]

FIRST_DAY: Final = date(2024, 1, 1)
_SYLLABLES: Final = (
    "ka",
    "lo",
    "mi",
    "ter",
    "ran",
    "dor",
    "vex",
    "sul",
    "pan",
    "tri",
    "bel",
    "nor",
    "qui",
    "zan",
    "fer",
    "gol",
    "hab",
)
_FORMS: Final = ("GmbH", "Ltd", "Inc", "SA", "BV", "Oy", "AG", "LLC")
_STATUSES: Final = ("open", "closed", "pending", "review")


@dataclass(frozen=True)
class Labelled:
    """Two sources as rows of texts, their keys, and the pairs of keys that belong together."""

    left: list[Row]
    right: list[Row]
    left_key: str
    right_key: str
    truth: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """A generator. `usable` says whether anything in the data tells which rows belong together."""

    name: str
    what: str
    usable: bool
    make: Callable[[Random, int], Labelled]


def company(random: Random) -> str:
    name = "".join(random.choice(_SYLLABLES) for _ in range(random.randint(2, 3)))
    return f"{name.capitalize()} {random.choice(_FORMS)}"


def cents(random: Random, low: int = 500, high: int = 2_500_000) -> int:
    """An amount that is as often small as it is large, as invoices are."""
    return int(low * (high / low) ** random.random())


def money(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def day(random: Random, days: int = 240) -> date:
    return FIRST_DAY + timedelta(days=random.randrange(days))


def later(start: date, days: int) -> date:
    return start + timedelta(days=days)


def status(random: Random) -> str:
    return random.choice(_STATUSES)


def code(random: Random, length: int, alphabet: str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789") -> str:
    return "".join(random.choice(alphabet) for _ in range(length))


def distinct(random: Random, count: int, make: Callable[[Random], str]) -> list[str]:
    """`count` different values."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[make(random)] = None
    return list(found)


def labelled(
    random: Random, left: list[Row], right: list[Row], keys: tuple[str, str], truth: Iterable[tuple[Any, Any]]
) -> Labelled:
    """Shuffle the rows and the columns of both sides: their order must tell nothing."""
    sides: list[list[Row]] = []
    for rows in (left, right):
        random.shuffle(rows)
        names = list(rows[0])
        random.shuffle(names)
        sides.append([{name: row[name] for name in names} for row in rows])
    return Labelled(sides[0], sides[1], keys[0], keys[1], frozenset((str(a), str(b)) for a, b in truth))


def write_csv(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
