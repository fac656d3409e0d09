"""CAST in DuckDB's SQL, where both engines certainly read and write a value alike."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from sqlglot import exp

from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.witness.typed import (
    BOOLEAN,
    DATE,
    MAX_DIGITS,
    TEXT,
    Type,
    Typed,
    as_type,
    combined,
    not_possible,
)

_T: Final = exp.DataType.Type

_INTEGERS: Final = {
    _T.TINYINT: "TINYINT",
    _T.SMALLINT: "SMALLINT",
    _T.INT: "INTEGER",
    _T.BIGINT: "BIGINT",
    _T.UTINYINT: "UTINYINT",
    _T.USMALLINT: "USMALLINT",
    _T.UINT: "UINTEGER",
    _T.UBIGINT: "UBIGINT",
}
_DIGITS: Final = {"TINYINT": 3, "UTINYINT": 3, "SMALLINT": 5, "USMALLINT": 5, "INTEGER": 10, "UINTEGER": 10}
_TEXTS: Final = (_T.TEXT, _T.VARCHAR)

_FRACTION: Final = r"(\.[0-9]{1,6})?"
_INTEGER_TEXT: Final = r"^-?[0-9]{1,19}\z"
_DATE_TEXT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
_MOMENT_TEXT: Final = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{_FRACTION}\z"
_ZONED_TEXT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_BOOLEAN_TEXT: Final = r"^(true|false)\z"


def cast(value: Typed, to: exp.DataType, *, trying: bool) -> Typed:
    """CAST(value AS to), or TRY_CAST.

    A text is read only in the one form that both engines know; any other makes DuckDB fail.
    """
    moment = _literal_moment(value, to)
    if moment is not None:
        return moment
    name, target = _target(to)
    if value.family is None:
        return Typed(f"CAST(NULL AS {name})", target)
    if value.family is Family.TEXT:
        return _from_text(value, name, target, trying=trying)
    if trying and value.family is not target.family:
        not_possible("TRY_CAST converts something that is no text")
    return _converted(value, name, target)


def _converted(value: Typed, name: str, target: Type) -> Typed:
    match (value.family, target.family):
        case (Family.INTEGER, Family.INTEGER) | (Family.BOOLEAN, Family.INTEGER):
            return combined(f"CAST({value.sql} AS {name})", target, [value])
        case (Family.INTEGER | Family.DECIMAL, Family.DECIMAL):
            return combined(as_type(value, target).sql, target, [value])
        case (Family.DATE, Family.TIMESTAMP) | (Family.TIMESTAMP | Family.ZONED, Family.DATE):
            return combined(f"CAST({value.sql} AS {name})", target, [value])
        case (Family.INTEGER | Family.DECIMAL | Family.DATE | Family.BOOLEAN, Family.TEXT):
            return combined(f"CAST({value.sql} AS VARCHAR)", TEXT, [value])
        case (Family.INTEGER | Family.DECIMAL, Family.FLOAT) if _is_exact_as_float(value):
            return combined(f"CAST({value.sql} AS DOUBLE)", target, [value])
        case (one, other) if one is other and one in _SAME:
            return value
        case _:
            return not_possible(
                f"a CAST from {value.family} to {target.family}, which the two engines may do differently"
            )


_SAME: Final = (Family.BOOLEAN, Family.DATE, Family.TIMESTAMP, Family.ZONED, Family.FLOAT)


def _target(to: exp.DataType) -> tuple[str, Type]:
    kind = to.this
    if kind in _INTEGERS and not to.expressions:
        name = _INTEGERS[kind]
        return name, Type(Family.INTEGER, _DIGITS.get(name, 19 if name == "BIGINT" else 20))
    if kind is _T.DECIMAL:
        return _decimal([part.name for part in to.expressions])
    if kind in _TEXTS and not to.expressions:
        return "VARCHAR", TEXT
    if kind is _T.DATE:
        return "DATE", DATE
    if kind is _T.BOOLEAN:
        return "BOOLEAN", BOOLEAN
    if kind is _T.DOUBLE:
        return "DOUBLE", Type(Family.FLOAT)
    if kind is _T.TIMESTAMP and [part.name for part in to.expressions] in ([], ["6"]):
        return "TIMESTAMP", Type(Family.TIMESTAMP)
    return not_possible(f"a CAST to {kind.value if isinstance(kind, _T) else kind}")


_FLOAT_DIGITS: Final = 15
"""So many digits of a whole number a float holds."""


def _is_exact_as_float(value: Typed) -> bool:
    return value.type.scale == 0 and value.type.whole <= _FLOAT_DIGITS


def _literal_moment(value: Typed, to: exp.DataType) -> Typed | None:
    """A moment that is written with its distance from UTC, or in UTC; None for anything else."""
    text = value.sql[1:-1] if value.sql.startswith("'") else ""
    if to.this is not _T.TIMESTAMPTZ or _ZONED_TEXT.fullmatch(text) is None:
        return None
    try:
        written = datetime.fromisoformat(text)
        moment = (written.astimezone(UTC) if written.tzinfo else written).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return Typed(f"TIMESTAMP '{moment.isoformat(' ')}'", Type(Family.ZONED))


def _decimal(digits: list[str]) -> tuple[str, Type]:
    if not digits or not all(digit.isdecimal() for digit in digits):
        not_possible("a CAST to a decimal that does not say how many digits it has")
    precision, scale = int(digits[0]), int(digits[1]) if len(digits) > 1 else 0
    if precision > MAX_DIGITS or scale > precision:
        not_possible(f"a CAST to a decimal of more than {MAX_DIGITS} digits")
    data_type = Type(Family.DECIMAL, precision - scale, scale)
    return data_type.sql(), data_type


def _from_text(value: Typed, name: str, target: Type, *, trying: bool) -> Typed:
    match target.family:
        case Family.TEXT:
            return value
        case Family.INTEGER:
            form = _INTEGER_TEXT
        case Family.DECIMAL:
            fraction = rf"(\.[0-9]{{1,{target.scale}}})?" if target.scale else ""
            form = rf"^-?[0-9]+{fraction}\z"
        case Family.DATE:
            form = _DATE_TEXT
        case Family.TIMESTAMP:
            form = _MOMENT_TEXT
        case Family.BOOLEAN:
            form = _BOOLEAN_TEXT
        case _:
            not_possible(f"a text is cast to {target.family}")
    # Of a text in another form nothing is left, and no value is read from that: DuckDB fails.
    read = f"CAST(regexp_extract({value.sql}, '{form}') AS {name})"
    if not trying:
        return Typed(read, target)
    if target.family not in (Family.INTEGER, Family.DECIMAL, Family.DATE):
        not_possible(f"TRY_CAST reads {target.family}")
    number = read.replace("CAST(", "TRY_CAST(", 1)
    other = f"CAST(error('a text that the two engines may read differently') AS {name})"
    sql = (
        f"(CASE WHEN regexp_matches({value.sql}, '{form}') THEN {number} "
        f"WHEN regexp_matches({value.sql}, '^[^0-9]*\\z') OR {value.sql} IS NULL THEN NULL ELSE {other} END)"
    )
    return Typed(sql, target)
