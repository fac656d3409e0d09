"""Keeps queries in a shape that the engine plans in a time that fits their length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sqlglot import exp

from kalla_runner.matching.sql.dialect import bare, wrap

_CASTS: Final = 3
"""Casts within casts at most, without a function between them."""
_CHAIN: Final = 16
"""Terms of a chain that may stand in a row; the engine plans a longer one in the square of its length."""
_T = TypeVar("_T")
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
                levels[id(wrap(node, _BOUNDARY))] = level = 0
        elif isinstance(node, exp.Anonymous | exp.Query):
            level = 0
        levels[id(node)] = level


def _is_arrow_cast(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower().startswith(("arrow_cast", "arrow_try_cast"))


def balance_conditions(query: exp.Query) -> None:
    """Bracket long chains of AND and of OR, in place, so that their depth is the logarithm of their length."""
    for node in list(query.find_all(exp.And, exp.Or)):
        if type(node.parent) is type(node):
            continue
        terms: list[exp.Expr] = []
        stack: list[exp.Expr] = [node]
        while stack:
            inner = stack.pop()
            if type(inner) is type(node):
                stack += (inner.args["expression"], inner.args["this"])
            else:
                terms.append(inner)
        if len(terms) > _CHAIN:
            node.replace(
                _halved(terms, lambda a, b, kind=type(node): kind(this=_paren(a), expression=_paren(b)))
            )


def balance_sum(root: exp.Expr) -> None:
    """Bracket a long chain of exact sums and differences, in place: its value stays, a - b - c is a - (b + c).

    The type may get narrower than that of the chain, never too narrow for its values.
    """
    terms: list[tuple[exp.Expr, bool]] = []
    node = root
    while isinstance(node, exp.Add | exp.Sub):
        terms.append((node.expression, isinstance(node, exp.Sub)))
        node = bare(node.this)
    if len(terms) < _CHAIN:
        return
    terms.append((node, False))
    # The first term of each half stands without its sign, which says how the half is joined.
    root.replace(_signed(terms[::-1]))


def _signed(terms: Sequence[tuple[exp.Expr, bool]]) -> exp.Expr:
    if len(terms) == 1:
        return terms[0][0]
    half = len(terms) // 2
    negative = terms[half][1]
    rest = [(term, sign != negative) for term, sign in terms[half:]]
    kind = exp.Sub if negative else exp.Add
    return kind(this=_paren(_signed(terms[:half])), expression=_paren(_signed(rest)))


def _halved(terms: Sequence[_T], join: Callable[[_T, _T], _T]) -> _T:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return join(_halved(terms[:half], join), _halved(terms[half:], join))


def _paren(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node
