"""What a call's arguments are drawn from, where not every value of a family will do.

Most functions take anything: they need no line here. A line keeps arguments where the function has a
value at all (a logarithm), where all engines have the same one, and small enough to be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from kalla_runner.matching.sql.catalogue import Entry, Family, Parameter

from tests.differential.model import Expr
from tests.differential.predicates import literal
from tests.differential.terms import ATOM, SIGN, TEXT, Term, Type, integer

if TYPE_CHECKING:
    from tests.differential.expressions import Expressions

Maker = Callable[["Expressions", Family, int], Term]


def argument(draw: Expressions, entry: Entry, position: int, family: Family, depth: int) -> Term:
    """Draw the argument of a call at a position (from 0), of a family."""
    maker = _MAKERS.get((entry.name, position))
    return maker(draw, family, depth) if maker else draw.draw(family, depth)


def literal_argument(
    rng: Random, entry: Entry, position: int, parameter: Parameter, before: Sequence[Term]
) -> Term:
    """Draw an argument that must be a literal."""
    values = _LITERALS.get((entry.name, position)) or _LITERALS.get(parameter.name)
    if values is None:
        values = (0, 1, 2, 3) if Family.INTEGER in parameter.families else ("a", "-", "INV")
    value = rng.choice(values)
    del before
    text = str(value) if isinstance(value, int) else literal(value)
    type_ = integer(len(text)) if isinstance(value, int) else TEXT
    return Term(Expr(text, text), type_, SIGN if text.startswith("-") else ATOM)


def result_digits(name: str, arguments: Sequence[Type]) -> int:
    """Return how many digits a function's integer has at most."""
    known = _DIGITS.get(name)
    if known is not None:
        return known
    return min(19, max((t.digits for t in arguments), default=9) + 1)


_LITERALS: Final[dict[str | tuple[str, int], tuple[int | str, ...]]] = {
    "digits": (-3, -2, -1, 0, 1, 2, 3, 4, 6),
}
_DIGITS: Final[dict[str, int]] = {}
_MAKERS: Final[dict[tuple[str, int], Maker]] = {}
