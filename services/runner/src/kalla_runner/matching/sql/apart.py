"""Gives different aggregates different names: the engine's names leave casts out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from kalla_runner.matching.sql.catalogue import find
from kalla_runner.matching.sql.dialect import wrap
from kalla_runner.matching.sql.marks import SHOWN, shown
from kalla_runner.matching.sql.quotients import around_call
from kalla_runner.matching.sql.scope import Scope, own_nodes

_CLAUSES: Final = ("group", "having", "qualify", "order")
_NAMED: Final = "CASE WHEN {number} = {number} THEN {{}} END"
"""Gives a value under a name of its own; the engine leaves the rest out once it has named all."""


def tell_apart(scope: Scope) -> None:
    """Wrap casts where two groups or aggregates of a SELECT differ in casts alone, in place.

    To the engine max(CAST(x AS TEXT)) and max(x) have one name, and two columns of a name are an error.
    """
    nodes = [node for part in _parts(scope.select) for node in own_nodes(part)]
    casts = [node for node in nodes if isinstance(node, exp.Cast | exp.TryCast)]
    if not casts:
        return
    texts: dict[str, set[str]] = defaultdict(set)
    for node in _computed(scope.select, nodes):
        texts[_without_casts(node)].add(node.sql())
    if all(len(same) == 1 for same in texts.values()):
        return
    numbers: dict[str, int] = {}
    written = [(cast.sql(), shown(cast)) for cast in casts]
    for cast, (text, author) in zip(casts, written, strict=True):
        number = numbers.setdefault(text, len(numbers) + 1)
        wrap(cast, _NAMED.format(number=number)).meta[SHOWN] = author


def _parts(select: exp.Select) -> Iterator[exp.Expr]:
    yield from select.expressions
    for key in _CLAUSES:
        part = select.args.get(key)
        if isinstance(part, exp.Expr):
            yield part


def _computed(select: exp.Select, nodes: list[exp.Expr]) -> Iterator[exp.Expr]:
    """The expressions of GROUP BY, and the calls of aggregates and window functions."""
    group = select.args.get("group")
    if isinstance(group, exp.Group):
        yield from group.expressions
    for node in nodes:
        if isinstance(node, exp.Anonymous):
            entry, whole = find(node.name), around_call(node)
            if isinstance(whole, exp.Window) or (entry is not None and entry.kind == "aggregate"):
                yield whole


def _without_casts(node: exp.Expr) -> str:
    plain = exp.Paren(this=node.copy())
    for cast in list(plain.find_all(exp.Cast, exp.TryCast)):
        cast.replace(cast.this)
    return plain.this.sql()
