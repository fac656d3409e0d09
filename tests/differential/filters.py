"""Random source filters, each with its meaning in SQL."""

from __future__ import annotations

from random import Random

from tests.differential.model import Column, Filter, Table, Value
from tests.differential.predicates import literal, quoted
from tests.differential.values import value


def make_filters(rng: Random, table: Table) -> tuple[Filter, ...]:
    """Draw one or two filters over columns that are no floats or lists."""
    columns = [c for c in table.columns if c.kind.name not in ("float", "list")]
    if not columns:
        return ()
    return tuple(_filter(rng, table, rng.choice(columns)) for _ in range(rng.choice([1, 1, 2])))


def _filter(rng: Random, table: Table, column: Column) -> Filter:
    name = quoted(column.name)
    cells = [_cell(rng, table, column) for _ in range(3)]
    words = [literal(cell) for cell in cells]
    operators = (
        ["eq", "neq", "in"]
        if column.kind.name == "boolean"
        else ["eq", "neq", "in", "gt", "gte", "lt", "lte", "between"]
    )
    if column.kind.name == "text" and rng.random() < 0.3:
        pattern = rng.choice(["IN%", "%a%", "_", "%1", "x%y", "% "])
        return Filter(column.name, "like", (pattern,), f"{name} LIKE '{pattern}'")
    match rng.choice(operators):
        case "in":
            return Filter(column.name, "in", tuple(cells), f"{name} IN ({', '.join(words)})")
        case "between":
            return Filter(
                column.name, "between", tuple(cells[:2]), f"{name} BETWEEN {words[0]} AND {words[1]}"
            )
        case operator:
            sign = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[operator]
            return Filter(column.name, operator, (cells[0],), f"{name} {sign} {words[0]}")


def _cell(rng: Random, table: Table, column: Column) -> Value:
    at = table.columns.index(column)
    seen = [row[at] for row in table.rows if row[at] is not None]
    return rng.choice(seen) if seen and rng.random() < 0.8 else value(rng, column.kind)
