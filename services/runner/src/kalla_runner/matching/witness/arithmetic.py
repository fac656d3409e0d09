"""Arithmetic and tolerance_match in DuckDB's SQL: exact, or DuckDB fails on the row where it would not be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Final

from sqlglot import exp

from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.witness.typed import (
    DATE,
    MAX_DIGITS,
    Type,
    Typed,
    as_type,
    combined,
    common_decimal,
    not_possible,
    number,
    united,
)

_INT64_DECIMAL: Final = 18
"""DuckDB keeps a product of decimals in 64 bits, and fails, if both factors have at most so many digits."""
_QUOTIENT_SCALE: Final = 4
"""Digits that a quotient has for certain beyond those of the number that is divided."""
_FLOAT_WHOLE: Final = 16
_FLOAT_SCALE: Final = 17
"""Digits of a float that are looked at before and after the point."""
_DAYS: Final = (Family.DATE, Family.TIMESTAMP, Family.ZONED)


def arithmetic(node: exp.Expr, left: Typed, right: Typed) -> Typed:
    """Left + right, left - right, left * right, left / right or left % right."""
    if left.type.is_exact and right.type.is_exact:
        return _OF_NUMBERS[type(node)](left, right)
    if left.family in _DAYS or right.family in _DAYS:
        return _of_days(node, left, right)
    if None in (left.family, right.family):
        not_possible("an operator has NULL as one of its operands")
    return not_possible(
        "binary fractions are added or multiplied, which the two engines may round differently"
    )


def negative(value: Typed) -> Typed:
    """-value."""
    if value.literal is not None:
        literal = value.literal
        return number(literal.removeprefix("-") if literal.startswith("-") else f"-{literal}")
    if value.family is Family.INTEGER:
        long = Type(Family.INTEGER, MAX_DIGITS)
        return combined(f"(-{as_type(value, long).sql})", long, [value])
    if value.family in (Family.DECIMAL, Family.FLOAT):
        return combined(f"(-{value.sql})", value.type, [value])
    return not_possible("the sign of something that is no number is changed")


def tolerance(a: Typed, b: Typed, threshold: Typed) -> Typed:
    """Whether two numbers are within a threshold of each other, as a range that DuckDB can join by."""
    a, b, threshold = (_shortest(value) for value in (a, b, threshold))
    if not all(value.type.is_exact for value in (a, b, threshold)):
        not_possible("tolerance_match compares something that is no number")
    types = [value.type for value in (a, b, threshold)]
    common = common_decimal(types, "tolerance_match")
    # One digit more holds the sums.
    wide = Type(Family.DECIMAL, min(common.whole + 1, MAX_DIGITS - common.scale), common.scale)
    x, y, t = (as_type(value, wide).sql for value in (a, b, threshold))
    return combined(f"({x} >= {y} - {t} AND {x} <= {y} + {t})", Type(Family.BOOLEAN), [a, b, threshold])


def _shortest(value: Typed) -> Typed:
    """A float at its shortest decimal form; one with an exponent, or with more digits, makes DuckDB fail."""
    if value.family is not Family.FLOAT:
        return value
    data_type = Type(Family.DECIMAL, _FLOAT_WHOLE, _FLOAT_SCALE)
    form = rf"^-?[0-9]{{1,{_FLOAT_WHOLE}}}(\.[0-9]{{1,{_FLOAT_SCALE}}})?\z"
    sql = f"CAST(regexp_extract(CAST({value.sql} AS VARCHAR), '{form}') AS {data_type.sql()})"
    return combined(sql, data_type, [value])


def _added(left: Typed, right: Typed, sign: str) -> Typed:
    if left.family is right.family is Family.INTEGER:
        return _of_integers(left, right, sign, max(left.type.whole, right.type.whole) + 1)
    (x, y), common = united([left, right], "a sum")
    data_type = Type(Family.DECIMAL, min(common.whole + 1, MAX_DIGITS - common.scale), common.scale)
    return combined(f"({x.sql} {sign} {y.sql})", data_type, [left, right])


def _of_integers(left: Typed, right: Typed, sign: str, whole: int) -> Typed:
    sql = f"(CAST({left.sql} AS HUGEINT) {sign} CAST({right.sql} AS HUGEINT))"
    # At least 20 digits, so that the type says that DuckDB holds it in 128 bits.
    return combined(sql, Type(Family.INTEGER, min(max(whole, 20), MAX_DIGITS)), [left, right])


def _product(left: Typed, right: Typed) -> Typed:
    if left.family is right.family is Family.INTEGER:
        return _of_integers(left, right, "*", left.type.whole + right.type.whole)
    x, y = _decimal(left), _decimal(right)
    scale = x.type.scale + y.type.scale
    if scale > MAX_DIGITS:
        not_possible(f"a product has more than {MAX_DIGITS} digits after the point")
    digits = [value.type.whole + value.type.scale for value in (x, y)]
    if sum(digits) > _INT64_DECIMAL:
        x = as_type(x, Type(Family.DECIMAL, MAX_DIGITS - x.type.scale, x.type.scale))
        data_type = Type(Family.DECIMAL, MAX_DIGITS - scale, scale)
    else:
        data_type = Type(Family.DECIMAL, sum(digits) - scale, scale)
    return combined(f"({x.sql} * {y.sql})", data_type, [left, right])


def _decimal(value: Typed) -> Typed:
    whole = min(value.type.whole, MAX_DIGITS)
    return value if value.family is Family.DECIMAL else as_type(value, Type(Family.DECIMAL, whole, 0))


def _quotient(left: Typed, right: Typed) -> Typed:
    reciprocal = None if right.literal is None else _reciprocal(right.literal)
    if reciprocal is None:
        not_possible("a quotient may be rounded, and the two engines round it at different digits")
    return _product(left, number(reciprocal))


def _reciprocal(literal: str) -> str | None:
    """One by a number where that ends within a few digits, so that dividing rounds nothing."""
    divisor = Decimal(literal)
    if not divisor:
        return None
    inverse = 1 / divisor
    if inverse * divisor != 1 or -int(inverse.as_tuple().exponent) > _QUOTIENT_SCALE:
        return None
    return f"{inverse:f}"


def _remainder(left: Typed, right: Typed) -> Typed:
    if left.family is right.family is Family.INTEGER:
        return _of_integers(left, right, "%", max(left.type.whole, right.type.whole))
    (x, y), common = united([left, right], "a remainder")
    return combined(f"({x.sql} % {y.sql})", common, [left, right])


_OF_NUMBERS: Final[dict[type[exp.Expr], Callable[[Typed, Typed], Typed]]] = {
    exp.Add: partial(_added, sign="+"),
    exp.Sub: partial(_added, sign="-"),
    exp.Mul: _product,
    exp.Div: _quotient,
    exp.Mod: _remainder,
}


def _of_days(node: exp.Expr, left: Typed, right: Typed) -> Typed:
    sign = "+" if isinstance(node, exp.Add) else "-" if isinstance(node, exp.Sub) else None
    if sign == "+" and left.family not in _DAYS:
        left, right = right, left
    match (left.family, right.family):
        case (Family.DATE, Family.INTEGER) if sign is not None:
            return combined(f"({left.sql} {sign} CAST({right.sql} AS INTEGER))", DATE, [left])
        case (Family.DATE, Family.DATE) if sign == "-":
            return combined(f"({left.sql} - {right.sql})", Type(Family.INTEGER, 19), [left, right])
        case (Family.DATE, Family.INTERVAL) if sign is not None and right.type.whole:
            return combined(f"CAST({left.sql} {sign} {right.sql} AS DATE)", DATE, [left])
        case (Family.TIMESTAMP | Family.ZONED, Family.INTERVAL) if sign is not None:
            return combined(f"({left.sql} {sign} {right.sql})", left.type, [left])
        case _:
            return not_possible(
                "dates or timestamps are reckoned with in a way that the two engines differ in"
            )


_UNITS: Final = {
    **dict.fromkeys(("YEAR", "YEARS"), ("YEAR", True)),
    **dict.fromkeys(("MONTH", "MONTHS", "MON", "MONS"), ("MONTH", True)),
    **dict.fromkeys(("WEEK", "WEEKS"), ("WEEK", True)),
    **dict.fromkeys(("DAY", "DAYS"), ("DAY", True)),
    **dict.fromkeys(("HOUR", "HOURS"), ("HOUR", False)),
    **dict.fromkeys(("MINUTE", "MINUTES"), ("MINUTE", False)),
    **dict.fromkeys(("SECOND", "SECONDS"), ("SECOND", False)),
}


def interval(node: exp.Interval) -> Typed:
    """An interval of one unit and a whole number; `type.whole` says that it is of whole days."""
    value = node.this
    text = value.name if isinstance(value, exp.Literal) else ""
    unit = node.args.get("unit")
    count, _, written = text.strip().partition(" ")
    name = unit.name if isinstance(unit, exp.Var) else written.strip()
    known = _UNITS.get(name.upper())
    if known is None or (unit is not None and written) or not count.lstrip("-").isdecimal():
        not_possible("an interval is not a whole number of one unit")
    return Typed(f"INTERVAL ({count}) {known[0]}", Type(Family.INTERVAL, whole=int(known[1])))
