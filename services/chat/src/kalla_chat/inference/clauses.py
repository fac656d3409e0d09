"""How a relation of amounts, and a window of days, are written and told."""

from __future__ import annotations

from kalla_chat.inference.amounts import AmountFit
from kalla_chat.inference.relations import FACTOR_PLACES, decimal


def relation_sql(fit: AmountFit, left: str, right: str) -> str:
    """The condition on two expressions."""
    relation = fit.relation
    if relation.sign == 0:
        left, right = f"abs({left})", f"abs({right})"
    elif relation.sign < 0:
        right = f"-{right}"
    factor = decimal(relation.factor, FACTOR_PLACES).normalize()
    if factor != 1:
        left = f"{left} * {factor:f}"
    terms: list[str] = []
    for fixed in relation.fixed:
        amount = decimal(abs(fixed), fit.scale)
        moved = f"{left} {'-' if fixed < 0 else '+'} {amount:f}" if fixed else left
        if relation.relative:
            share = decimal(relation.tolerance, FACTOR_PLACES)
            terms.append(f"tolerance_match({moved}, {right}, abs({left}) * {share:f})")
        elif relation.tolerance:
            terms.append(f"tolerance_match({moved}, {right}, {decimal(relation.tolerance, fit.scale):f})")
        else:
            terms.append(f"{moved} = {right}")
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"


def relation_text(fit: AmountFit, left: str, right: str) -> str:
    """The same in words, over the names of two amounts."""
    relation = fit.relation
    factor = decimal(relation.factor, FACTOR_PLACES).normalize()
    what = left
    if relation.factor < 10**FACTOR_PLACES:
        percent = (100 - 100 * factor).normalize()
        what = f"{left} less {percent:f} %" if percent < 50 else f"{factor:f} times {left}"  # noqa: PLR2004  # a fee
    elif factor != 1:
        what = f"{factor:f} times {left}"
    shifts = [
        "nothing" if not f else f"a fixed {decimal(abs(f), fit.scale):f} {'less' if f < 0 else 'more'}"
        for f in relation.fixed
    ]
    if relation.fixed != (0,):
        what += f" and {' or '.join(shifts)}"
    sign = {1: "", -1: " with the opposite sign", 0: " whatever the sign"}[relation.sign]
    if relation.relative:
        percent = (decimal(relation.tolerance, FACTOR_PLACES) * 100).normalize()
        return f"{right} is {what}{sign}, give or take {percent:f} %"
    if relation.tolerance:
        return f"{right} is {what}{sign}, give or take {decimal(relation.tolerance, fit.scale):f}"
    return f"{right} is exactly {what}{sign}"


def shifted(sql: str, days: int) -> str:
    """A day, so many days later."""
    if days == 0:
        return sql
    return f"{sql} {'+' if days > 0 else '-'} INTERVAL '{many(abs(days), 'day')}'"


def span(earliest: int, latest: int) -> str:
    """A window in words: "2 to 5 days after"."""
    if earliest >= 0:
        return f"{earliest} to {many(latest, 'day')} after"
    if latest <= 0:
        return f"{-latest} to {many(-earliest, 'day')} before"
    return f"between {many(-earliest, 'day')} before and {many(latest, 'day')} after"


def many(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
