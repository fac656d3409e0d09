"""Expressions that must be refused: what the engine would convert in a way that nobody meant."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.expressions import Expressions
from tests.differential.model import Item

_REFUSED: Final[tuple[tuple[Family, str], ...]] = (
    (Family.INTEGER, "CAST({0} AS DATE)"),
    (Family.INTEGER, "CAST({0} AS TIMESTAMP)"),
    (Family.INTEGER, "EXTRACT(year FROM CAST({0} AS DATE))"),
    (Family.DATE, "CAST({0} AS BIGINT)"),
    (Family.TIMESTAMP, "CAST({0} AS BIGINT)"),
    (Family.BOOLEAN, "CAST({0} AS DECIMAL(5,2))"),
    (Family.DATE, "TO_CHAR({0}, 'ZZZZ')"),
    (Family.DATE, "TO_CHAR({0}, 'week')"),
    (Family.TIMESTAMP, "TO_CHAR({0}, 'HH:mm')"),
    (Family.INTEGER, "{0} = '7'"),
    (Family.TEXT, "{0} > 7"),
    (Family.DATE, "{0} = '2024-03-01'"),
    (Family.TEXT, "{0} + 1"),
    (Family.TEXT, "random() || {0}"),
    (Family.INTEGER, "sin({0})"),
)


def refused_item(draw: Expressions) -> Item | None:
    """Draw an output column for which no query may be planned; None where no column offers one."""
    family, template = draw.rng.choice(_REFUSED)
    column = draw.column(lambda t: t.family is family)
    if column is None:
        return None
    expr = draw.combined(template, [column], 0, column.type).expr
    return Item(expr, "refused")
