"""Keeps queries in a shape that the engine plans in a time that fits their length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kalla_common.errors import Code, KallaError
from sqlglot import exp

from kalla_runner.matching.sql.dialect import bare, wrap

_CASTS: Final = 3
"""Casts within casts at most, without a function between them."""
_CHAIN: Final = 16
"""Terms of a chain that may stand in a row; the engine plans a longer one in the square of its length."""
_DEPTH: Final = 600
"""Levels of what runs; the engine's time grows with their square."""
_READS: Final = 500
"""Tables that a query may read, where one that a CTE reads counts at each use of it."""
_BOUNDARY: Final = "greatest({})"
"""Gives its only argument; the engine knows a function's type without asking what is in it."""


def check_depth(query: exp.Query) -> None:
    """Raise INVALID_SQL where what is to run is deeper than the engine plans in good time."""
    levels = 0
    level: list[exp.Expr] = [query]
    while level:
        levels += 1
        level = [child for node in level for child in node.iter_expressions()]
    if levels > _DEPTH:
        raise KallaError(
            Code.INVALID_SQL,
            "match_sql chains too many operations: shorten its longest expression, or name parts of it "
            "in a WITH.",
        )


def check_reads(query: exp.Expr) -> None:
    """Raise INVALID_SQL where CTEs that use each other make the engine read a table very many times."""
    reads = _reads(query, {})
    if reads > _READS:
        raise KallaError(
            Code.INVALID_SQL,
            f"match_sql reads {reads:,} tables, each CTE counted as often as it is used, and may read "
            f"{_READS:,}: join fewer of them.",
        )


def _reads(query: exp.Expr, known: Mapping[str, int]) -> int:
    clause = query.args.get("with_")
    if isinstance(clause, exp.With):
        known = dict(known)
        for cte in clause.expressions:
            known[cte.alias.casefold()] = _reads(cte.this, known)
    total = 0
    stack = [child for child in query.iter_expressions() if child is not clause]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Query):
            total += _reads(node, known)
            continue
        if isinstance(node, exp.Table):
            total += known.get(node.name.casefold(), 1)
        stack += node.iter_expressions()
    return total


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


def keep_roundings(query: exp.Query) -> None:
    """Put a function around every cast to a decimal that is computed on rows, in place.

    The engine takes such a cast off where it is compared with a constant, and casts the constant instead:
    `CAST(x AS DECIMAL(18,2)) = 33.33` becomes `x = 33.330`, which 33.325 is not. Constants also come from a
    CTE or from what the engine computes while it plans, so that no place is safe.
    """
    for node in list(query.find_all(exp.Cast)):
        if not isinstance(node.this, exp.Literal) and _is_decimal(node) and not _is_decimal(node.parent):
            wrap(node, _BOUNDARY)


def _is_decimal(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL


def _is_arrow_cast(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower().startswith(("arrow_cast", "arrow_try_cast"))


def balance_conditions(query: exp.Query) -> None:
    """Bracket long chains of AND and of OR, in place: their depth is then the logarithm of their length."""
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
            node.replace(_halved(terms, type(node)))


def balance_sum(root: exp.Expr) -> None:
    """Bracket a long chain of exact sums and differences, in place; a - b - c becomes a - (b + c).

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


def _halved(terms: Sequence[exp.Expr], kind: type[exp.Expr]) -> exp.Expr:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    sides = [_paren(_halved(part, kind)) for part in (terms[:half], terms[half:])]
    return kind(this=sides[0], expression=sides[1])


def _paren(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node
