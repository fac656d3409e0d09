"""Random typed expressions over the columns of a query: operators, literals, CASE, catalogue calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Final

from kalla_runner.matching.sql.catalogue import Family

from tests.differential.calls import Calls
from tests.differential.model import Expr, Side, Value
from tests.differential.predicates import identifier, literal, quoted
from tests.differential.terms import (
    ADD,
    AND,
    ATOM,
    BOOLEAN,
    COMPARE,
    IS,
    MULTIPLY,
    NOT,
    OR,
    OTHER,
    RANGE,
    SIGN,
    TEXT,
    WIDEST,
    Term,
    Type,
    combine,
    decimal,
    integer,
    quotient,
)
from tests.differential.values import PLAIN_TEXTS, TEXTS

COMPARED: Final = (
    *(Family.TEXT, Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.DECIMAL, Family.DATE),
    *(Family.TIMESTAMP, Family.ZONED, Family.BOOLEAN, Family.FLOAT),
)
"""Families that are drawn for comparisons and outputs, by weight."""
_ORDERED: Final = ("<", "<=", ">", ">=")
_LIKE_PATTERNS: Final = ("IN%", "%a%", "_", "%1", "%-_", "x%", "% ", "%é%", "a_b", "", "%")
_REGEX_PATTERNS: Final = ("^INV", "[0-9]+$", "a|b", "^.$", "x", "^$", "[A-Z]{3}-[0-9]")
_INTERVALS: Final = ("1 day", "7 days", "1 month", "2 hours", "90 minutes", "1 year", "10 seconds")


@dataclass(frozen=True)
class Field:
    """A column that a query can read; `seen` are some of its values."""

    side: Side
    name: str
    type: Type
    seen: tuple[Value, ...] = ()


class Expressions:
    """Draws expressions.

    Args:
        rng: the only source of chance.
        fields: the columns by their FROM name.
        postgres: draw only what PostgreSQL has a text for.
        subqueries: more ways to draw a boolean, from a term of a family: templates with {0} and {table}.
    """

    def __init__(
        self,
        rng: Random,
        fields: Mapping[Side, Sequence[Field]],
        *,
        postgres: bool = False,
        lookup: tuple[str, Sequence[Field]] | None = None,
    ) -> None:
        self.rng = rng
        self.fields = fields
        self.postgres = postgres
        self.lookup = lookup
        self.sides: Sequence[Side] = tuple(fields)
        self.calls = Calls(self, "scalar")

    def over(self, sides: Sequence[Side]) -> Expressions:
        """Return the same over some of the sides."""
        return Expressions(
            self.rng, {s: self.fields[s] for s in sides}, postgres=self.postgres, lookup=self.lookup
        )

    def draw(self, family: Family, depth: int) -> Term:
        """Draw an expression of a family, at most `depth` operations deep."""
        if depth <= 0 or self.rng.random() < 0.12:
            return self.leaf(family)
        if self.rng.random() < 0.5:
            call = self.calls.draw(family, depth)
            if call is not None:
                return call
        if self.rng.random() < 0.1:
            return self.case(family)(depth)
        return self.rng.choice(self._ways(family))(depth)

    def any_family(self) -> Family:
        """Draw a family, of those that columns have."""
        if self.rng.random() < 0.5:
            there = [f.type.family for side in self.sides for f in self.fields[side]]
            families = [family for family in there if family is not Family.LIST]
            if families:
                return self.rng.choice(families)
        return self.rng.choice(COMPARED)

    # Leaves

    def field(self, field: Field) -> Term:
        """Write a column."""
        name = f"{field.side}.{quoted(field.name)}"
        kalla = f"{field.side}.{identifier(self.rng, field.name)}"
        return Term(Expr(kalla, name, ((field.side, field.name),)), field.type)

    def column(self, test: Callable[[Type], bool]) -> Term | None:
        """Draw a column whose type passes."""
        fitting = [f for side in self.sides for f in self.fields[side] if test(f.type)]
        return self.field(self.rng.choice(fitting)) if fitting else None

    def leaf(self, family: Family) -> Term:
        """Draw a column of a family, or a literal."""
        found = self.column(lambda t: t.family is family) if self.rng.random() < 0.85 else None
        if family is Family.BOOLEAN and (found is None or self.rng.random() < 0.3):
            return self._test() if self.rng.random() < 0.95 else self.constant(family)
        return found or self.constant(family)

    def _test(self) -> Term:
        """Draw a comparison of a column with a literal, or a test for NULL: about half of the rows pass."""
        column = self.column(lambda t: t.family is not Family.LIST)
        if column is None:
            return self.constant(Family.BOOLEAN)
        value = self.constant(column.family)
        if self.rng.random() < 0.25 or not value.type.alike(column.type):
            word = self.rng.choice(["IS NULL", "IS NOT NULL", "IS NOT NULL"])
            return self.combined(f"{{0}} {word}", [column], COMPARE, BOOLEAN, IS, uses=("is null",))
        operator = self.rng.choice(["=", "<>"] if column.family is Family.BOOLEAN else ["=", *_ORDERED])
        return self.combined(
            f"{{0}} {operator} {{1}}", [column, value], RANGE, BOOLEAN, COMPARE, uses=(operator,)
        )

    def leaf_of(self, type_: Type) -> Term | None:
        """Draw a column of a type, or a literal; None where the literal would not be alike."""
        found = self.column(lambda t: t.family is type_.family and t.alike(type_) and t.scale <= type_.scale)
        if found is not None and self.rng.random() < 0.7:
            return found
        drawn = self.constant(type_.family)
        return drawn if drawn.type.alike(type_) and drawn.type.scale <= type_.scale else found

    def list_of(self, family: Family) -> Term | None:
        """Draw a list whose elements are of a family."""
        found = self.column(lambda t: t.element is not None and t.element.family is family)
        if found is not None and self.rng.random() < 0.8:
            return found
        return self.array_of(family, 1) if family in (Family.TEXT, Family.INTEGER, Family.DATE) else found

    def constant(self, family: Family) -> Term:
        """Write a literal of a family."""
        rng = self.rng
        if family is Family.LIST:
            return self._array(0)
        if family is Family.FLOAT:
            text = rng.choice(["0", "1.5", "-2.25", "100", "0.1"])
            return Term(
                Expr(
                    f"CAST({text} AS DOUBLE)",
                    f"CAST({text} AS DOUBLE)",
                    (),
                    f"CAST({text} AS DOUBLE PRECISION)",
                ),
                Type(family),
            )
        if family is Family.BOOLEAN:
            word = rng.choice(["true", "false"])
            return Term(Expr(word, word), BOOLEAN)
        cell = self._cell(family)
        text = literal(cell)
        level = SIGN if text.startswith("-") else ATOM
        expr = Expr(text, text)
        if isinstance(cell, int):
            # DuckDB's literals are 32 bits wide where they can be.
            return Term(Expr(text, f"CAST({text} AS BIGINT)"), integer(len(str(abs(cell)))), level)
        if isinstance(cell, Decimal):
            scale = -int(cell.as_tuple().exponent)
            digits = max(0, len(cell.as_tuple().digits) - scale)
            if scale == 0:  # DuckDB has an integer there, and floors it in floats
                expr = replace(expr, duck=f"CAST({text} AS DECIMAL({max(digits, 1)},0))")
            return Term(expr, decimal(digits, scale), level)
        return Term(expr, Type(family), level)

    def _cell(self, family: Family) -> Value:
        rng = self.rng
        seen = [
            v
            for side in self.sides
            for f in self.fields[side]
            if f.type.family is family and f.type.digits + f.type.scale <= 20
            for v in f.seen
            if v is not None
        ]
        if seen and rng.random() < 0.6:
            return rng.choice(seen)
        match family:
            case Family.TEXT:
                return rng.choice(TEXTS if rng.random() < 0.4 else PLAIN_TEXTS)
            case Family.INTEGER:
                return rng.choice([0, 1, 2, 3, 7, 10, 100, -1, 999])
            case Family.DECIMAL:
                return Decimal(rng.choice(["0.5", "1.00", "0.05", "12.50", "-3.25", "100.0", "0.001", "2.5"]))
            case Family.DATE:
                return datetime.fromisoformat(rng.choice(["2024-02-29", "2024-03-31", "1969-12-31"])).date()
            case Family.TIMESTAMP:
                return datetime.fromisoformat(
                    rng.choice(["2024-03-31T00:00:00", "2024-02-29T23:59:59.999999"])
                )
            case _:
                return datetime.fromisoformat(
                    rng.choice(["2024-03-31T01:00:00+00:00", "2024-12-31T23:59:59+00:00"])
                )

    # Operations

    def _ways(self, family: Family) -> list[Callable[[int], Term]]:
        match family:
            case Family.BOOLEAN:
                ways = [
                    *(
                        self._connective,
                        self._connective,
                        self._connective,
                        self._comparison,
                        self._comparison,
                    ),
                    *(
                        self._not,
                        self._is,
                        self._distinct,
                        self._between,
                        self._in,
                        self._like,
                        self._tolerance,
                    ),
                ]
                return [*ways, self._subquery] if self.lookup else ways
            case Family.INTEGER:
                return [self._arithmetic, self._arithmetic, self._remainder, self._sign(family), self._days]
            case Family.DECIMAL:
                return [
                    *(self._decimals, self._decimals, self._remainder_of_decimal, self._sign(family)),
                    *(self._as_decimal, self._quotient),
                ]
            case Family.FLOAT:
                return [self._floats, self._sign(family), self._as_float]
            case Family.TEXT:
                return [self._concatenation, self._as_text]
            case Family.DATE:
                return [self._plus_days, self._as_date]
            case Family.TIMESTAMP:
                return [self._plus_interval, self._as_timestamp]
            case Family.LIST:
                return [self._array]
            case _:
                return [self.case(family)]

    def combined(
        self,
        template: str,
        parts: Sequence[Term],
        least: int | Sequence[int],
        type_: Type,
        level: int = ATOM,
        *,
        duck: str = "",
        postgres: str | None = "",
        uses: tuple[str, ...] = (),
        risky: bool = False,
    ) -> Term:
        """Put parts, which must bind as tightly as `least`, into a template."""
        levels = [least] * len(parts) if isinstance(least, int) else list(least)
        expr = combine(
            self.rng,
            template,
            duck or template,
            list(zip(parts, levels, strict=True)),
            postgres=postgres,
            uses=uses,
            risky=risky,
        )
        return Term(expr, type_, level)

    def _connective(self, depth: int) -> Term:
        level, word = self.rng.choice([(AND, "AND"), (OR, "OR")])
        parts = [self.draw(Family.BOOLEAN, depth - 1) for _ in range(self.rng.choice([2, 2, 3]))]
        template = f" {word} ".join(f"{{{i}}}" for i in range(len(parts)))
        return self.combined(template, parts, level, BOOLEAN, level, uses=(word.lower(),))

    def _not(self, depth: int) -> Term:
        return self.combined(
            "NOT {0}", [self.draw(Family.BOOLEAN, depth - 1)], NOT, BOOLEAN, NOT, uses=("not",)
        )

    def pair(self, depth: int, families: Sequence[Family] = COMPARED) -> tuple[Term, Term]:
        """Draw two expressions that are compared without a cast."""
        family = self.any_family() if families is COMPARED else self.rng.choice(families)
        first = self.draw(family, depth)
        for _ in range(4):
            other = family
            if first.type.exact and self.rng.random() < 0.25:
                other = Family.DECIMAL if family is Family.INTEGER else Family.INTEGER
            second = self.draw(other, depth - 1)
            if first.type.alike(second.type):
                return (first, second) if self.rng.random() < 0.8 else (second, first)
        return first, first

    def _comparison(self, depth: int) -> Term:
        one, two = self.pair(depth - 1)
        operators = (
            ["=", "=", "<>"] if one.family in (Family.BOOLEAN, Family.FLOAT) else ["=", "=", "<>", *_ORDERED]
        )
        operator = self.rng.choice(operators)
        return self.combined(f"{{0}} {operator} {{1}}", [one, two], RANGE, BOOLEAN, COMPARE, uses=(operator,))

    def _distinct(self, depth: int) -> Term:
        operator = self.rng.choice(["IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
        return self.combined(
            f"{{0}} {operator} {{1}}",
            list(self.pair(depth - 1)),
            COMPARE,
            BOOLEAN,
            IS,
            uses=(operator.lower(),),
        )

    def _is(self, depth: int) -> Term:
        if self.rng.random() < 0.5:
            test = self.rng.choice(["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"])
            subject = self.draw(Family.BOOLEAN, depth - 1)
            return self.combined(f"{{0}} {test}", [subject], COMPARE, BOOLEAN, IS, uses=("is true",))
        test = self.rng.choice(["IS NULL", "IS NOT NULL"])
        subject = self.draw(self.any_family(), depth - 1)
        return self.combined(f"{{0}} {test}", [subject], COMPARE, BOOLEAN, IS, uses=("is null",))

    def _between(self, depth: int) -> Term:
        first, second = self.pair(depth - 1, [f for f in COMPARED if f is not Family.FLOAT])
        third = self.leaf(second.family)
        if not (third.type.alike(first.type) and third.type.alike(second.type)):
            third = second
        word = self.rng.choice(["BETWEEN", "BETWEEN", "NOT BETWEEN"])
        return self.combined(
            f"{{0}} {word} {{1}} AND {{2}}", [first, second, third], OTHER, BOOLEAN, RANGE, uses=("between",)
        )

    def _in(self, depth: int) -> Term:
        first = self.draw(self.any_family(), depth - 1)
        drawn = [self.leaf(first.family) for _ in range(self.rng.choice([1, 2, 3]))]
        values = [v if v.type.alike(first.type) else first for v in drawn]
        listed = ", ".join(f"{{{i}}}" for i in range(1, len(values) + 1))
        word = self.rng.choice(["IN", "NOT IN"])
        least = [OTHER, *[OR] * len(values)]
        return self.combined(
            f"{{0}} {word} ({listed})", [first, *values], least, BOOLEAN, RANGE, uses=("in",)
        )

    def _like(self, depth: int) -> Term:
        text = self.draw(Family.TEXT, depth - 1)
        if self.rng.random() < 0.25:
            pattern = literal(self.rng.choice(_REGEX_PATTERNS)).replace("{", "{{").replace("}", "}}")
            duck = f"regexp_matches({{0}}, {pattern})"
            template = f"{{0}} ~ {pattern}"
            return self.combined(
                template, [text], ADD, BOOLEAN, RANGE, duck=duck, postgres=template, uses=("~",)
            )
        word = self.rng.choice(["LIKE", "LIKE", "NOT LIKE", "ILIKE"])
        pattern = literal(self.rng.choice(_LIKE_PATTERNS))
        return self.combined(
            f"{{0}} {word} {pattern}", [text], OTHER, BOOLEAN, RANGE, uses=(word.split()[-1].lower(),)
        )

    def _tolerance(self, depth: int) -> Term:
        one, two = self.numbers(depth - 1), self.numbers(depth - 1)
        if not one.type.alike(two.type) or max(one.type.digits, two.type.digits) > 18:
            return self._comparison(depth)
        threshold = self.rng.choice(["0", "0.01", "0.5", "1", "0.05"])
        return self.combined(
            f"tolerance_match({{0}}, {{1}}, {threshold})",
            [one, two],
            OR,
            BOOLEAN,
            duck=f"abs({{0}} - {{1}}) <= {threshold}",
            uses=("tolerance_match",),
        )

    def _subquery(self, depth: int) -> Term:
        assert self.lookup is not None
        name, fields = self.lookup
        inner = Expressions(
            self.rng, {"x": [Field("x", f.name, f.type, f.seen) for f in fields]}, postgres=self.postgres
        )
        target = self.rng.choice(fields)
        outer = self.draw(target.type.family, depth - 1)
        value = inner.field(target)
        where = inner.draw(Family.BOOLEAN, 1)
        if not outer.type.alike(target.type):
            return self.combined(f"EXISTS (SELECT 1 FROM {quoted(name)} x WHERE {{0}})", [where], OR, BOOLEAN)
        table = quoted(name)
        templates = [
            f"EXISTS (SELECT 1 FROM {table} x WHERE {{1}} = {{0}})",
            f"NOT EXISTS (SELECT 1 FROM {table} x WHERE {{1}} = {{0}} AND {{2}})",
            f"{{0}} IN (SELECT {{1}} FROM {table} x WHERE {{2}})",
            f"{{0}} NOT IN (SELECT {{1}} FROM {table} x WHERE {{1}} IS NOT NULL AND {{2}})",
        ]
        if target.type.family not in (Family.BOOLEAN, Family.FLOAT):
            templates.append(f"{{0}} >= (SELECT min({{1}}) FROM {table} x WHERE {{2}})")
        # Its binding is tried with the other operators; here all parts are in brackets.
        template = f"({self.rng.choice(templates)})"
        return self.combined(template, [outer, value, where], ATOM, BOOLEAN)

    def numbers(self, depth: int) -> Term:
        """Draw an integer or a decimal."""
        return self.draw(self.rng.choice([Family.INTEGER, Family.DECIMAL, Family.DECIMAL]), depth)

    def _arithmetic(self, depth: int) -> Term:
        one, two = self.draw(Family.INTEGER, depth - 1), self.draw(Family.INTEGER, depth - 1)
        operator = self.rng.choice("+-*")
        digits = (
            one.type.digits + two.type.digits
            if operator == "*"
            else max(one.type.digits, two.type.digits) + 1
        )
        if digits > 18:
            return one
        level = MULTIPLY if operator == "*" else ADD
        return self.combined(
            f"{{0}} {operator} {{1}}",
            [one, two],
            [level, level + 1],
            integer(digits),
            level,
            uses=(operator,),
            duck=f"CAST({{0}} AS BIGINT) {operator} CAST({{1}} AS BIGINT)",
            postgres=f"CAST({{0}} AS NUMERIC) {operator} CAST({{1}} AS NUMERIC)",
        )

    def _remainder(self, depth: int) -> Term:
        one, two = self.draw(Family.INTEGER, depth - 1), self.draw(Family.INTEGER, depth - 1)
        divisor = self.combined("nullif({0}, 0)", [two], OR, two.type, duck="nullif(CAST({0} AS BIGINT), 0)")
        return self.combined(
            "{0} % {1}",
            [one, divisor],
            [MULTIPLY, SIGN],
            integer(min(one.type.digits, two.type.digits)),
            MULTIPLY,
            uses=("%", "nullif"),
            duck="CAST({0} AS BIGINT) % {1}",
            postgres="CAST({0} AS NUMERIC) % {1}",
        )

    def _sign(self, family: Family) -> Callable[[int], Term]:
        def sign(depth: int) -> Term:
            term = self.draw(family, depth - 1)
            least = ATOM if term.expr.kalla.startswith("-") else SIGN
            types = {Family.INTEGER: ("BIGINT", "NUMERIC"), Family.DECIMAL: ("", "")}.get(family, ("", ""))
            duck, postgres = (f"-CAST({{0}} AS {t})" if t else "-{0}" for t in types)
            if family is Family.INTEGER and term.type.digits > 18:
                return term
            kind = term.type if family is not Family.INTEGER else integer(term.type.digits)
            return self.combined(
                "-{0}", [term], least, kind, SIGN, duck=duck, postgres=postgres, uses=("-x",)
            )

        return sign

    def _days(self, depth: int) -> Term:
        one, two = self.draw(Family.DATE, depth - 1), self.draw(Family.DATE, depth - 1)
        return self.combined(
            "{0} - {1}",
            [one, two],
            [ADD, MULTIPLY],
            integer(7),
            ADD,
            duck="CAST({0} - {1} AS BIGINT)",
            uses=("-",),
        )

    def _decimals(self, depth: int) -> Term:
        one = self.draw(Family.DECIMAL, depth - 1)
        two = self.numbers(depth - 1)
        operator = self.rng.choice("+-*")
        a, b = one.type, two.type
        if operator == "*":
            digits, scale = a.digits + b.digits, a.scale + b.scale
            whole = a.whole + b.whole
        else:
            digits, scale = max(a.digits, b.digits) + 1, max(a.scale, b.scale)
            whole = max(a.whole, b.whole) + 1
        if digits + scale > WIDEST - 2:
            return one
        level = MULTIPLY if operator == "*" else ADD
        if self.rng.random() < 0.2 and operator != "-":
            one, two = two, one
        return self.combined(
            f"{{0}} {operator} {{1}}",
            [one, two],
            [level, level + 1],
            decimal(digits, scale, whole=whole),
            level,
            uses=(operator,),
            postgres=f"CAST({{0}} AS NUMERIC) {operator} CAST({{1}} AS NUMERIC)",
        )

    def _remainder_of_decimal(self, depth: int) -> Term:
        one, two = self.draw(Family.DECIMAL, depth - 1), self.leaf(Family.DECIMAL)
        a, b = one.type, two.type
        scale = max(a.scale, b.scale)
        if max(a.digits, b.digits) + scale > WIDEST - 2:
            return one
        divisor = self.combined("nullif({0}, 0)", [two], OR, b)
        # DuckDB takes the remainder of wider types in floats.
        width = max(a.digits, b.digits, 1) + scale
        return self.combined(
            "{0} % {1}",
            [one, divisor],
            [MULTIPLY, SIGN],
            decimal(min(a.digits, b.digits), scale, whole=max(a.whole, b.whole)),
            MULTIPLY,
            duck=f"CAST({{0}} AS DECIMAL({width},{scale})) % CAST({{1}} AS DECIMAL({width},{scale}))",
            postgres="{0} % {1}",
            uses=("%", "nullif"),
        )

    def _quotient(self, depth: int) -> Term:
        one, two = self.numbers(depth - 1), self.numbers(min(depth - 1, 1))
        type_ = quotient(one.type, two.type)
        if type_ is None:
            return self.leaf(Family.DECIMAL)
        divisor = self.combined("nullif({0}, 0)", [two], OR, two.type)
        a, b = one.type.scale, two.type.scale
        return self.combined(
            "{0} / {1}",
            [one, divisor],
            [MULTIPLY, SIGN],
            type_,
            MULTIPLY,
            duck=f"divided(CAST({{0}} AS DECIMAL(38,{a})), CAST({{1}} AS DECIMAL(38,{b})), {a}, {b})",
            postgres="pg_temp.divided({0}::numeric, {1}::numeric)",
            uses=("/", "nullif"),
        )

    def _as_decimal(self, depth: int) -> Term:
        term = self.numbers(depth - 1)
        scale = self.rng.choice([term.type.scale, min(term.type.scale + 2, 18)])
        precision = max(term.type.digits + scale, 1)
        if precision > WIDEST:
            return term if term.family is Family.DECIMAL else self.leaf(Family.DECIMAL)
        precision = self.rng.choice([precision, WIDEST])
        return self._cast(
            term, f"DECIMAL({precision},{scale})", decimal(term.type.digits, scale, whole=precision - scale)
        )

    def _cast(self, term: Term, name: str, type_: Type, *, postgres: str = "", duck: str = "") -> Term:
        style = self.rng.random()
        double_colon = style < 0.15
        return self.combined(
            f"{{0}}::{name}" if double_colon else f"CAST({{0}} AS {name})",
            [term],
            ATOM if double_colon else OR,
            type_,
            duck=duck or f"CAST({{0}} AS {name})",
            postgres=postgres or (duck or f"CAST({{0}} AS {name})"),
        )

    def _floats(self, depth: int) -> Term:
        one, two = self.draw(Family.FLOAT, depth - 1), self.draw(Family.FLOAT, depth - 1)
        if 32 in (one.type.bits, two.type.bits):
            return one
        operator = self.rng.choice("+-*")
        level = MULTIPLY if operator == "*" else ADD
        return self.combined(
            f"{{0}} {operator} {{1}}",
            [one, two],
            [level, level + 1],
            Type(Family.FLOAT),
            level,
            uses=(operator,),
        )

    def _as_float(self, depth: int) -> Term:
        term = self.numbers(depth - 1)
        if term.type.digits + term.type.scale > 15:
            return self.leaf(Family.FLOAT)
        return self._cast(term, "DOUBLE", Type(Family.FLOAT), postgres="CAST({0} AS DOUBLE PRECISION)")

    def _concatenation(self, depth: int) -> Term:
        parts = [self.draw(Family.TEXT, depth - 1) for _ in range(self.rng.choice([2, 2, 3]))]
        template = " || ".join(f"{{{i}}}" for i in range(len(parts)))
        return self.combined(template, parts, [OTHER, *[ADD] * (len(parts) - 1)], TEXT, OTHER, uses=("||",))

    def _as_text(self, depth: int) -> Term:
        # Of computed decimals the scale would show, which is nobody's promise, and DuckDB leaves out a 0.
        term = self.column(
            lambda t: (
                t.family in (Family.DATE, Family.INTEGER, Family.BOOLEAN)
                or (t.family is Family.DECIMAL and t.whole > 0)
            )
        )
        if term is None or self.rng.random() < 0.3:
            term = self.draw(self.rng.choice([Family.DATE, Family.INTEGER]), depth - 1)
        return self._cast(term, self.rng.choice(["VARCHAR", "TEXT"]), TEXT)

    def _plus_days(self, depth: int) -> Term:
        term = self.draw(Family.DATE, depth - 1)
        if self.rng.random() < 0.5:
            days = self.rng.choice([1, 7, 30, 365])
            sign = self.rng.choice("+-")
            return self.combined(f"{{0}} {sign} {days}", [term], ADD, Type(Family.DATE), ADD, uses=(sign,))
        return self._plus_interval_to(term, date=True)

    def _plus_interval(self, depth: int) -> Term:
        return self._plus_interval_to(self.draw(Family.TIMESTAMP, depth - 1), date=False)

    def _plus_interval_to(self, term: Term, *, date: bool) -> Term:
        spans = [i for i in _INTERVALS if not date or i.split()[1][:3] in ("day", "mon", "yea")]
        sign = self.rng.choice("+-")
        template = f"{{0}} {sign} INTERVAL '{self.rng.choice(spans)}'"
        oracle = f"CAST({template} AS DATE)" if date else template
        # In brackets where more arithmetic follows, as Kalla asks for them.
        return self.combined(
            template, [term], ADD, term.type, OTHER, duck=oracle, postgres=oracle, uses=(sign,)
        )

    def _as_date(self, depth: int) -> Term:
        return self._cast(self.draw(Family.TIMESTAMP, depth - 1), "DATE", Type(Family.DATE))

    def _as_timestamp(self, depth: int) -> Term:
        return self._cast(self.draw(Family.DATE, depth - 1), "TIMESTAMP", Type(Family.TIMESTAMP))

    def _array(self, depth: int) -> Term:
        return self.array_of(self.rng.choice([Family.TEXT, Family.INTEGER, Family.DATE]), depth)

    def array_of(self, family: Family, depth: int) -> Term:
        """Draw a list written out."""
        first = self.draw(family, depth - 1)
        drawn = [self.leaf(first.family) for _ in range(self.rng.choice([0, 1, 2]))]
        parts = [first, *drawn]
        element = first.type if first.family is not Family.INTEGER else integer(19)
        template = ", ".join(f"{{{i}}}" for i in range(len(parts)))
        cast = "CAST({} AS BIGINT)" if first.family is Family.INTEGER else "{}"
        listed = ", ".join(cast.format(f"{{{i}}}") for i in range(len(parts)))
        return self.combined(
            f"make_array({template})",
            parts,
            OR,
            Type(Family.LIST, element=element),
            duck=f"[{listed}]",
            postgres=f"ARRAY[{listed}]",
            uses=("make_array",),
        )

    def case(self, family: Family) -> Callable[[int], Term]:
        """Return a way to draw a CASE with results of a family."""

        def draw(depth: int) -> Term:
            results = [self.draw(family, depth - 1)]
            type_ = results[0].type
            for _ in range(self.rng.choice([0, 1, 1, 2])):
                other = self.draw(family, depth - 1)
                united = type_.united(other.type)
                if united is not None:
                    results.append(other)
                    type_ = united
            default = self.rng.random() < 0.6 and len(results) > 1
            branches = results[:-1] if default else results
            if self.rng.random() < 0.25:
                subject, value = self.pair(depth - 1, [Family.TEXT, Family.INTEGER, Family.DATE])
                conditions = [value] * len(branches)
                head, parts = "CASE {0}", [subject]
            else:
                conditions = [self.draw(Family.BOOLEAN, depth - 1) for _ in branches]
                head, parts = "CASE", []
            text = head
            for condition, result in zip(conditions, branches, strict=True):
                text += f" WHEN {{{len(parts)}}} THEN {{{len(parts) + 1}}}"
                parts += [condition, result]
            if default:
                text += f" ELSE {{{len(parts)}}}"
                parts.append(results[-1])
            return self.combined(f"{text} END", parts, OR, type_, uses=("case",))

        return draw
