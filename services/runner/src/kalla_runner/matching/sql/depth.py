"""Keeps queries in a shape that the engine plans in a time that fits their length."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from kalla_runner.matching.sql.dialect import wrap

_CASTS: Final = 3
"""Casts within casts at most, without a function between them."""
_BOUNDARY: Final = "greatest({})"
"""Gives its only argument; the engine knows a function's type without asking what is in it."""


def cut_casts(query: exp.Query) -> None:
    """Put a function around every so many casts within each other, in place.

    The engine asks a cast for the type and the nullability of what is in it, and that again for both:
    twenty levels take it a million questions.
    """
    levels: dict[int, int] = {}
    for node in reversed(list(query.walk())):
        level = max((levels[id(child)] for child in node.iter_expressions()), default=0)
        if isinstance(node, exp.Cast) or _is_arrow_cast(node):
            level += 1
            if level > _CASTS:
                wrap(node, _BOUNDARY)
                level = 0
        elif isinstance(node, exp.Anonymous | exp.Query):
            level = 0
        levels[id(node)] = level


def _is_arrow_cast(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower().startswith(("arrow_cast", "arrow_try_cast"))
