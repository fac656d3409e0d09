"""Expressions of match_sql in DuckDB's SQL. What is not known here is not translated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Protocol

from sqlglot import exp

from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.sql.dialect import bare
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.sql.marks import shown
from kalla_runner.matching.witness.arithmetic import arithmetic, interval, negative, tolerance
from kalla_runner.matching.witness.conversions import cast
from kalla_runner.matching.witness.functions import Functions, arguments_of
from kalla_runner.matching.witness.letters import same_pattern
from kalla_runner.matching.witness.typed import (
    BOOLEAN,
    NULL,
    TEXT,
    Type,
    Typed,
    as_type,
    combined,
    not_possible,
    number,
    only,
    quoted_text,
    united,
)


class Surroundings(Protocol):
    """What an expression needs to know of the query around it."""

    def column(self, node: exp.Column) -> Typed:
        """The column that a name means."""
        ...

    def value_of(self, query: exp.Query) -> Typed:
        """A query used as a value: its only column, `sql` being the query in brackets."""
        ...

    def exists(self, query: exp.Query) -> str:
        """A query of which only counts whether it has rows."""
        ...

    def window(self, node: exp.Window) -> Typed:
        """A call with OVER."""
        ...


_COMPARISONS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_OPERANDS: Final = frozenset({"this", "expression"})
_PARTS: Final[dict[type[exp.Expr], frozenset[str]]] = {
    exp.Column: frozenset({"this", "table"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Interval: frozenset({"this", "unit"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "over"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.TryCast: frozenset({"this", "to", "safe"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Substring: frozenset({"this", "start", "length"}),
    exp.Trim: frozenset({"this", "expression", "position"}),
    exp.StrPosition: frozenset({"this", "substr"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.ILike: frozenset({"this", "expression", "negate"}),
}
"""The parts of a node that are translated, where they are others than _OPERANDS."""
_ARITHMETIC: Final = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_JOINED: Final = (Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.BOOLEAN, Family.DATE)


@dataclass(frozen=True, slots=True)
class Expressions:
    """Translates expressions of one SELECT.

    Args:
        around: the query that they stand in.
        functions: writes calls.
    """

    around: Surroundings
    functions: Functions

    def __call__(self, node: exp.Expr) -> Typed:
        """The expression in DuckDB's SQL, ready to be an operand."""
        node = bare(node)
        # What the parser notes of a node beyond this may turn its meaning round.
        only(node, _PARTS.get(type(node), _OPERANDS) if not isinstance(node, exp.Query) else node.args)
        simple = self._simple(node)
        if simple is not None:
            return simple
        translate = self._TRANSLATIONS.get(type(node))
        if translate is not None:
            return translate(self, node)
        if isinstance(node, exp.Query):
            return self.around.value_of(node)
        called = arguments_of(node)
        if called is not None:
            return self._call(*called)
        return not_possible(f"there is no certain translation of {shown(node)}")

    def condition(self, node: exp.Expr) -> Typed:
        """An expression that must be a condition."""
        value = self(node)
        if value.family not in (Family.BOOLEAN, None):
            not_possible("something that is no condition is used as one")
        return value

    def _simple(self, node: exp.Expr) -> Typed | None:
        match node:
            case exp.Column():
                return self.around.column(node)
            case exp.Literal() if node.is_string:
                return Typed(quoted_text(node.name), TEXT)
            case exp.Literal():
                return number(node.name)
            case exp.Boolean():
                return Typed("true" if node.this else "false", BOOLEAN)
            case exp.Null():
                return Typed("NULL", NULL)
            case exp.Exists():
                return Typed(f"EXISTS ({self.around.exists(node.this)})", BOOLEAN)
            case exp.Window():
                return self.around.window(node)
            case exp.Interval():
                return interval(node)
            case _:
                return None

    def compared(self, values: Sequence[Typed], write: Callable[[list[str]], str]) -> Typed:
        """A comparison of values that are brought to one type first."""
        same, _ = united(values, "a comparison")
        if any(value.family is Family.LIST for value in same):
            not_possible("lists are compared")
        return combined(f"({write([value.sql for value in same])})", BOOLEAN, same)

    def _comparison(self, node: exp.Expr) -> Typed:
        sign = _COMPARISONS[type(node)]
        one, two = bare(node.this), bare(node.expression)
        if isinstance(one, exp.Tuple) or isinstance(two, exp.Tuple):
            # NULLs within tuples are compared in ways of their own.
            not_possible(f"tuples are compared by {sign}")
        return self.compared([self(one), self(two)], lambda sql: f"{sql[0]} {sign} {sql[1]}")

    def _and_or(self, node: exp.Expr) -> Typed:
        word = "AND" if isinstance(node, exp.And) else "OR"
        terms: list[exp.Expr] = []
        rest = node
        while type(rest) is type(node):
            terms.append(rest.expression)
            rest = bare(rest.this)
        values = [self.condition(term) for term in (rest, *reversed(terms))]
        return combined(f"({f' {word} '.join(value.sql for value in values)})", BOOLEAN, values)

    def _not(self, node: exp.Expr) -> Typed:
        value = self.condition(node.this)
        return combined(f"(NOT {value.sql})", BOOLEAN, [value])

    def _is(self, node: exp.Expr) -> Typed:
        value, other = self(node.this), bare(node.expression)
        match other:
            case exp.Null():
                return combined(f"({value.sql} IS NULL)", BOOLEAN, [value])
            case exp.Boolean() if value.family is Family.BOOLEAN:
                word = "true" if other.this else "false"
                return combined(f"({value.sql} IS NOT DISTINCT FROM {word})", BOOLEAN, [value])
            case _:
                return not_possible("IS is followed by something other than NULL, TRUE or FALSE")

    def _between(self, node: exp.Expr) -> Typed:
        values = [self(node.this), self(node.args["low"]), self(node.args["high"])]
        return self.compared(values, lambda sql: f"{sql[0]} >= {sql[1]} AND {sql[0]} <= {sql[2]}")

    def _in(self, node: exp.Expr) -> Typed:
        query = node.args.get("query")
        if isinstance(node.this, exp.Tuple) or isinstance(bare(node.this), exp.Tuple):
            not_possible("tuples are compared by IN")
        if query is None:
            values = [self(node.this), *(self(value) for value in node.expressions)]
            return self.compared(values, lambda sql: f"{sql[0]} IN ({', '.join(sql[1:])})")
        value, found = self(node.this), self.around.value_of(query)
        same, data_type = united([value, replace(found, sql="v.c0")], "IN (SELECT ...)")
        source = found.sql if same[1].sql == "v.c0" else f"(SELECT {same[1].sql} FROM {found.sql} AS v(c0))"  # noqa: S608 - composed from a syntax tree
        if data_type.family is Family.LIST:
            not_possible("lists are compared")
        return combined(f"({same[0].sql} IN {source})", BOOLEAN, same)

    def _like(self, node: exp.Expr) -> Typed:
        pattern, escape = node.expression, "\\"
        if isinstance(pattern, exp.Escape):
            letter = pattern.expression
            pattern, escape = pattern.this, letter.name if isinstance(letter, exp.Literal) else ""
        pattern = bare(pattern)
        if not isinstance(pattern, exp.Literal) or not pattern.is_string or len(escape) != 1:
            not_possible("LIKE has a pattern that is not written out")
        value = self._text(node.this, "LIKE")
        if isinstance(node, exp.ILike):
            self.functions.need_plain("ILIKE", [value, Typed(quoted_text(pattern.name), TEXT)])
        if pattern.name.endswith(escape):
            not_possible("a pattern of LIKE ends with its escape")
        word = "ILIKE" if isinstance(node, exp.ILike) else "LIKE"
        sql = f"({value.sql} {word} {quoted_text(pattern.name)} ESCAPE {quoted_text(escape)})"
        return combined(f"(NOT {sql})" if node.args.get("negate") else sql, BOOLEAN, [value])

    def _regexp(self, node: exp.Expr) -> Typed:
        pattern = bare(node.expression)
        if not isinstance(pattern, exp.Literal) or not same_pattern(pattern.name):
            not_possible("a regular expression may mean different things to the two engines")
        value = self._text(node.this, "a regular expression")
        flags = ""
        if isinstance(node, exp.RegexpILike):
            self.functions.need_plain("a regular expression", [value])
            flags = ", 'i'"
        return combined(f"regexp_matches({value.sql}, {quoted_text(pattern.name)}{flags})", BOOLEAN, [value])

    def _text(self, node: exp.Expr, what: str) -> Typed:
        value = self(node)
        if value.family is not Family.TEXT:
            not_possible(f"{what} looks at something that is no text")
        return value

    def _joined(self, node: exp.Expr) -> Typed:
        values = [self(node.this), self(node.expression)]
        if any(value.family not in _JOINED for value in values):
            not_possible("|| joins something that the two engines may write differently")
        texts = [value if value.family is Family.TEXT else as_type(value, TEXT) for value in values]
        return combined(f"({texts[0].sql} || {texts[1].sql})", TEXT, texts)

    def _negative(self, node: exp.Expr) -> Typed:
        return negative(self(node.this))

    def _arithmetic(self, node: exp.Expr) -> Typed:
        return arithmetic(node, self(node.this), self(node.expression))

    def _case(self, node: exp.Expr) -> Typed:
        operand, default = node.args.get("this"), node.args.get("default")
        branches: list[exp.Expr] = node.args.get("ifs") or []
        results = [branch.args["true"] for branch in branches]
        conditions = [
            self.condition(branch.this if operand is None else exp.EQ(this=operand, expression=branch.this))
            for branch in branches
        ]
        return self._chosen(conditions, [self(result) for result in results], default and self(default))

    def _chosen(self, conditions: Sequence[Typed], results: Sequence[Typed], default: Typed | None) -> Typed:
        same, data_type = united([*results, default or Typed("NULL", NULL)], "CASE")
        whens = [
            f"WHEN {condition.sql} THEN {result.sql}"
            for condition, result in zip(conditions, same, strict=False)
        ]
        return combined(f"(CASE {' '.join(whens)} ELSE {same[-1].sql} END)", data_type, [*conditions, *same])

    def _cast(self, node: exp.Expr) -> Typed:
        return cast(self(node.this), node.args["to"], trying=isinstance(node, exp.TryCast))

    def _extract(self, node: exp.Expr) -> Typed:
        unit = Typed(quoted_text(node.name.lower()), TEXT)
        return self.functions.scalar("date_part", [unit, self(node.expression)])

    def _filter(self, node: exp.Expr) -> Typed:
        call = self.aggregate(node.this)
        condition = self.condition(node.expression.this)
        return combined(f"{call.sql} FILTER (WHERE {condition.sql})", call.type, [call, condition])

    def aggregate(self, node: exp.Expr) -> Typed:
        """The plain call of an aggregate, to which FILTER and OVER may be added."""
        called = arguments_of(node)
        if called is None:
            not_possible(f"there is no certain translation of {shown(node)}")
        name, arguments = called
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            return Typed("count(*)", Type(Family.INTEGER, 19))
        distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
        if distinct:
            arguments = list(arguments[0].expressions)
        return self.functions.aggregate(name, [self(a) for a in arguments], distinct=distinct)

    def gathered(self, node: exp.Expr) -> Typed | None:
        """array_agg at the place of an output, of which only counts what is in the list; None for others."""
        condition: exp.Expr | None = None
        node = bare(node)
        if isinstance(node, exp.Filter):
            condition, node = node.expression.this, node.this
        called = arguments_of(node)
        if called is None or called[0] != "array_agg" or len(called[1]) != 1:
            return None
        argument, order = called[1][0], ""
        if isinstance(argument, exp.Order):
            # Two lists gathered in one order name the keys of one row in one place.
            order = self.order(argument)
            argument = argument.this
        distinct = isinstance(argument, exp.Distinct)
        value = self(argument.expressions[0] if isinstance(argument, exp.Distinct) else argument)
        where = "" if condition is None else f" FILTER (WHERE {self.condition(condition).sql})"
        sql = f"array_agg({'DISTINCT ' * distinct}{value.sql}{order}){where}"
        return combined(sql, Type(Family.LIST, element=value.type), [value])

    def order(self, node: exp.Expr) -> str:
        """An ORDER BY, with the place of NULLs written out."""
        parts: list[str] = []
        for item in node.expressions:
            ordered = item if isinstance(item, exp.Ordered) else exp.Ordered(this=item, nulls_first=False)
            parts.append(
                f"{self(ordered.this).sql} {'DESC' if ordered.args.get('desc') else 'ASC'} "
                f"NULLS {'FIRST' if ordered.args.get('nulls_first') else 'LAST'}"
            )
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def _call(self, name: str, arguments: Sequence[exp.Expr]) -> Typed:
        if name == TOLERANCE:
            values = [self(argument) for argument in arguments]
            return tolerance(values[0], values[1], values[2])
        if name in ("if", "iif") and len(arguments) > 1:
            condition, results = self.condition(arguments[0]), [self(a) for a in arguments[1:]]
            return self._chosen([condition], results[:1], results[1] if len(results) > 1 else None)
        if self.functions.is_aggregate(name):
            return self.aggregate(exp.Anonymous(this=name, expressions=list(arguments)))
        return self.functions.scalar(name, [self(argument) for argument in arguments])

    _TRANSLATIONS: ClassVar[dict[type[exp.Expr], Callable[[Expressions, exp.Expr], Typed]]] = {
        **dict.fromkeys(_COMPARISONS, _comparison),
        **dict.fromkeys(_ARITHMETIC, _arithmetic),
        **dict.fromkeys((exp.And, exp.Or), _and_or),
        **dict.fromkeys((exp.Like, exp.ILike), _like),
        **dict.fromkeys((exp.RegexpLike, exp.RegexpILike), _regexp),
        **dict.fromkeys((exp.Cast, exp.TryCast), _cast),
        exp.Not: _not,
        exp.Is: _is,
        exp.Between: _between,
        exp.In: _in,
        exp.DPipe: _joined,
        exp.Neg: _negative,
        exp.Case: _case,
        exp.Extract: _extract,
        exp.Filter: _filter,
    }
