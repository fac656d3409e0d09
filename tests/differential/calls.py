"""Random calls of the catalogue's functions, written for DuckDB as the catalogue says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from kalla_runner.matching.sql.catalogue import Family, Parameter

from tests.differential.arguments import argument, literal_argument, made, result_digits
from tests.differential.terms import (
    ATOM,
    OR,
    OTHER,
    RANGE,
    WIDEST,
    Term,
    Type,
    combine,
    decimal,
    integer,
    quotient,
)
from tests.differential.translations import DRAWN, WAYS, Way

if TYPE_CHECKING:
    from tests.differential.expressions import Expressions

EntryKind = Literal["scalar", "aggregate", "window"]


class Calls:
    """Draws calls with the arguments that an `Expressions` draws."""

    def __init__(self, draw: Expressions, kind: EntryKind) -> None:
        self._draw = draw
        self._ways = [
            w for w in WAYS if w.entry.kind == kind and (w.postgres is not None or not draw.postgres)
        ]
        self._names = sorted({way.entry.name for way in self._ways})

    def draw(self, family: Family, depth: int) -> Term | None:
        """Draw a call whose result is of a family; None where there is none, or its arguments do not meet."""
        fitting = [way for way in self._ways if family in way.results]
        # Every entry is as likely as another, however many signatures it has.
        names = list(dict.fromkeys(way.entry.name for way in fitting))
        if not names:
            return None
        name = self._draw.rng.choice(names)
        return self.call(self._draw.rng.choice([w for w in fitting if w.entry.name == name]), family, depth)

    def call(self, way: Way, family: Family, depth: int) -> Term | None:
        """Draw a call of one signature; None where its arguments do not meet."""
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
        operator = way.entry.form is not None and way.entry.form.startswith("{0}")
        expr = combine(
            rng,
            self._kalla(way, len(terms)),
            _scaled(_filled(way.duck, len(terms)), terms),
            [(term, ATOM if operator else OR) for term in terms],
            postgres=None if way.postgres is None else _filled(way.postgres, len(terms)),
            uses=(way.entry.name,),
        )
        if not operator:
            return Term(expr, type_)
        return Term(expr, type_, RANGE if way.entry.name == "ilike" else OTHER)

    def _kalla(self, way: Way, count: int) -> str:
        rng = self._draw.rng
        entry = way.entry
        if entry.form is not None:
            form = entry.form if count > 3 else entry.form.replace(" FOR {3}", "")
            return f"({form})" if entry.form.startswith("{0}") and rng.random() < 0.2 else form
        # With one argument ISNULL is a test, as in MySQL.
        aliases = [name for name in entry.aliases if name != "isnull" or count > 1]
        name = rng.choice([entry.name, entry.name, *aliases])
        name = name.upper() if rng.random() < 0.2 else name
        if way.kalla:
            return way.kalla.replace("{name}", name)
        if entry.kind == "aggregate" and count == 0:
            return f"{name}(*)"
        return f"{name}({', '.join(f'{{{i}}}' for i in range(count))})"

    def _arguments(
        self, way: Way, parameters: Sequence[Parameter], family: Family, depth: int
    ) -> list[Term] | None:
        shared: dict[frozenset[Family], Term] = {}
        terms: list[Term] = []
        for position, parameter in enumerate(parameters):
            if parameter.literal and not made(way.entry, position):
                terms.append(literal_argument(self._draw.rng, way.entry, position, parameter))
                continue
            if way.elements and position == 0:
                term = self._draw.list_of(family)
            else:
                leader = shared.get(parameter.families)
                wanted = (
                    way.families[position] if way.families else self._wanted(way, position, leader, family)
                )
                if wanted is None:
                    return None
                if way.families:
                    term = self._draw.draw(wanted, depth - 1)
                else:
                    term = argument(self._draw, way.entry, wanted, depth - 1, terms)
                if term is not None and leader is not None and leader.type.united(term.type) is None:
                    term = leader if way.signature.alike or wanted is leader.family else term
            if term is None:
                return None
            shared.setdefault(parameter.families, term)
            terms.append(term)
        return terms

    def _wanted(self, way: Way, position: int, leader: Term | None, family: Family) -> Family | None:
        """Return the family of an argument: that of the result, of the arguments it must be like, or any."""
        rng = self._draw.rng
        parameter = way.signature.parameters[min(position, len(way.signature.parameters) - 1)]
        first = _result_parameter(way)
        of_result = way.signature.result is None and parameter.families == first.families
        if leader is not None and (way.signature.alike or of_result):
            other = Family.DECIMAL if leader.family is Family.INTEGER else Family.INTEGER
            mixed = leader.type.exact and family is Family.DECIMAL and rng.random() < 0.2
            return other if mixed and other in parameter.families else leader.family
        if of_result:
            return family
        return _family(rng.choice, parameter, plain=way.signature.alike)


def _result_parameter(way: Way) -> Parameter:
    """Return the parameter whose family the result has: IF and NVL2 have a condition before it."""
    return way.signature.parameters[1 if way.entry.name in ("if", "nvl2") else 0]


def _family(choose: Callable[[list[Family]], Family], parameter: Parameter, *, plain: bool) -> Family | None:
    families = sorted(parameter.families & DRAWN)
    if plain and len(families) > 1:
        families = [family for family in families if family is not Family.LIST]
    return choose(families) if families else None


def _filled(template: str, count: int) -> str:
    """Write {all} as the arguments one by one, and NULL for those that were left out."""
    template = template.replace("{all}", ", ".join(f"{{{i}}}" for i in range(count)))
    for left_out in range(count, 4):
        template = template.replace(f"{{{left_out}}}", "NULL")
    return template


def _scaled(template: str, terms: Sequence[Term]) -> str:
    """Write {scale0} as the digits after the point of the first argument."""
    return template.replace("{scale0}", str(terms[0].type.scale)) if terms else template


def _type(way: Way, family: Family, arguments: Sequence[Term]) -> Type | None:
    """Return the type of a call's result; None where the oracles may have no room for it."""
    exact = [t.type for t in arguments if t.type.exact]
    if way.elements:
        return arguments[0].type.element
    if family is Family.INTEGER and way.entry.name == "sum" and max(t.digits for t in exact) > 15:
        return None  # a sum that does not fit is an error in Kalla alone
    if family is Family.INTEGER:
        return integer(result_digits(way.entry.name, exact))
    if way.entry.name == "avg" and family is Family.DECIMAL:
        return quotient(exact[0], integer(4))
    if family is Family.DECIMAL:
        scale = max((t.scale for t in exact), default=6)
        digits = max((t.digits for t in exact), default=10) + 1
        whole = max((t.whole for t in exact), default=10) + 1
        scale += way.entry.name == "median"
        if way.entry.name == "mod" and whole + scale > WIDEST:
            return None  # DuckDB takes the remainder of wider types in floats
        return decimal(digits, scale, whole=whole) if digits + scale <= WIDEST else None
    if family is Family.LIST:
        lists = [t.type for t in arguments if t.family is Family.LIST]
        if way.entry.name == "string_to_array":
            return Type(family, element=Type(Family.TEXT))
        return lists[0] if lists else Type(family, element=arguments[0].type)
    like = next((t.type for t in arguments if t.family is family), None)
    return (
        like if like is not None and family is Family.FLOAT and way.signature.result is None else Type(family)
    )
