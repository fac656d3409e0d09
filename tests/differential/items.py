"""Random output columns."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.expressions import Expressions
from tests.differential.model import Expr, Item, Side
from tests.differential.predicates import Predicates, Ref


def key_items(draw: Predicates, side: Side, *, alias: bool) -> list[Item]:
    """Write the primary key of one side as items, under names of their own if `alias`."""
    return [
        Item(draw.column(Ref(side, column)), f"{side}_key_{i}" if alias else "", key=True)
        for i, column in enumerate(draw.tables[side].keys)
    ]


def free_items(draw: Predicates, free: Expressions, count: int) -> list[Item]:
    """Draw plain columns and expressions, none of them named twice by an alias."""
    items: list[Item] = []
    rng = draw.rng
    sides: tuple[Side, ...] = tuple(side for side in free.sides if side != "g")
    for number in range(count):
        style = rng.random()
        if style < 0.25:
            ref = draw.any_ref(rng.choice(sides))
            assert ref is not None
            items.append(Item(draw.column(ref)))
        elif style < 0.4:
            items.append(Item(expression(draw, sides), f"e{number}"))
        else:
            family = free.any_family() if rng.random() < 0.95 else Family.LIST
            items.append(free.draw(family, rng.choice([1, 2, 3, 4])).item(f"e{number}"))
    return items


def expression(draw: Predicates, sides: tuple[Side, ...]) -> Expr:
    """Draw one expression whose value both dialects agree on."""
    rng = draw.rng
    style = rng.random()
    if style < 0.2 and {"l", "r"} <= set(sides):
        near = draw.tolerance(rng.choice(draw.amounts))
        if near is not None:
            return near
    if style < 0.3:
        return Expr(*rng.choice([("1", "1"), ("'rule 1'", "'rule 1'"), ("12.50", "12.50"), ("NULL", "NULL")]))
    if style < 0.4:
        return draw.both("CASE WHEN {} THEN 'yes' ELSE 'no' END", draw.own(rng.choice(sides)))
    ref = draw.any_ref(rng.choice(sides))
    assert ref is not None
    column = draw.column(ref)
    if ref.kind.name == "decimal" and ref.kind.precision == ref.kind.scale:
        # DuckDB writes 0.001 of a decimal(3,3) as .001: its text is no oracle.
        return draw.both("abs({})", column)
    wide = ref.kind.name == "decimal" and ref.kind.precision > 18
    return draw.both(rng.choice(_TEMPLATES["wide decimal" if wide else ref.kind.name]), column)


_EXACT: Final = ("CAST({} AS VARCHAR)", "coalesce({}, 0)", "nullif({}, 1)")
# A remainder by 1 is in it because DataFusion takes it for 0 where there is no NULL.
_TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "text": (
        *("upper({})", "lower({})", "length({})", "trim({})", "{} || '-x'", "substr({}, 2, 3)"),
        *("coalesce({}, 'none')", "nullif({}, 'a')", "replace({}, 'a', 'bb')", "concat({}, '!')"),
    ),
    "int": (*_EXACT, "CAST({} AS DECIMAL(30,2))"),
    "decimal": (*_EXACT, "abs({})", "-({})", "{} * 2", "{} + 0.5", "{0} * {0}", "{} % 1"),
    "wide decimal": (*_EXACT, "abs({})", "-({})"),
    "date": ("extract(year FROM {})", "extract(month FROM {})", "CAST({} AS VARCHAR)"),
    "timestamp": ("extract(hour FROM {})", "CAST({} AS DATE)"),
    "timestamptz": ("extract(day FROM {})",),
    "boolean": ("NOT {}", "coalesce({}, false)"),
    "float": ("abs({})", "-({})"),
}
