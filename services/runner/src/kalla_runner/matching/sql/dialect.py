"""DataFusion's SQL as a sqlglot dialect that changes nothing it does not have to.

Functions stay what the user wrote: the engine, not the parser, knows them. Where the two
parsers could still disagree about structure, `sql_guard` compares their plans.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from kalla_common.errors import Code, KallaError
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError, UnsupportedError
from sqlglot.generator import Generator
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.tokens import Tokenizer

MAX_CHARACTERS: Final = 200_000
MAX_TOKENS: Final = 20_000
MAX_NESTING: Final = 24
"""Brackets within brackets; the engine's own parser gives up at 50 levels of its own counting."""
MAX_DEPTH: Final = 600
"""Levels of the syntax tree, which a long chain of operators also makes."""

# A level of the tree takes the parser and the writer of SQL up to eight Python calls.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 12 * MAX_DEPTH))

_KEPT_FUNCTION_PARSERS: Final = ("CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM", "TRY_CAST")


_COMPARISONS: Final = {**Parser.EQUALITY, **Parser.COMPARISON}


class _DataFusionTokenizer(Tokenizer):
    KEYWORDS = {**Tokenizer.KEYWORDS, "~": TokenType.RLIKE, "~*": TokenType.IRLIKE}  # noqa: RUF012
    COMMANDS = {*Tokenizer.COMMANDS, TokenType.SHOW}  # noqa: RUF012


def _typed_literal(parser: Parser, this: exp.Expr | None, to: exp.DataType) -> exp.Expr | None:
    """Bind `TIMESTAMP '...'::DATE` as (TIMESTAMP '...')::DATE: the parser casts the text first."""
    literal = this
    while literal is not None and not isinstance(literal, exp.Literal):
        literal = literal.this
    if literal is None or literal is this:
        return parser.expression(exp.Cast(this=this, to=to))
    literal.replace(parser.expression(exp.Cast(this=literal.copy(), to=to)))
    return this


class _DataFusionParser(Parser):
    """Operators bind as the SQL standard and PostgreSQL have it: IS looser than =, NOT looser than IS."""

    FUNCTIONS = {}  # noqa: RUF012
    FUNCTION_PARSERS = {k: Parser.FUNCTION_PARSERS[k] for k in _KEPT_FUNCTION_PARSERS}  # noqa: RUF012
    NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
        k: v for k, v in Parser.NO_PAREN_FUNCTION_PARSERS.items() if k in ("ANY", "CASE")
    }

    TYPE_LITERAL_PARSERS = {  # noqa: RUF012
        **Parser.TYPE_LITERAL_PARSERS,
        **dict.fromkeys(
            (exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ), _typed_literal
        ),
    }
    RANGE_PARSERS = {  # noqa: RUF012
        k: v for k, v in Parser.RANGE_PARSERS.items() if k is not TokenType.IS
    }

    def _parse_equality(self, parse_is: bool = True) -> exp.Expr | None:  # the parser's
        this = self._parse_compared(self._parse_range())
        while parse_is and self._match(TokenType.IS):
            this = self._parse_compared(self._parse_is(this))
        return this

    def _parse_compared(self, this: exp.Expr | None) -> exp.Expr | None:
        while self._match_set(_COMPARISONS):
            kind = _COMPARISONS[self._prev.token_type]
            this = self.expression(kind(this=this, expression=self._parse_range()))
        return this

    def _parse_is_rhs(self, distinct: bool = False) -> exp.Expr | None:  # see above
        return self._parse_compared(self._parse_range()) if distinct else super()._parse_is_rhs()

    def _negate_range(self, this: exp.Expr | None = None) -> exp.Expr | None:
        return _infix(super()._negate_range(this))

    def _parse_is(self, this: exp.Expr | None) -> exp.Expr | None:
        return _infix(super()._parse_is(this))


def _infix(node: exp.Expr | None) -> exp.Expr | None:
    """Remember that NOT stood in the middle: the engine tells `a IS NOT NULL` from `NOT a IS NULL`."""
    if isinstance(node, exp.Not):
        node.meta["infix"] = True
    return node


def is_infix(node: exp.Expr) -> bool:
    """Whether a NOT is one with its operator, as in NOT IN, NOT BETWEEN, IS NOT."""
    return isinstance(node, exp.Not) and bool(node.meta.get("infix"))


def _regexp(self: Generator, node: exp.Binary) -> str:
    return self.binary(node, "~")


def _regexp_any_case(self: Generator, node: exp.Binary) -> str:
    return self.binary(node, "~*")


def _distinct(self: Generator, node: exp.Binary) -> str:
    # The engine takes all that follows for the operand, also an AND that Kalla adds.
    operator = "IS DISTINCT FROM" if isinstance(node, exp.NullSafeNEQ) else "IS NOT DISTINCT FROM"
    return f"({self.binary(node, operator)})"


def _array(self: Generator, node: exp.Array) -> str:
    return self.func("make_array", *node.expressions)


def _not(self: Generator, node: exp.Not) -> str:
    inner = node.this
    if not is_infix(node) or isinstance(inner, exp.Paren):
        return f"NOT {self.sql(inner)}"
    if isinstance(inner, exp.Is):
        return f"{self.sql(inner, 'this')} IS NOT {self.sql(inner, 'expression')}"
    if isinstance(inner, exp.RegexpLike | exp.RegexpILike):
        return self.binary(inner, "!~" if isinstance(inner, exp.RegexpLike) else "!~*")
    left, whole = self.sql(inner, "this"), self.sql(inner)
    return f"{left} NOT{whole.removeprefix(left)}"


class _DataFusionGenerator(Generator):
    TRANSFORMS = {  # noqa: RUF012
        **Generator.TRANSFORMS,
        exp.RegexpLike: _regexp,
        exp.RegexpILike: _regexp_any_case,
        exp.NullSafeEQ: _distinct,
        exp.NullSafeNEQ: _distinct,
        exp.Array: _array,
        exp.Not: _not,
    }


class DataFusion(Dialect):
    """The dialect of match_sql."""

    NULL_ORDERING = "nulls_are_large"

    Tokenizer = _DataFusionTokenizer
    Parser = _DataFusionParser
    Generator = _DataFusionGenerator


def sql_error(
    code: Code, message: str, text: str = "", at: exp.Expr | Token | int | None = None
) -> KallaError:
    """Make an error that says where in `text` it is: details "line" and "column", 1-based."""
    offset = at if isinstance(at, int) or at is None else _offset(at)
    if offset is None:
        return KallaError(code, message)
    before = text[:offset]
    line = before.count("\n") + 1
    column = offset - (before.rfind("\n") + 1) + 1
    return KallaError(code, message, line=str(line), column=str(column))


def _offset(at: exp.Expr | Token) -> int | None:
    if isinstance(at, Token):
        return at.start
    starts = [node.meta["start"] for node in at.walk() if "start" in node.meta]
    if starts:
        return min(starts)
    return _offset(at.parent) if isinstance(at.parent, exp.Expr) else None


_OPERATIONS: Final = (exp.Binary, exp.Unary, exp.Between, exp.In, exp.AtTimeZone)
_NO_OPERATIONS: Final = (exp.Paren, exp.Escape, exp.Alias, exp.Slice)


def bracket(tree: exp.Expr) -> None:
    """Put brackets around every operation within another one, in place: any parser then reads it alike."""
    for node in list(tree.walk()):
        parent = node.parent
        if parent is None or not _is_operation(node) or is_infix(parent):
            continue
        if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
            continue  # always written in brackets
        if node.arg_key == "this" and _in_one_chain(node, parent):
            continue
        if _is_operation(parent) or isinstance(parent, exp.Bracket | exp.Escape):
            paren = exp.Paren()
            node.replace(paren)
            paren.set("this", node)


def _in_one_chain(node: exp.Expr, parent: exp.Expr) -> bool:
    """Whether brackets around the left operand would say nothing, as in a AND b AND c or a - b + c."""
    if isinstance(node, exp.Binary) and type(node) is type(parent):
        return True
    return isinstance(node, exp.Add | exp.Sub) and isinstance(parent, exp.Add | exp.Sub)


def _is_operation(node: exp.Expr) -> bool:
    return isinstance(node, _OPERATIONS) and not isinstance(node, _NO_OPERATIONS)


def tokens_of(text: str) -> list[Token]:
    """Split `text`; raises INVALID_SQL for an unended string, and for more than the bounds allow."""
    if len(text) > MAX_CHARACTERS:
        raise KallaError(Code.INVALID_SQL, f"match_sql is longer than {MAX_CHARACTERS:,} characters.")
    tokens = split(text)
    _check_bounds(tokens, text)
    return tokens


def split(text: str) -> list[Token]:
    """Split text of any length; raises INVALID_SQL for an unended string or comment."""
    try:
        return DataFusion().tokenize(text)
    except TokenError:
        raise KallaError(
            Code.INVALID_SQL, "match_sql cannot be read: a quote or a comment is not closed."
        ) from None


def _check_bounds(tokens: Sequence[Token], text: str) -> None:
    if len(tokens) > MAX_TOKENS:
        raise KallaError(Code.INVALID_SQL, f"match_sql has more than {MAX_TOKENS:,} words.")
    depth = 0
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE):
            depth += 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END):
            depth -= 1
        if depth > MAX_NESTING:
            raise sql_error(
                Code.INVALID_SQL,
                f"match_sql is nested more than {MAX_NESTING} levels deep; use WITH to name its parts.",
                text,
                token,
            )


def parse(text: str) -> list[exp.Expr]:
    """Parse all statements of `text`; raises INVALID_SQL with the position."""
    tokens = tokens_of(text)
    try:
        parsed = DataFusion().parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text)
    except ParseError as error:
        raise _parse_error(error) from None
    except RecursionError:
        raise _too_deep() from None
    statements = [s for s in parsed if isinstance(s, exp.Expr) and not isinstance(s, exp.Semicolon)]
    for statement in statements:
        _check_depth(statement)
    return statements


def _parse_error(error: ParseError) -> KallaError:
    first = error.errors[0] if error.errors else {}
    found = str(first.get("highlight") or "").strip()
    line, column = first.get("line"), first.get("col")
    what = f"near {found!r}" if found else "at its end"
    # The parser counts a token's column at its end.
    start = max(1, int(column) - max(0, len(found) - 1)) if column else 1
    return KallaError(
        Code.INVALID_SQL,
        f"match_sql cannot be understood {what} (line {line or 1}, column {start}){_instead(first)}.",
        line=str(line or 1),
        column=str(start),
    )


def _instead(error: Mapping[str, object]) -> str:
    before = str(error.get("start_context") or "")
    return ": write LIMIT at the end in place of TOP" if _TOP.search(before) else ""


_TOP: Final = re.compile(r"\bTOP\s*\(?\s*$", re.IGNORECASE)


def _check_depth(root: exp.Expr) -> None:
    level: list[exp.Expr] = [root]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = [child for node in level for child in _inner(node)]


def _too_deep() -> KallaError:
    return KallaError(
        Code.INVALID_SQL,
        f"match_sql is nested more than {MAX_DEPTH} levels deep; shorten its longest expression, for example "
        "with IN (...).",
    )


def _inner(node: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes within one; a chain of AND or of OR is one level, as it is planned as one."""
    if not isinstance(node, exp.And | exp.Or):
        yield from node.iter_expressions()
        return
    stack: list[exp.Expr] = [node]
    while stack:
        inner = stack.pop()
        if type(inner) is type(node):
            stack += inner.iter_expressions()
        else:
            yield inner


def render(node: exp.Expr) -> str:
    """Write `node` as SQL for the engine; raises INVALID_SQL for what it does not have."""
    try:
        return node.sql(
            dialect=DataFusion,
            copy=False,
            comments=False,
            normalize_functions="lower",
            unsupported_level=ErrorLevel.RAISE,
        )
    except UnsupportedError as error:
        raise KallaError(Code.INVALID_SQL, f"match_sql uses something unavailable: {error}.") from None


def expression(sql: str) -> exp.Expr:
    """Parse SQL that Kalla itself composed from rendered parts."""
    parsed = exp.maybe_parse(sql, dialect=DataFusion)
    assert isinstance(parsed, exp.Expr)  # noqa: S101  # our own text
    return parsed


def quoted(name: str) -> str:
    """Write a name as a quoted identifier, also when registering tables with the engine."""
    return '"' + name.replace('"', '""') + '"'


def bare(node: exp.Expr) -> exp.Expr:
    """The node without brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def literal_text(node: exp.Expr) -> str | None:
    """The text of a numeric literal with its sign, or None for anything else."""
    node = bare(node)
    if isinstance(node, exp.Neg):
        inner = literal_text(node.this)
        return None if inner is None else inner.removeprefix("-") if inner.startswith("-") else f"-{inner}"
    return node.name if isinstance(node, exp.Literal) and not node.is_string else None


def wrap(node: exp.Expr, template: str) -> exp.Expr:
    """Put `node` into the place {} of a piece of SQL, if it has one, and that into the place of `node`."""
    hole = "__kalla_hole"
    around = expression(template.format(hole))
    node.replace(around)
    # No further than the hole: what is in it may be long, and is often wrapped again.
    place = next((column for column in around.find_all(exp.Column) if column.name == hole), None)
    if place is not None:
        place.replace(node)
    return around


def plain_number(literal: str) -> str:
    """Write a numeric literal without an exponent, exactly.

    Raises:
        KallaError: INVALID_SQL where it has more digits than any exact type (76).
    """
    try:
        value = Decimal(literal)
    except InvalidOperation:
        raise KallaError(Code.INVALID_SQL, f"{literal} is not a number.") from None
    text = format(value, "f") if value.is_finite() and abs(value.adjusted()) <= 100 else ""  # noqa: PLR2004
    digits = text.replace(".", "").replace("-", "").lstrip("0")
    scale = len(text.partition(".")[2])
    if not text or len(digits) > 76 or scale > 76:  # noqa: PLR2004
        raise KallaError(Code.INVALID_SQL, f"The number {literal} has more than 76 digits.")
    return text
