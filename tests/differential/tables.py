"""Random pairs of tables that have something to do with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from tests.differential.model import Column, Format, Kind, Table, Value
from tests.differential.values import any_kind, decimal_kind, fitted, partner_kind, shifted, value

SIZES = (0, 1, 2, 4, 8, 8, 15, 15, 30, 30, 60, 120)
PLAIN_NAMES = ("id", "ref", "code", "branch", "amount", "booked", "note", "flag", "qty", "day", "total", "k2")
ODD_NAMES = ("Invoice Id", "Amount", "order", "select", "größe", 'a"b', "x.y", "__row", "UPPER", "1st")


@dataclass(frozen=True)
class Links:
    """Which columns of the two sides belong together, as (left name, right name)."""

    keys: tuple[tuple[str, str], ...]
    amounts: tuple[tuple[str, str], ...]


def make_pair(rng: Random) -> tuple[Table, Table, Links]:
    """Draw the two sides: join columns from common pools, an amount near the other side's, the rest free."""
    names_left, names_right = _names(rng), _names(rng)
    same_names = rng.random() < 0.4
    if same_names:
        names_right = list(names_left)
    formats: list[Format] = [_format(rng), _format(rng)]
    floats = [f != "csv" for f in formats]
    keys: list[tuple[Column, Column]] = []
    pools: list[list[Value]] = []
    entities = rng.choice([1, 3, 6, 12, 40])
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        kind = any_kind(rng, floats=all(floats))
        other = partner_kind(rng, kind)
        pools.append([value(rng, kind) for _ in range(entities)])
        keys.append((Column(names_left.pop(), kind), Column(names_right.pop(), other)))
    amount = _amount_kind(rng, floats[0]), _amount_kind(rng, floats[1])
    amounts = (Column(names_left.pop(), amount[0]), Column(names_right.pop(), amount[1]))
    pool = [value(rng, amount[0]) for _ in range(entities)]
    free_left, free_right = (
        [
            Column(names.pop(), any_kind(rng, floats=nested, lists=nested))
            for _ in range(rng.choice([0, 1, 1, 2, 3]))
        ]
        for names, nested in ((names_left, floats[0]), (names_right, floats[1]))
    )
    left = _fill(rng, [k for k, _ in keys], amounts[0], free_left, pools, pool=pool)
    right = _fill(rng, [k for _, k in keys], amounts[1], free_right, pools, pool=pool)
    left_pk = _primary_key(rng, left, [k.name for k, _ in keys], names_left)
    right_pk = _primary_key(rng, right, [k.name for _, k in keys], names_right)
    aliases = rng.choice(
        [
            ("invoices", "payments"),
            ("left_src", "right_src"),
            ("Invoices", "Bank Lines"),
            ("a", "b"),
            ("order", "group"),
        ]
    )
    sides = (
        Table(aliases[0], tuple(left.columns), tuple(left.rows()), left_pk, formats[0]),
        Table(aliases[1], tuple(right.columns), tuple(right.rows()), right_pk, formats[1]),
    )
    links = Links(tuple((a.name, b.name) for a, b in keys), ((amounts[0].name, amounts[1].name),))
    return *sides, links


def make_lookup(rng: Random, left: Table) -> Table:
    """Draw a look-up table whose column `lk` takes values of one of the left columns."""
    source = rng.choice([c for c in left.columns if c.kind.name != "list"])
    seen = [row[left.columns.index(source)] for row in left.rows]
    pool = [v for v in seen if v is not None] or [value(rng, source.kind)]
    rate = Column("rate", Kind("decimal", 8, 4))
    size = rng.choice([0, 1, 3, 6])
    rows = tuple(
        (None if rng.random() < 0.1 else rng.choice(pool), value(rng, rate.kind)) for _ in range(size)
    )
    file_format: Format = "arrow" if source.kind.name == "float" else _format(rng)
    return Table("rates", (Column("lk", source.kind), rate), rows, (), file_format)


def _names(rng: Random) -> list[str]:
    names = list(PLAIN_NAMES) if rng.random() < 0.8 else [*PLAIN_NAMES[4:], *ODD_NAMES]
    rng.shuffle(names)
    # No two names of one table are equal but for case: DuckDB could not hold it.
    return list({name.lower(): name for name in names}.values())


def _format(rng: Random) -> Format:
    return rng.choice(["csv", "parquet", "arrow", "arrow"])


def _amount_kind(rng: Random, floats: bool) -> Kind:
    if floats and rng.random() < 0.12:
        return Kind("float", bits=rng.choice([32, 64]))
    return Kind("int") if rng.random() < 0.12 else decimal_kind(rng)


class _Draft:
    """A table under construction, column by column."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: list[Column] = []
        self.cells: list[list[Value]] = []

    def add(self, column: Column, cells: list[Value]) -> None:
        self.columns.append(column)
        self.cells.append(cells)

    def rows(self) -> list[tuple[Value, ...]]:
        return [tuple(cells[i] for cells in self.cells) for i in range(self.size)]


def _fill(
    rng: Random,
    keys: list[Column],
    amount: Column,
    free: list[Column],
    pools: list[list[Value]],
    *,
    pool: list[Value],
) -> _Draft:
    draft = _Draft(rng.choice(SIZES))
    nulls = rng.choice([0.0, 0.0, 0.05, 0.3])
    skew = rng.random() < 0.3

    # A row is about one entity, so that several join columns agree at once, but not always.
    about = [0 if skew and rng.random() < 0.6 else rng.randrange(len(pool)) for _ in range(draft.size)]

    def entity(row: int) -> int:
        return about[row] if rng.random() < 0.9 else rng.randrange(len(pool))

    def cell(drawn: Value) -> Value:
        return None if rng.random() < nulls else drawn

    for column, source in zip(keys, pools, strict=True):
        draft.add(column, [cell(fitted(source[entity(row)], column.kind)) for row in range(draft.size)])
    draft.add(amount, [cell(shifted(rng, pool[entity(row)], amount.kind)) for row in range(draft.size)])
    for column in free:
        draft.add(column, [cell(value(rng, column.kind)) for _ in range(draft.size)])
    return draft


def _primary_key(rng: Random, draft: _Draft, joined: list[str], names: list[str]) -> tuple[str, ...]:
    """Take the join columns as the key, or add one or two id columns (unique, repeated or NULL)."""
    style = rng.random()
    if style < 0.2:
        return tuple(joined)
    kind = rng.choice(
        [Kind("int"), Kind("int"), Kind("text"), Kind("decimal", 10, 0), Kind("date"), Kind("int", bits=32)]
    )
    ids: list[Value] = _ids(rng, draft.size, kind)
    if rng.random() < 0.3 and draft.size > 1:
        for _ in range(max(1, draft.size // 8)):
            ids[rng.randrange(draft.size)] = ids[rng.randrange(draft.size)]
    if rng.random() < 0.15:
        ids = [None if rng.random() < 0.15 else cell for cell in ids]
    column = Column(names.pop(), kind)
    draft.add(column, ids)
    if style < 0.4:
        return tuple(rng.sample([column.name, joined[0]], 2))
    return (column.name,)


def _ids(rng: Random, size: int, kind: Kind) -> list[Value]:
    numbers = rng.sample(range(-3, size * 3 + 3), size)
    match kind.name:
        case "text":
            style = rng.choice(["INV-{}", "{:05d}", " {}", "é{}"])
            return [style.format(n) for n in numbers]
        case "date":
            return [date(2024, 1, 1) + timedelta(days=n) for n in numbers]
        case _:
            return [fitted(n, kind) for n in numbers]


def typed_for_csv(table: Table) -> Table:
    """Return the table with narrow integers widened: a CSV file has only 64-bit ones."""
    columns = tuple(replace(c, kind=Kind("int")) if c.kind.name == "int" else c for c in table.columns)
    return replace(table, columns=columns)
