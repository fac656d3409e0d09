"""Which calls are tried: every signature with every type of its families."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from kalla_runner.matching.sql.catalogue import ENTRIES, OPERATORS, Entry, Family, Parameter, Signature

from tests.integration.matching.catalogue import values
from tests.integration.matching.catalogue.engines import Columns, Trial
from tests.integration.matching.catalogue.values import KINDS, Kind

_MOST_ROWS: Final = 32

LITERALS: Final[dict[str, tuple[str | None, ...]]] = {
    "repeat": (None, "3"),
    "lpad": (None, "4", None),
    "rpad": (None, "4", None),
    "encode": (None, "'hex'"),
    "normalize": (None, "'NFD'"),
    "string_to_array": (None, "','"),
    "round": (None, "1"),
    "trunc": (None, "1"),
    "to_char": (None, "'YYYY-MM-DD'"),
    "to_date": (None, "'DD.MM.YYYY'"),
    "to_timestamp": (None, "'DD.MM.YYYY HH24:MI:SS'"),
    "datediff": ("'day'", None, None),
    "dateadd": ("'day'", "3", None),
    "date_add": (None, "INTERVAL '1' MONTH"),
    "date_sub": (None, "INTERVAL '1' MONTH"),
    "timezone": ("'Europe/Berlin'", None),
    "at time zone": (None, "'Europe/Berlin'"),
    "regexp_like": (None, "'[a-c]+'", "'i'"),
    "regexp_match": (None, "'([0-9]+)'", "'i'"),
    "regexp_replace": (None, "'[a-z]'", "'<$1>'", "'g'"),
    "regexp_count": (None, "'[a-z]'"),
    "regexp_substr": (None, "'[0-9]+'"),
    "~": (None, "'^[a-c]'"),
    "~*": (None, "'[A-C]$'"),
    "like": (None, "'%a_b%'"),
    "ilike": (None, "'%AB_'"),
    "string_agg": (None, "','"),
    "ntile": ("2",),
    "lag": (None, "2", "NULL"),
    "lead": (None, "1", "NULL"),
    "nth_value": (None, "2"),
    "array_to_string": (None, "','"),
}
"""What a literal parameter, or one that would be too wild, is."""
_UNITS: Final = {
    "date_part": ("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "isoyear"),
    "extract": ("year", "month", "day"),
    "date_trunc": ("year", "quarter", "month", "week", "day"),
}
_TIME_UNITS: Final = ("hour", "minute", "second")
_NARROW: Final = (Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.DATE, Family.BOOLEAN)
"""What is tried where anything goes."""
_SPECIAL: Final[dict[str, Kind]] = {
    "start": values.COUNTS,
    "count": values.COUNTS,
    "place": values.COUNTS,
    "part": values.WORDS,
    "fill": values.WORDS,
    "characters": values.WORDS,
    "delimiter": values.WORDS,
    "replacement": values.WORDS,
}
DATED: Final = Kind(
    Family.TEXT,
    values.TEXTS.arrow,
    "text",
    "VARCHAR",
    (
        "29.02.2024",
        "31.12.9999",
        "01.01.1000",
        "30.02.2024",
        "02/03/2024",
        "1.2.2024",
        "2024-01-02",
        "",
        None,
    ),
    "dated",
)
TIMED: Final = Kind(
    Family.TEXT,
    values.TEXTS.arrow,
    "text",
    "VARCHAR",
    ("29.02.2024 23:59:59", "31.12.9999 00:00:00", "30.02.2024 10:00:00", "29.02.2024 25:00:00", "", None),
    "timed",
)
ISO: Final = Kind(
    Family.TEXT,
    values.TEXTS.arrow,
    "text",
    "VARCHAR",
    ("2024-02-29", "9999-12-31", "0001-01-01", "2024-02-30", "2024-13-01", "abc", None),
    "iso",
)
_OF: Final[dict[tuple[str, int], Kind]] = {
    ("to_date", 0): ISO,
    ("to_timestamp", 0): ISO,
    ("to_date", 1): DATED,
    ("to_timestamp", 1): TIMED,
    ("split_part", 0): values.TEXTS,
}


@dataclass(frozen=True)
class Case:
    """A trial of one signature; `sql` of the trial is what match_sql says."""

    entry: Entry
    number: int
    trial: Trial
    arguments: tuple[str, ...]
    """The arguments as the oracles are given them: {0}, or a literal."""

    @property
    def name(self) -> str:
        kinds = "-".join(kind.name or kind.family for kind in self.trial.columns.kinds)
        literals = "-".join(a for a in self.arguments if not a.startswith("{"))
        return f"{self.entry.name}[{self.number}]({kinds}{':' if literals else ''}{literals})"


def cases() -> Iterator[Case]:
    """All of them, the same on every call."""
    for entry in (*ENTRIES, *OPERATORS):
        for number, signature in enumerate(entry.signatures):
            yield from _cases(entry, number, signature)


def _cases(entry: Entry, number: int, signature: Signature) -> Iterator[Case]:
    if entry.name in ("get_field", "grouping"):
        return
    if entry.name in _UNITS:
        yield from _parts(entry, number, signature)
        return
    for chosen in itertools.product(*_choices(entry, number, signature)):
        if _makes_sense(entry, signature, chosen):
            yield _case(entry, number, chosen)


def _parts(entry: Entry, number: int, signature: Signature) -> Iterator[Case]:
    """Date parts and beginnings, by every unit."""
    for unit in (*_UNITS[entry.name], *_TIME_UNITS):
        for kind in _kinds(entry, number, 1, signature.parameters[1]):
            if unit not in _TIME_UNITS or kind.family is not Family.DATE:
                yield _case(entry, number, (f"'{unit}'", kind))


def _choices(entry: Entry, number: int, signature: Signature) -> list[list[str | Kind]]:
    parameters = list(signature.parameters)
    if signature.repeated:
        parameters.append(parameters[-1])
    literals = LITERALS.get(entry.name, ())
    choices: list[list[str | Kind]] = []
    for at, parameter in enumerate(parameters):
        literal = literals[at] if at < len(literals) else None
        if parameter.families == frozenset({Family.INTERVAL}):
            literal = "INTERVAL '1' MONTH"
        choices.append([literal] if literal is not None else list(_kinds(entry, number, at, parameter)))
    return choices


def _makes_sense(entry: Entry, signature: Signature, chosen: Sequence[str | Kind]) -> bool:
    kinds = [c for c in chosen if isinstance(c, Kind)]
    if (signature.alike or entry.name in ("if", "nvl2", "case")) and not _alike(entry, kinds):
        return False
    if entry.name in _TIME_UNITS and kinds[0].family is Family.DATE:
        return False
    if entry.name == "avg" and values.WIDE in kinds:
        return False  # an error, which test_quotients holds
    given = [k.family if isinstance(k, Kind) else None for k in chosen]
    # Where an earlier signature accepts the arguments, it is the one that counts.
    return entry.signature(given) is signature or any(f is None for f in given)


def _alike(entry: Entry, kinds: Sequence[Kind]) -> bool:
    if entry.name in ("if", "case"):
        return kinds[1] == kinds[2]
    if entry.name == "nvl2":
        return kinds[0] == kinds[1] == kinds[2]
    first = kinds[0]
    if (
        entry.name not in ("lag", "lead")
        and any(k.family is not first.family for k in kinds[1:])
        and first.family is not Family.LIST
    ):
        return False
    if first.family is not Family.LIST:
        return True
    if first.family is Family.LIST and any(k.family is not Family.LIST for k in kinds):
        wanted = values.WORDS if first is values.LISTS else values.COUNTS
        return all(k == wanted for k in kinds[1:])
    return all(k == first for k in kinds)


def _kinds(entry: Entry, number: int, at: int, parameter: Parameter) -> Iterator[Kind]:
    if at == 0 and (entry.name, number) in _OF:
        yield _OF[(entry.name, number)]
        return
    special = _SPECIAL.get(parameter.name)
    if special is not None and special.family in parameter.families:
        yield special
        return
    if entry.name.startswith(("array_has", "array_position", "array_append", "array_remove")) and at == 1:
        yield from (
            (values.WORDS, values.COUNTS) if Family.TEXT in parameter.families else KINDS[Family.LIST]
        )
        return
    if entry.name == "make_date":
        yield values.Kind(
            Family.INTEGER,
            values.INTEGERS.arrow,
            "bigint",
            "BIGINT",
            (2024, 2023, 2, 1, 12, 13, 29, 31, None),
            "ymd",
        )
        return
    if entry.name == "power":
        yield from (values.COUNTS, values.FLOATS) if at == 0 else (values.COUNTS,)
        return
    if entry.name in ("chr", "from_unixtime"):
        yield values.Kind(
            Family.INTEGER,
            values.INTEGERS.arrow,
            "bigint",
            "BIGINT",
            (1, 65, 252, 8364, 128512, 1114111, None),
            "code",
        )
        return
    families = [f for f in KINDS if f in parameter.families]
    if at > 0 and entry.name in ("concat", "concat_ws") and at != 1:
        families = [Family.TEXT, Family.INTEGER]
    if len(families) > len(_NARROW):
        families = [f for f in families if f in _NARROW]
    for family in families:
        # Every width and scale as the first argument; as a later one the most usual.
        yield from KINDS[family] if at == 0 and len(parameter.families) <= len(_NARROW) else KINDS[family][:1]


def _case(entry: Entry, number: int, chosen: Sequence[str | Kind]) -> Case:
    kinds = tuple(c for c in chosen if isinstance(c, Kind))
    names = tuple(f"a{i}" for i in range(len(kinds)))
    holes = iter(range(len(kinds)))
    arguments = tuple(c if isinstance(c, str) else f"{{{next(holes)}}}" for c in chosen)
    columns = Columns(names, kinds, _cells(kinds, one_by_one=entry.kind != "scalar"))
    written = f"{entry.name}({', '.join(arguments)})"
    if entry.form is not None and entry.form.count("{") == len(arguments):
        written = entry.form.format(*arguments)
    shape = {"scalar": "row", "aggregate": "group", "window": "window"}[entry.kind]
    return Case(entry, number, Trial(columns, _whole(entry, written), shape), arguments)


def _whole(entry: Entry, written: str) -> str:
    if entry.kind == "window":
        return f"{written} OVER (PARTITION BY l.k ORDER BY l.id)"
    if entry.name == "count" and written == "count()":
        return "count(*)"
    if entry.name in ("first_value", "last_value", "array_agg", "string_agg", "any_value"):
        head, _, tail = written.rpartition(")")
        return f"{head} ORDER BY l.id){tail}" if entry.name != "any_value" else written
    return written


def _cells(kinds: Sequence[Kind], *, one_by_one: bool) -> tuple[tuple[Any, ...], ...]:
    if not kinds:
        return ()
    if one_by_one:
        most = max(len(kind.values) for kind in kinds)
        return tuple(tuple(kind.values[i % len(kind.values)] for i in range(most)) for kind in kinds)
    rows = list(itertools.product(*(kind.values for kind in kinds)))
    if len(rows) > _MOST_ROWS:
        rows = Random(len(rows)).sample(rows, _MOST_ROWS)  # noqa: S311 - the same rows on every run
    return tuple(zip(*rows, strict=True))
