"""Random expressions that mean the same in DataFusion and DuckDB, written in both."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from random import Random

from tests.differential.model import Column, Expr, Kind, Side, Table, Value
from tests.differential.values import money, value

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {"order", "select", "group"}
FLOAT_SCALE = 6
"""Digits after the point that a generated float has at most."""


def quoted(name: str) -> str:
    """Return a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifier(rng: Random, name: str) -> str:
    """Return a name as a person might write it in match_sql: unquoted in any case where that is possible."""
    if not _PLAIN_NAME.fullmatch(name) or name.lower() in _RESERVED or rng.random() < 0.3:
        return quoted(name)
    return rng.choice([name, name, name.lower(), name.upper()])


def literal(cell: Value) -> str:
    """Return a value as a literal that both dialects read alike."""
    match cell:
        case None:
            return "NULL"
        case bool():
            return "true" if cell else "false"
        case str():
            return "'" + cell.replace("'", "''") + "'"
        case datetime():
            text = cell.strftime("%Y-%m-%d %H:%M:%S.%f")
            return f"CAST('{text}+00' AS TIMESTAMPTZ)" if cell.tzinfo else f"TIMESTAMP '{text}'"
        case date():
            return f"DATE '{cell}'"
        case Decimal():
            return f"{cell:f}"
        case tuple():
            return f"[{', '.join(literal(part) for part in cell)}]"
        case _:
            return str(cell)


def exact_name(name: str) -> str:
    """Return the oracle's column that holds a float column's shortest decimal form."""
    return f"{name} as decimal"


@dataclass(frozen=True)
class Ref:
    """A column as seen from the query."""

    side: Side
    column: Column

    @property
    def kind(self) -> Kind:
        """Its type."""
        return self.column.kind


class Predicates:
    """Draws predicates over the tables of a case.

    Args:
        rng: the only source of chance.
        tables: the tables by their name in FROM.
        links: pairs of columns (left, right) with common values.
        amounts: pairs of columns with near values.
    """

    def __init__(
        self,
        rng: Random,
        tables: dict[Side, Table],
        links: Sequence[tuple[str, str]],
        amounts: Sequence[tuple[str, str]],
    ) -> None:
        self.rng = rng
        self.tables = tables
        self.links = [self._pair(link) for link in links]
        self.amounts = [self._pair(link) for link in amounts]

    def _pair(self, link: tuple[str, str]) -> tuple[Ref, Ref]:
        left, right = self.tables["l"].column(link[0]), self.tables["r"].column(link[1])
        return Ref("l", left), Ref("r", right)

    def column(self, ref: Ref) -> Expr:
        """Write a column reference."""
        name = ref.column.name
        return Expr(
            f"{ref.side}.{identifier(self.rng, name)}", f"{ref.side}.{quoted(name)}", ((ref.side, name),)
        )

    def any_ref(self, side: Side, test: Callable[[Kind], bool] = lambda _: True) -> Ref | None:
        """Draw a column of one side whose type passes the test; never a list."""
        fitting = [c for c in self.tables[side].columns if c.kind.name != "list" and test(c.kind)]
        return Ref(side, self.rng.choice(fitting)) if fitting else None

    def combine(self, kalla: str, duck: str, *parts: Expr) -> Expr:
        """Put parts into templates with one {} a part; {0} and the like where a part comes twice."""
        columns = tuple(dict.fromkeys(column for part in parts for column in part.columns))
        lacks = any(part.postgres is None for part in parts)
        return Expr(
            kalla.format(*(p.kalla for p in parts)),
            duck.format(*(p.duck for p in parts)),
            columns,
            None if lacks else duck.format(*(p.text("postgres") for p in parts)),
        )

    def both(self, template: str, *parts: Expr) -> Expr:
        """Put parts into a template that is the same in both dialects."""
        return self.combine(template, template, *parts)

    def constant(self, cell: Value) -> Expr:
        """Write a literal."""
        return Expr(literal(cell), literal(cell))

    def equality(self, link: tuple[Ref, Ref]) -> Expr:
        """Equate a linked pair, plainly or through an expression on both sides."""
        left, right = self.column(link[0]), self.column(link[1])
        if self.rng.random() < 0.15:
            left, right = right, left
        kinds = {link[0].kind.name, link[1].kind.name}
        templates = ["{} = {}"] * 6
        if kinds == {"text"}:
            templates += [
                "lower(trim({})) = lower(trim({}))",
                "upper({}) = upper({})",
                "substr({}, 1, 3) = substr({}, 1, 3)",
            ]
        elif self._room_to_add(link):
            templates += ["{} + 1 = {} + 1", "abs({}) = abs({})", "coalesce({}, 0) = coalesce({}, 1)"]
        elif kinds == {"boolean"}:
            templates += ["({}) = ({})"]
        elif kinds <= {"date", "timestamp"}:
            templates += ["extract(year FROM {}) = extract(year FROM {})"]
        return self.both(self.rng.choice(templates), left, right)

    def _room_to_add(self, refs: Sequence[Ref]) -> bool:
        """Whether 1 can be added without an overflow: how that fails is no difference worth drawing."""
        return all(self._small(ref) for ref in refs)

    def _small(self, ref: Ref) -> bool:
        if ref.kind.name == "decimal":
            return ref.kind.precision <= 30
        if ref.kind.name != "int" or ref.kind.bits != 64:
            return False
        table = self.tables[ref.side]
        at = table.columns.index(ref.column)
        cells = (row[at] for row in table.rows)
        return all(not isinstance(cell, int) or abs(cell) <= 2**40 for cell in cells)

    def tolerance(self, link: tuple[Ref, Ref]) -> Expr | None:
        """Write tolerance_match over two numbers; None where the oracle has too few digits for it."""
        if not all(ref.kind.numeric for ref in link):
            return None
        scale = max(self._scale(ref.kind) for ref in link)
        if scale + max(self._whole_digits(ref.kind) for ref in link) > 38:
            return None
        digits = min(max(scale, 2), 6)
        threshold = money(
            self.rng.choice([0, 1, 1, 2, 2, 50, 100, 1000]), self.rng.choice([0, digits, min(digits, 2)])
        )
        left, right = self.column(link[0]), self.column(link[1])
        duck = tuple(self.exact(ref, scale) for ref in link)
        order = (0, 1) if self.rng.random() < 0.85 else (1, 0)
        first, second = ((left.kalla, right.kalla)[at] for at in order)
        kalla = f"tolerance_match({first}, {second}, {threshold:f})"
        meaning = f"abs({duck[0]} - {duck[1]}) <= {threshold:f}"
        return Expr(kalla, meaning, left.columns + right.columns)

    def exact(self, ref: Ref, scale: int) -> str:
        """Return the exact decimal of a numeric column in the oracle's dialect."""
        name = exact_name(ref.column.name) if ref.kind.name == "float" else ref.column.name
        return f"{ref.side}.{quoted(name)}::DECIMAL(38,{scale})"

    def _scale(self, kind: Kind) -> int:
        return {"float": FLOAT_SCALE, "int": 0, "decimal": kind.scale}[kind.name]

    def _whole_digits(self, kind: Kind) -> int:
        return {"float": 7, "int": 19, "decimal": kind.precision - kind.scale}[kind.name]

    def residual(self) -> Expr | None:
        """Draw a predicate over both sides; None where the columns drawn offer none."""
        rng = self.rng
        style = rng.random()
        if style < 0.35:
            return self.tolerance(rng.choice(self.amounts + self.links))
        left = self.any_ref("l")
        assert left is not None
        if style < 0.75:
            right = self.any_ref("r", lambda kind: _comparable(left.kind, kind))
            if right is None:
                return None
            operators = ["<", "<=", ">", ">=", "<>", "=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
            operator = rng.choice(operators[4:] if left.kind.name == "boolean" else operators)
            # DataFusion takes all that follows IS DISTINCT FROM for its operand: it needs the brackets.
            template = f"({{}} {operator} {{}})" if "DISTINCT" in operator else f"{{}} {operator} {{}}"
            return self.both(template, self.column(left), self.column(right))
        if style < 0.88:
            first, second = rng.choice(self.amounts)
            if max(first.kind.precision, second.kind.precision) > 20 or not self._room_to_add(
                (first, second)
            ):
                return None
            gap = rng.choice(["0.05", "1", "0.005", "10.0"])
            templates = [
                f"abs({{}} - {{}}) <= {gap}",
                f"{{0}} BETWEEN {{1}} - {gap} AND {{1}} + {gap}",
                "CASE WHEN {0} > {1} THEN {0} - {1} ELSE {1} - {0} END < 0.5",
                "{} * 2 >= {} * 2",
            ]
            return self.both(rng.choice(templates), self.column(first), self.column(second))
        return self.disjunction()

    def disjunction(self) -> Expr | None:
        """Draw an OR (or a negated AND) of two predicates."""
        parts = [self.residual() if self.rng.random() < 0.6 else self.own("l") for _ in range(2)]
        if any(part is None for part in parts):
            return None
        first, second = (part for part in parts if part is not None)
        template = self.rng.choice(["({} OR {})", "({} OR {})", "NOT ({} AND {})", "(({}) = ({}))"])
        return self.both(template, first, second)

    def own(self, side: Side) -> Expr:
        """Draw a predicate over one side."""
        rng = self.rng
        ref = self.any_ref(side)
        assert ref is not None
        column = self.column(ref)
        if rng.random() < 0.2:
            return self.both(rng.choice(["{} IS NOT NULL", "{} IS NULL"]), column)
        if ref.kind.name == "float":
            # Floats of two widths are not compared.
            if ref.kind.bits == 32:
                return self.both("{0} = {0}", column)
            positive = self.both("{} > CAST(0 AS DOUBLE)", column)
            return replace(positive, postgres=f"{column.duck} > CAST(0 AS DOUBLE PRECISION)")
        cells = [self.constant(self._near_value(ref)) for _ in range(3)]
        if ref.kind.name == "boolean":
            return self.both(
                rng.choice(["{}", "NOT {}", "{} IS TRUE", "{} IS NOT FALSE", "{} = true"]), column
            )
        templates = [
            "{0} >= {1}",
            "{0} < {1}",
            "{0} <> {1}",
            "{0} IN ({1}, {2}, {3})",
            "{0} NOT IN ({1}, {2})",
        ]
        templates += [
            "{0} BETWEEN {1} AND {2}",
            "({0} = {1} OR {0} > {2})",
            "coalesce({0}, {1}) <= {2}",
            "nullif({0}, {1}) IS NOT NULL",
        ]
        if ref.kind.name == "text":
            templates += [
                "{0} LIKE 'IN%'",
                "{0} LIKE '%a_%'",
                "length({0}) > 2",
                "{0} NOT LIKE '% '",
                "starts_with({0}, 'P')",
            ]
        return self.both(rng.choice(templates), column, *cells)

    def _near_value(self, ref: Ref) -> Value:
        table = self.tables[ref.side]
        at = table.columns.index(ref.column)
        seen = [row[at] for row in table.rows if row[at] is not None]
        return self.rng.choice(seen) if seen and self.rng.random() < 0.7 else value(self.rng, ref.kind)


def _comparable(left: Kind, right: Kind) -> bool:
    if left.exact and right.exact:
        scale = max(left.scale, right.scale)
        return scale + max((k.precision or 19) - k.scale for k in (left, right)) <= 38
    return left.name == right.name and left.bits == right.bits
