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
from tests.differential.terms import ADD, ATOM, OR, SIGN, TEXT, Term, Type, decimal, integer

if TYPE_CHECKING:
    from tests.differential.expressions import Expressions

Maker = Callable[["Expressions", Family, int, Sequence[Term]], Term | None]


def argument(
    draw: Expressions, entry: Entry, family: Family, depth: int, before: Sequence[Term]
) -> Term | None:
    """Draw the argument of a call that comes after those `before` it, of a family."""
    position = len(before)
    maker = _MAKERS.get((entry.name, position)) or _MAKERS.get((entry.name, -1))
    return maker(draw, family, depth, before) if maker else draw.draw(family, depth)


def made(entry: Entry, position: int) -> bool:
    """Return whether an argument has a line here, also if it must be a literal."""
    return (entry.name, position) in _MAKERS


def literal_argument(rng: Random, entry: Entry, position: int, parameter: Parameter) -> Term:
    """Draw an argument that must be a literal."""
    values = _LITERALS.get((entry.name, position)) or _LITERALS[parameter.name]
    value = rng.choice(values)
    if Family.INTERVAL in parameter.families:
        text = f"INTERVAL '{value}'"
        return Term(Expr(text, text), Type(Family.INTERVAL))
    if isinstance(value, int):
        level = SIGN if value < 0 else ATOM
        return Term(Expr(str(value), str(value)), integer(len(str(abs(value)))), level)
    text = literal(value)
    bare = entry.name in _BARE_UNITS and parameter.name == "unit"
    return Term(Expr(value if bare else text, text), TEXT)


_BARE_UNITS: Final = frozenset({"extract", "datediff", "dateadd"})
"""Functions whose unit is a word and no text."""
_DAY_UNITS: Final = ("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "isoyear")
_PATTERNS: Final = (
    *("^INV", "[0-9]+", "a|b", "^.$", "x", "[A-Z]{3}-[0-9]", "(INV|PAY)[- ]([0-9]+)", "-", " +$", "."),
)
_LITERALS: Final[dict[str | tuple[str, int], tuple[int | str, ...]]] = {
    "digits": (-3, -2, -1, 0, 0, 1, 1, 2, 2, 3, 4, 6),
    "times": (0, 1, 2, 3),
    "pattern": _PATTERNS,
    "flags": ("i",),
    "unit": _DAY_UNITS,
    "zone": ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"),
    "form": ("NFC", "NFD", "NFKC", "NFKD"),
    "delimiter": ("-", ",", " ", "a", "; "),
    "count": (1, 2, 3),
    # DuckDB takes 30 days for a month where it computes both.
    "interval": ("1 day", "7 days", "1 month", "1 year", "29 days"),
    ("regexp_replace", 3): ("g",),
    # With groups in it, databases differ in what they give.
    ("regexp_substr", 1): ("^INV", "[0-9]+", "a|b", "^.$", "[A-Z]{3}-[0-9]", "(?:INV|PAY)[- ][0-9]+"),
    ("encode", 1): ("hex",),
    ("timezone", 0): ("UTC", "Europe/Berlin", "America/New_York"),
    ("date_trunc", 0): ("year", "quarter", "month", "week", "day"),
    ("datediff", 0): ("day", "month", "quarter", "year"),
    ("dateadd", 0): ("day", "week", "month", "quarter", "year"),
    ("dateadd", 1): (-13, -1, 0, 1, 3, 30),
}

_SMALL_RESULTS: Final = frozenset(
    {
        *(
            "length",
            "octet_length",
            "strpos",
            "regexp_count",
            "array_length",
            "array_position",
            "ascii",
            "sign",
        ),
        *("date_part", "extract", "year", "quarter", "month", "day", "hour", "minute", "second", "datediff"),
        *("count", "row_number", "rank", "dense_rank", "ntile", "levenshtein", "position", "grouping"),
    }
)


def result_digits(name: str, arguments: Sequence[Type]) -> int:
    """Return how many digits a function's integer has at most."""
    if name in _SMALL_RESULTS:
        return 8
    more = {"sum": 3, "lcm": 8}.get(name, 1)
    return min(19, max((t.digits for t in arguments), default=18) + more)


def _number(value: int) -> Term:
    return Term(Expr(str(value), str(value)), integer(len(str(abs(value)))), SIGN if value < 0 else ATOM)


def _small(*values: int) -> Maker:
    """Draw one of a few integers, mostly; at times a column whose values are as small and not negative."""

    def make(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
        del family, depth, before
        if min(values) >= 0 or draw.rng.random() < 0.7:
            return _number(draw.rng.choice(values))
        text = draw.column(lambda t: t.family is Family.TEXT)
        if text is None:
            return _number(draw.rng.choice(values))
        return draw.combined("length({0})", [text], OR, integer(4), uses=("length",))

    return make


def _texts(*values: str) -> Maker:
    def make(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
        del family, depth, before
        text = literal(draw.rng.choice(values))
        return Term(Expr(text, text), TEXT)

    return make


def _bounded(digits: int) -> Maker:
    """Draw a number of at most so many digits, or a small literal."""

    def make(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
        del before
        for _ in range(3):
            term = draw.draw(family, depth)
            if family is Family.FLOAT or term.type.digits <= digits:
                return term
        return _number(draw.rng.choice([0, 1, 2, 3])) if family is Family.INTEGER else _half()

    return make


def _half() -> Term:
    return Term(Expr("0.5", "0.5"), decimal(0, 1))


def _inside(template: str, digits: int) -> Maker:
    """Draw a bounded number and bring it to where the function is defined."""

    def make(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
        term = _bounded(digits)(draw, family, depth, before)
        assert term is not None
        if family is Family.FLOAT and term.type.bits == 32:
            return None
        return draw.combined(template, [term], ADD, term.type, uses=("abs",))

    return make


def _literal(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    del depth
    # DATE '...' and its like are casts, also to Kalla.
    plain = family in (Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.BOOLEAN)
    value = draw.constant(family)
    return value if plain and before[0].type.united(value.type) else None


def _divisor(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    del depth, before
    value = draw.constant(family)
    return draw.combined("nullif({0}, 0)", [value], OR, value.type, uses=("nullif",))


def _shown(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    """Draw what is made a text: of computed decimals the scale would show, which nobody promises."""
    del before
    if family is Family.DECIMAL:
        return draw.column(lambda t: t.family is family and t.whole > 0)
    if family is Family.BOOLEAN and draw.postgres:
        return None
    return draw.draw(family, depth)


def _text_of(source: Family) -> Maker:
    """Draw a text that says a date in ISO form."""

    def make(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
        del family, before
        value = draw.draw(source, min(depth, 1))
        return draw.combined("CAST({0} AS VARCHAR)", [value], OR, TEXT)

    return make


def _moment(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    """Draw what has a time of day."""
    del before
    return draw.draw(Family.TIMESTAMP if family is Family.DATE else family, depth)


def _item(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    """Draw a value of the type that the list before it holds."""
    del family
    element = before[0].type.element
    if element is None:
        return None
    item = draw.draw(element.family, min(depth, 1))
    return item if item.type.alike(element) and item.type.scale <= element.scale else draw.leaf_of(element)


def _same_list(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    del family, depth
    other = draw.draw(Family.LIST, 1)
    return other if other.type.element == before[0].type.element else before[0]


def _texts_list(draw: Expressions, family: Family, depth: int, before: Sequence[Term]) -> Term | None:
    del family, before
    for _ in range(4):
        drawn = draw.draw(Family.LIST, depth)
        if drawn.type.element is not None and drawn.type.element.family is Family.TEXT:
            return drawn
    return None


_ITEMS: Final = ("array_has", "array_position", "array_append", "array_remove_all")
_PAIRS: Final = ("array_has_all", "array_has_any", "array_concat")
_MAKERS: Final[dict[tuple[str, int], Maker]] = {
    ("substr", 1): _small(-2, 0, 1, 1, 2, 3, 5),
    ("substr", 2): _small(0, 1, 2, 3, 10),
    ("left", 1): _small(-2, 0, 1, 2, 3, 50),
    ("right", 1): _small(-2, 0, 1, 2, 3, 50),
    ("lpad", 1): _small(0, 1, 3, 6, 12),
    ("rpad", 1): _small(0, 1, 3, 6, 12),
    ("lpad", 2): _texts("0", "*", "ab", "é"),
    ("rpad", 2): _texts("0", "*", "ab", "é"),
    ("overlay", 2): _small(1, 2, 3),
    ("overlay", 3): _small(0, 1, 2),
    ("split_part", 1): _texts("-", ",", " ", "a", "N"),
    ("split_part", 2): _small(-2, -1, 1, 2, 3),
    ("translate", 1): _texts("ab", "INV", "-é"),
    ("translate", 2): _texts("xy", "x", "", "123"),
    ("replace", 1): _texts("a", "INV", "-", "é", " "),
    ("btrim", 1): _texts(" ", "a", "IV", "0"),
    ("ltrim", 1): _texts(" ", "a", "IV", "0"),
    ("rtrim", 1): _texts(" ", "a", "IV", "0"),
    ("regexp_like", 1): _texts(*_PATTERNS),
    ("regexp_count", 1): _texts(*_PATTERNS),
    ("regexp_replace", 1): _texts(*_PATTERNS),
    ("~*", 1): _texts(*_PATTERNS),
    ("regexp_replace", 2): _texts("", "#", "<x>"),
    ("chr", 0): _small(65, 97, 233, 1046, 128578),
    ("concat", -1): _shown,
    ("concat_ws", 0): _texts("-", ", ", ""),
    ("concat_ws", -1): _shown,
    ("abs", 0): _bounded(18),
    ("gcd", 0): _bounded(9),
    ("gcd", 1): _bounded(9),
    ("lcm", 0): _bounded(8),
    ("lcm", 1): _bounded(8),
    ("mod", 1): _divisor,
    ("sqrt", 0): _inside("abs({0})", 12),
    ("ln", 0): _inside("abs({0}) + 1", 10),
    ("log10", 0): _inside("abs({0}) + 1", 10),
    ("exp", 0): _bounded(1),
    ("power", 0): _bounded(2),
    ("power", 1): _small(0, 1, 2, 3),
    ("make_date", 0): _small(1999, 2000, 2023, 2024),
    ("make_date", 1): _small(1, 2, 12),
    ("make_date", 2): _small(1, 28),
    ("to_date", 0): _text_of(Family.DATE),
    ("to_timestamp", 0): _text_of(Family.DATE),
    ("hour", 0): _moment,
    ("minute", 0): _moment,
    ("second", 0): _moment,
    ("from_unixtime", 0): _bounded(9),
    ("encode", 0): lambda draw, family, depth, _before: (
        None if family is Family.BINARY else draw.draw(family, depth)
    ),
    ("array_to_string", 0): _texts_list,
    ("array_to_string", 1): _texts(",", "-", ""),
    ("lag", 2): _literal,
    ("lead", 2): _literal,
    ("array_element", 1): _small(-1, 1, 2, 4),
    **{(name, 1): _item for name in _ITEMS},
    **{(name, 1): _same_list for name in _PAIRS},
}
