"""From "only USD" to a filter: words are looked up in columns and values, and asked about if that fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from kalla_common.domain import FilterCondition, FilterOp, FilterScalar

from kalla_chat.agents.language.amounts import read_number
from kalla_chat.agents.language.columns import resolve_column
from kalla_chat.agents.language.narrowings import Narrowing
from kalla_chat.conversation.state import Column, Side
from kalla_chat.work.reading import Rows

_KINDS: Final = 50
"""A column with more different values in the rows looked at holds no kinds such as currencies."""


def narrow(
    narrowings: list[Narrowing], sides: tuple[Side, Side], rows: dict[str, Rows]
) -> tuple[dict[str, list[FilterCondition]], list[str]]:
    """Filters by alias, and a sentence for each narrowing that could not be understood."""
    found: dict[str, list[FilterCondition]] = {side.alias: [] for side in sides}
    problems: list[str] = []
    for narrowing in narrowings:
        hits = 0
        for side in sides:
            fits = _conditions(narrowing, side, rows[side.alias])
            if len(fits) == 1:
                found[side.alias].append(fits[0])
                hits += 1
            elif fits:
                columns = " and ".join(fit.column for fit in fits[:3])
                problems.append(
                    f'"{narrowing.value}" could be about {columns} in {side.alias}; '
                    f'write for example "{fits[0].column} {_shown(narrowing)}".'
                )
                hits += 1
        # "That is right" is a turn of phrase; it names no column.
        if not hits and not narrowing.loose:
            problems.append(_not_found(narrowing, sides))
    return found, problems


def _conditions(narrowing: Narrowing, side: Side, rows: Rows) -> list[FilterCondition]:
    if narrowing.column:
        name = resolve_column(narrowing.column, side.names)
        if name is None:
            return []
        column = next(c for c in side.columns if c.name == name)
        value = _typed(narrowing.value, column, rows)
        return [] if value is None else [FilterCondition(name, FilterOp(narrowing.op), (value,))]
    if narrowing.op not in ("eq", "neq"):
        dates = [c for c in side.columns if c.data_type.startswith(("date", "timestamp"))]
        return [FilterCondition(c.name, FilterOp(narrowing.op), (narrowing.value,)) for c in dates]
    found: list[FilterCondition] = []
    for column in side.columns:
        if column.data_type == "text":
            value = _kind(narrowing.value, column.name, rows)
            if value is not None:
                found.append(FilterCondition(column.name, FilterOp(narrowing.op), (value,)))
    return found


def _typed(text: str, column: Column, rows: Rows) -> FilterScalar | None:
    """The value as the column's type needs it; None if it does not fit."""
    if column.data_type.startswith(("integer", "decimal", "float")):
        number = read_number(text)
        if number is None:
            return None
        return int(number) if number == number.to_integral_value() else Decimal(number)
    if column.data_type == "text":
        return _kind(text, column.name, rows) or text
    return text


def _kind(value: str, column: str, rows: Rows) -> str | None:
    """The spelling in which a column of few different values has `value`; None if it has it not."""
    values = {row[column] for row in rows.first(rows.table.num_rows)} - {None}
    if len(values) > _KINDS:
        return None
    fits = sorted(v for v in values if v is not None and v.strip().casefold() == value.casefold())
    return value if value in fits else next(iter(fits), None)


def _not_found(narrowing: Narrowing, sides: tuple[Side, Side]) -> str:
    both = " nor ".join(side.alias for side in sides)
    if narrowing.column:
        return (
            f'I set no filter for "{narrowing.column} {_shown(narrowing)}": neither {both} has such a column.'
        )
    if narrowing.op not in ("eq", "neq"):
        return f'I set no filter for "{_shown(narrowing)}": neither {both} has a column of dates.'
    return (
        f'I set no filter for "{narrowing.value}": neither {both} has it in a column of kinds; '
        f'write for example "currency = {narrowing.value}".'
    )


def _shown(narrowing: Narrowing) -> str:
    signs = {"eq": "=", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like"}
    return f"{signs[narrowing.op]} {narrowing.value}"
