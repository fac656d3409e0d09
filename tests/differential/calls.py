"""Random calls of the catalogue's functions, written for DuckDB as the catalogue says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from kalla_runner.matching.sql.catalogue import ENTRIES, Entry, Family, Parameter, Signature

from tests.differential.arguments import argument, literal_argument, result_digits
from tests.differential.postgres_texts import postgres_text
from tests.differential.terms import OR, WIDEST, Term, Type, combine, decimal, integer

if TYPE_CHECKING:
    from tests.differential.expressions import Expressions

DRAWN: Final = frozenset(Family) - {Family.INTERVAL, Family.STRUCT, Family.BINARY}
"""Families that expressions are drawn of."""
EntryKind = Literal["scalar", "aggregate", "window"]


@dataclass(frozen=True)
class Way:
    """One entry with one of its signatures."""

    entry: Entry
    signature: Signature
    results: frozenset[Family]


def _results(signature: Signature) -> frozenset[Family]:
    if signature.result is not None:
        return frozenset({signature.result}) & DRAWN
    return signature.parameters[0].families & DRAWN if signature.parameters else frozenset()


WAYS: Final[tuple[Way, ...]] = tuple(
    Way(entry, signature, _results(signature))
    for entry in ENTRIES
    for signature in entry.signatures
    if signature.duckdb is not None
)
"""All that the catalogue says how to write for DuckDB."""


class Calls:
    """Draws calls with the arguments that an `Expressions` draws."""

    def __init__(self, draw: Expressions, kind: EntryKind) -> None:
        self._draw = draw
        self._ways = [way for way in WAYS if way.entry.kind == kind]
        if draw.postgres:
            self._ways = [w for w in self._ways if postgres_text(w.entry, w.signature) is not None]

    def draw(self, family: Family, depth: int) -> Term | None:
        """Draw a call whose result is of a family; None where there is none, or its arguments do not meet."""
        fitting = [way for way in self._ways if family in way.results]
        return self.call(self._draw.rng.choice(fitting), family, depth) if fitting else None

    def call(self, way: Way, family: Family, depth: int) -> Term | None:
        """Draw a call of one signature."""
        rng = self._draw.rng
        parameters = list(way.signature.parameters)
        if way.signature.optional:
            parameters = parameters[: len(parameters) - rng.randint(0, way.signature.optional)]
        if way.signature.repeated:
            parameters += parameters[-1:] * rng.choice([0, 0, 1, 2])
        terms = self._arguments(way, parameters, family, depth)
        if terms is None:
            return None
        type_ = _type(way, family, [t for t, p in zip(terms, parameters, strict=True) if not p.literal])
        if type_ is None:
            return None
        name = rng.choice([way.entry.name, way.entry.name, *way.entry.aliases])
        name = name.upper() if rng.random() < 0.2 else name
        listed = ", ".join(f"{{{i}}}" for i in range(len(terms)))
        duck = _filled(way.signature.duckdb or "", len(terms))
        postgres = postgres_text(way.entry, way.signature)
        expr = combine(
            rng,
            f"{name}({listed})",
            duck,
            [(term, OR) for term in terms],
            postgres=None if postgres is None else _filled(postgres, len(terms)),
            uses=(way.entry.name,),
        )
        return Term(expr, type_)

    def _arguments(
        self, way: Way, parameters: Sequence[Parameter], family: Family, depth: int
    ) -> list[Term] | None:
        rng = self._draw.rng
        shared: dict[frozenset[Family], Term] = {}
        terms: list[Term] = []
        for position, parameter in enumerate(parameters):
            if parameter.literal:
                terms.append(literal_argument(rng, way.entry, position, parameter, terms))
                continue
            of_result = way.signature.result is None and parameter.families == parameters[0].families
            leader = shared.get(parameter.families)
            wanted = leader.family if leader else family if of_result else _family(rng.choice, parameter)
            if wanted is None:
                return None
            if leader is not None and leader.type.exact and rng.random() < 0.2:
                other = Family.DECIMAL if wanted is Family.INTEGER else Family.INTEGER
                # The first argument of a result that is like it must stay what was asked for.
                wanted = other if other in parameter.families and family is Family.DECIMAL else wanted
            term = argument(self._draw, way.entry, position, wanted, depth - 1)
            if leader is not None and leader.type.united(term.type) is None:
                term = leader
            shared.setdefault(parameter.families, term)
            terms.append(term)
        return terms


def _family(choose: Callable[[list[Family]], Family], parameter: Parameter) -> Family | None:
    families = sorted(parameter.families & DRAWN)
    return choose(families) if families else None


def _filled(template: str, count: int) -> str:
    """Write {all} as the arguments one by one."""
    return template.replace("{all}", ", ".join(f"{{{i}}}" for i in range(count)))


def _type(way: Way, family: Family, arguments: Sequence[Term]) -> Type | None:
    """Return the type of a call's result; None where the oracles may have no room for it."""
    exact = [t.type for t in arguments if t.type.exact]
    if family is Family.INTEGER:
        return integer(result_digits(way.entry.name, exact))
    if family is Family.DECIMAL:
        scale = max((t.scale for t in exact), default=6)
        digits = max((t.digits for t in exact), default=10) + 1
        whole = max((t.whole for t in exact), default=10) + 1
        return decimal(digits, scale, whole=whole) if digits + scale <= WIDEST else None
    if way.signature.result is None and arguments:
        return arguments[0].type
    if family is Family.LIST:
        lists = [t.type for t in arguments if t.family is Family.LIST]
        return lists[0] if lists else Type(family, element=arguments[0].type if arguments else None)
    return Type(family)


