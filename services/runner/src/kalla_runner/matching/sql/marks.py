"""What one pass over a query notes on its nodes for the next ones, in their meta."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from kalla_runner.matching.sql.dialect import expression, render

if TYPE_CHECKING:
    from kalla_runner.matching.sql.scope import Resolution

DAYS_OF: Final = "days_of"
"""On a cast to DATE that a call stands for: the call's name. Only dates and timestamps may be in it."""
WRITTEN: Final = "name"
"""On a call: the name under which its author wrote it."""
WRAPPER: Final = "wrapper"
"""On a node that Kalla put around another, its `this` or first argument: people are shown what is in it."""

SHOWN: Final = "shown"
"""On a node that Kalla wrote in place of another: the text of that one."""


def call_name(node: exp.Anonymous) -> str:
    """The name under which its author wrote a call, in lower case; kept from now on."""
    return str(node.meta.setdefault(WRITTEN, node.name.lower()))


def put(node: exp.Expr, template: str, parts: Sequence[exp.Expr], found: Resolution) -> exp.Expr:
    """Replace a node by SQL with its parts at {0}, {1}, ...; a part may come several times.

    Every part is put in brackets unless it is a name, a literal or a call.
    """
    text = shown(node)
    holes = [f"{_HOLE}{i}" for i in range(len(parts))]
    around = expression(template.format(*holes))
    node.replace(around)
    used: set[str] = set()
    for column in list(around.find_all(exp.Column)):
        if column.name not in holes:
            continue
        part = parts[holes.index(column.name)]
        taken = found.copy(part) if column.name in used else part
        used.add(column.name)
        compound = isinstance(taken, exp.Binary | exp.Unary | exp.Between | exp.In | exp.Case)
        column.replace(exp.Paren(this=taken) if compound and not isinstance(taken, exp.Paren) else taken)
    around.meta[SHOWN] = text
    return around


_HOLE: Final = "__kalla_hole"


def shown(node: exp.Expr) -> str:
    """An expression as its author would write it, shortened."""
    twin = exp.Paren(this=node.copy())
    stack: list[exp.Expr] = [twin.this]
    while stack:
        inner = stack.pop()
        if WRAPPER in inner.meta:
            kept = inner.expressions[0] if isinstance(inner, exp.Anonymous) else inner.this
            inner.replace(kept)
            stack.append(kept)
        elif SHOWN in inner.meta:
            inner.replace(exp.Var(this=inner.meta[SHOWN]))
        else:
            if isinstance(inner, exp.Anonymous) and WRITTEN in inner.meta:
                inner.set("this", inner.meta[WRITTEN])
            if isinstance(inner, exp.Identifier) and re.fullmatch(r"[A-Za-z_]\w*", inner.name):
                inner.set("quoted", False)
            stack.extend(inner.iter_expressions())
    text = render(twin.this)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


_LONGEST: Final = 60
