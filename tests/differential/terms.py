"""Typed expressions in all dialects, and how they are put together.

Kalla's text has brackets only where standard SQL needs them (and a few more by chance), so that how
operators bind is tried; the oracles' texts have them everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.model import Expr, Item, Kind

# How tightly the outermost operator binds, as PostgreSQL has it.
OR: Final = 1
AND: Final = 2
NOT: Final = 3
IS: Final = 4
COMPARE: Final = 5
RANGE: Final = 6
OTHER: Final = 7
ADD: Final = 8
MULTIPLY: Final = 9
SIGN: Final = 10
ATOM: Final = 12

WIDEST: Final = 38
"""Digits of the widest exact number that both oracles have."""
_SPARE_BRACKETS: Final = 0.15


@dataclass(frozen=True)
class Type:
    """What is known of an expression's values.

    Attributes:
        family: of the catalogue.
        whole: digits before the point that its type has room for.
        scale: digits after the point.
        digits: digits before the point that its values have at most.
        bits: width of floats.
        element: of lists.
    """

    family: Family
    whole: int = 0
    scale: int = 0
    digits: int = 0
    bits: int = 64
    element: Type | None = None

    @property
    def exact(self) -> bool:
        """Whether it is an integer or a decimal."""
        return self.family in (Family.INTEGER, Family.DECIMAL)

    def alike(self, other: Type) -> bool:
        """Whether Kalla compares the two without a cast, and the oracles have room to do it."""
        if self.exact and other.exact:
            return max(self.digits, other.digits) + max(self.scale, other.scale) <= WIDEST
        return (self.family, self.bits, self.element) == (other.family, other.bits, other.element)

    def united(self, other: Type) -> Type | None:
        """Return the type that holds the values of both; None where the engine has none."""
        if not (self.exact and other.exact):
            return self if self.alike(other) else None
        family = self.family if self.family == other.family else Family.DECIMAL
        whole, scale = max(self.whole, other.whole), max(self.scale, other.scale)
        return Type(family, whole, scale, max(self.digits, other.digits)) if whole + scale <= WIDEST else None


def integer(digits: int) -> Type:
    """Return the type of 64-bit integers of at most so many digits."""
    return Type(Family.INTEGER, 19, 0, min(digits, 19))


def decimal(digits: int, scale: int, *, whole: int | None = None) -> Type:
    """Return the type of decimals whose values have so many digits before and after the point."""
    room = digits if whole is None else whole
    return Type(Family.DECIMAL, min(room, WIDEST - scale), scale, digits)


QUOTIENT_SCALE: Final = 16
"""Digits after the point of a quotient, where its operands have no more of them."""


def quotient(dividend: Type, divisor: Type) -> Type | None:
    """Return the type of a quotient; None where the oracle has no room to compute it."""
    most = dividend.digits + divisor.scale + QUOTIENT_SCALE
    scales = max(dividend.scale, divisor.scale)
    room = max(dividend.digits + 2 * dividend.scale, divisor.digits + 2 * divisor.scale)
    if most > WIDEST - 2 or room > WIDEST or scales > QUOTIENT_SCALE:
        return None
    digits = dividend.digits + divisor.scale
    return decimal(digits, QUOTIENT_SCALE, whole=WIDEST - QUOTIENT_SCALE)


BOOLEAN: Final = Type(Family.BOOLEAN)
TEXT: Final = Type(Family.TEXT)
_FAMILIES: Final = {
    "int": Family.INTEGER,
    "decimal": Family.DECIMAL,
    "text": Family.TEXT,
    "date": Family.DATE,
    "timestamp": Family.TIMESTAMP,
    "timestamptz": Family.ZONED,
    "boolean": Family.BOOLEAN,
    "float": Family.FLOAT,
    "list": Family.LIST,
}


def type_of(kind: Kind, digits: int | None = None) -> Type:
    """Return the type of a column, whose values have at most `digits` before the point if that is known."""
    family = _FAMILIES[kind.name]
    match family:
        case Family.INTEGER:
            whole = {16: 5, 32: 10, 64: 19}[kind.bits]
            return Type(family, whole, 0, whole if digits is None else digits)
        case Family.DECIMAL:
            whole = kind.precision - kind.scale
            return Type(family, whole, kind.scale, whole if digits is None else digits)
        case Family.FLOAT:
            return Type(family, bits=kind.bits)
        case Family.LIST:
            return Type(family, element=type_of(kind.element) if kind.element else None)
        case _:
            return Type(family)


@dataclass(frozen=True)
class Term:
    """A typed expression; `level` is how its outermost operator binds in Kalla's text."""

    expr: Expr
    type: Type
    level: int = ATOM

    @property
    def family(self) -> Family:
        """Its family."""
        return self.type.family

    def predicate(self) -> Expr:
        """Return it for a chain of ANDs, as one of many words."""
        expr = self.bracketed(NOT).expr
        postgres = None if expr.postgres is None else f"({expr.text('postgres')})"
        return replace(expr, duck=f"({expr.duck})", postgres=postgres)

    def bracketed(self, least: int) -> Term:
        """Return it with brackets in Kalla's text if it binds less tightly than `least`."""
        if self.level >= least:
            return self
        return replace(self, expr=replace(self.expr, kalla=f"({self.expr.kalla})"), level=ATOM)

    def item(self, alias: str) -> Item:
        """Return it as an output column."""
        return Item(self.expr, alias)


def combine(
    rng: Random,
    kalla: str,
    duck: str,
    parts: list[tuple[Term, int]],
    *,
    postgres: str | None = "",
    uses: tuple[str, ...] = (),
    risky: bool = False,
) -> Expr:
    """Put parts into templates with {0}, {1}, ...; each says how tightly it must bind to need no brackets.

    An empty `postgres` is DuckDB's template; None: PostgreSQL has none.
    """

    def spared(part: Term, least: int) -> str:
        if part.level < ATOM and rng.random() < _SPARE_BRACKETS:
            return f"({part.expr.kalla})"
        return part.bracketed(least).expr.kalla

    exprs = [part.expr for part, _ in parts]
    lacks = postgres is None or any(e.postgres is None for e in exprs)
    return Expr(
        kalla.format(*(spared(part, least) for part, least in parts)),
        duck.format(*(f"({e.duck})" for e in exprs)),
        tuple(dict.fromkeys(column for e in exprs for column in e.columns)),
        None if lacks else (postgres or duck).format(*(f"({e.text('postgres')})" for e in exprs)),
        uses + tuple(use for e in exprs for use in e.uses),
        risky or any(e.risky for e in exprs),
    )
