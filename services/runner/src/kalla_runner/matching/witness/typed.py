"""Expressions in DuckDB's SQL with their exact types, and the one type in which several of them meet."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn

import pyarrow as pa
from sqlglot import exp

from kalla_runner.connectors.type_names import is_text
from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.sql.marks import shown

MAX_DIGITS: Final = 38
"""Digits of DuckDB's widest decimal."""
LONG_DIGITS: Final = 19
"""Digits of a 64-bit integer."""
SINGLE: Final = 24
"""Binary digits of a float of 32 bits."""

Column = tuple[int, int]
"""A source column: the number of its table and its place in the table's schema."""


class NotPossibleError(Exception):
    """The other engine's answer would not be certain; the message says why, as part of a sentence."""


def not_possible(reason: str) -> NoReturn:
    """Give up, for a reason that people understand."""
    raise NotPossibleError(reason)


def only(node: exp.Expr, known: Collection[str]) -> None:
    """Give up where a node has a part that is not translated."""
    for name, value in node.args.items():
        if value and name not in known:
            part = name.strip("_").replace("_", " ").upper()
            not_possible(f"there is no certain translation of {part} in {shown(node)}")


@dataclass(frozen=True, slots=True)
class Type:
    """What an expression is.

    Attributes:
        family: None for NULL alone.
        whole: of an integer or a decimal, how many digits before the point hold every value; of a float of
            32 bits SINGLE, else 0.
        scale: of a decimal, its digits after the point.
        element: of a list, the type of its elements.
    """

    family: Family | None
    whole: int = 0
    scale: int = 0
    element: Type | None = None

    @property
    def is_exact(self) -> bool:
        """Whether it is a number without rounding."""
        return self.family in (Family.INTEGER, Family.DECIMAL)

    @property
    def is_long(self) -> bool:
        """Whether DuckDB holds this integer in 128 bits."""
        return self.family is Family.INTEGER and self.whole > LONG_DIGITS

    def sql(self) -> str:
        """The type's name in DuckDB; moments with a zone are kept as moments in UTC."""
        match self.family:
            case Family.INTEGER:
                return "HUGEINT" if self.is_long else "BIGINT"
            case Family.DECIMAL:
                return f"DECIMAL({max(self.whole + self.scale, 1)},{self.scale})"
            case Family.FLOAT:
                return "FLOAT" if self.whole == SINGLE else "DOUBLE"
            case Family.ZONED:
                return "TIMESTAMP"
            case Family.LIST if self.element is not None:
                return f"{self.element.sql()}[]"
            case None:
                return "INTEGER"
            case _:
                return _NAMES[self.family]


_NAMES: Final = {
    Family.TEXT: "VARCHAR",
    Family.BOOLEAN: "BOOLEAN",
    Family.DATE: "DATE",
    Family.TIMESTAMP: "TIMESTAMP",
    Family.INTERVAL: "INTERVAL",
    Family.BINARY: "BLOB",
}

BOOLEAN: Final = Type(Family.BOOLEAN)
TEXT: Final = Type(Family.TEXT)
DATE: Final = Type(Family.DATE)
NULL: Final = Type(None)


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression.

    Attributes:
        sql: its text, ready to be an operand.
        type: what it is.
        literal: the text of a numeric literal.
        texts: the source columns whose characters its value may hold.
    """

    sql: str
    type: Type
    literal: str | None = None
    texts: frozenset[Column] = frozenset()

    @property
    def family(self) -> Family | None:
        """The family of its type."""
        return self.type.family


def combined(sql: str, data_type: Type, parts: Sequence[Typed]) -> Typed:
    """An expression made of others."""
    texts = frozenset[Column]().union(*(part.texts for part in parts))
    return Typed(sql, data_type, texts=texts)


def quoted_text(text: str) -> str:
    """A text literal."""
    if "\0" in text:
        not_possible("a text in match_sql holds the character NUL")
    return "'" + text.replace("'", "''") + "'"


def number(literal: str) -> Typed:
    """A numeric literal, an integer or a decimal of just its digits."""
    digits = literal.removeprefix("-")
    whole, point, fraction = digits.partition(".")
    whole = whole.lstrip("0")
    if len(whole) + len(fraction) > MAX_DIGITS:
        not_possible(f"the number {literal} has more than {MAX_DIGITS} digits")
    if not point:
        return Typed(f"({literal})", Type(Family.INTEGER, max(len(whole), 1)), literal)
    data_type = Type(Family.DECIMAL, len(whole), len(fraction))
    return Typed(f"CAST('{literal}' AS {data_type.sql()})", data_type, literal)


def as_type(value: Typed, data_type: Type) -> Typed:
    """The value in a type that holds it, or DuckDB fails on the row that it does not hold."""
    if value.type == data_type:
        return value
    if value.literal is not None and data_type.family is Family.DECIMAL:
        sql = f"CAST('{value.literal}' AS {data_type.sql()})"
    else:
        sql = f"CAST({value.sql} AS {data_type.sql()})"
    return replace(value, sql=sql, type=data_type)


def united(values: Sequence[Typed], what: str) -> tuple[list[Typed], Type]:
    """The values in the one type that holds them all.

    Args:
        values: one or more.
        what: what is done with them, for the reason where there is no such type.
    """
    families = {value.family for value in values} - {None}
    known = [value.type for value in values if value.family is not None]
    if not known:
        return list(values), NULL
    if families == {Family.INTEGER}:
        return list(values), Type(Family.INTEGER, max(t.whole for t in known))
    if families <= {Family.INTEGER, Family.DECIMAL}:
        common = common_decimal(known, what)
        return [value if value.family is None else as_type(value, common) for value in values], common
    if families == {Family.DATE, Family.TIMESTAMP}:
        moment = Type(Family.TIMESTAMP)
        return [value if value.family is None else as_type(value, moment) for value in values], moment
    if len(families) > 1:
        names = " and ".join(sorted(str(family) for family in families))
        not_possible(f"{what} meets {names}, which the two engines may convert differently")
    if families == {Family.FLOAT} and len({*known}) > 1:
        double = Type(Family.FLOAT)
        return [value if value.family is None else as_type(value, double) for value in values], double
    if len({*known}) > 1:
        not_possible(f"{what} meets lists of two types")
    return list(values), known[0]


def common_decimal(types: Sequence[Type], what: str) -> Type:
    """The decimal that holds every value of exact numbers, as far as MAX_DIGITS do."""
    scale = max(t.scale for t in types)
    whole = max(t.whole for t in types)
    if scale > MAX_DIGITS:
        not_possible(f"{what} needs more than {MAX_DIGITS} digits")
    return Type(Family.DECIMAL, min(whole, MAX_DIGITS - scale), scale)


def type_of_column(data_type: pa.DataType) -> tuple[Type, pa.DataType] | None:
    """What a source column is, and the Arrow type in which DuckDB gets it; None where it has no exact one.

    A column of more digits than DuckDB has is taken with those that it has: a value that needs more is
    found when the rows are brought.
    """
    types = pa.types
    if is_text(data_type):
        return TEXT, pa.string()
    if types.is_integer(data_type):
        return Type(
            Family.INTEGER, _DIGITS[data_type.bit_width, types.is_unsigned_integer(data_type)]
        ), data_type
    if types.is_decimal(data_type) and 0 <= data_type.scale <= min(data_type.precision, MAX_DIGITS):
        precision = min(data_type.precision, MAX_DIGITS)
        exact = pa.decimal128(precision, data_type.scale)
        return Type(Family.DECIMAL, precision - data_type.scale, data_type.scale), exact
    if types.is_float32(data_type) or types.is_float64(data_type):
        return Type(Family.FLOAT, SINGLE if types.is_float32(data_type) else 0), data_type
    if types.is_timestamp(data_type):
        return Type(Family.ZONED if data_type.tz else Family.TIMESTAMP), pa.timestamp("us", data_type.tz)
    simple = (
        (types.is_boolean, BOOLEAN, pa.bool_()),
        (types.is_date, DATE, pa.date32()),
        (types.is_binary, Type(Family.BINARY), pa.binary()),
    )
    return next(((exact, arrow) for test, exact, arrow in simple if test(data_type)), None)


_DIGITS: Final = {
    (8, False): 3,
    (8, True): 3,
    (16, False): 5,
    (16, True): 5,
    (32, False): 10,
    (32, True): 10,
    (64, False): 19,
    # Beyond 19 digits DuckDB holds it in 128 bits, so that it is added up as such.
    (64, True): 20,
}

_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_INTEGERS: Final = {
    "TINYINT": 3,
    "UTINYINT": 3,
    "SMALLINT": 5,
    "USMALLINT": 5,
    "INTEGER": 10,
    "UINTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
    "HUGEINT": 38,
}
_FAMILIES: Final = {name: family for family, name in _NAMES.items()}
_FLOATS: Final = {"FLOAT": SINGLE, "DOUBLE": 0}


def type_named(name: str) -> Type | None:
    """The type that DuckDB calls so; None for one that is not used here."""
    if name in _INTEGERS:
        return Type(Family.INTEGER, _INTEGERS[name])
    if name in _FLOATS:
        return Type(Family.FLOAT, _FLOATS[name])
    decimal = _DECIMAL.fullmatch(name)
    if decimal is not None:
        precision, scale = int(decimal[1]), int(decimal[2])
        return Type(Family.DECIMAL, precision - scale, scale)
    if name.endswith("[]"):
        element = type_named(name.removesuffix("[]"))
        return None if element is None else Type(Family.LIST, element=element)
    return Type(_FAMILIES[name]) if name in _FAMILIES else None
