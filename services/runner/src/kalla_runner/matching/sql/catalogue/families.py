"""The families of Arrow types, and parameters that many entries share."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from kalla_runner.connectors.type_names import is_list, is_text
from kalla_runner.matching.sql.catalogue.entry import Family, Parameter

EXACT: Final = frozenset({Family.INTEGER, Family.DECIMAL})
NUMBERS: Final = EXACT | {Family.FLOAT}
MOMENTS: Final = frozenset({Family.TIMESTAMP, Family.ZONED})
DAYS: Final = MOMENTS | {Family.DATE}
ORDERED: Final = NUMBERS | DAYS | {Family.TEXT, Family.BOOLEAN}
"""What has one order in every database."""
ANY: Final = frozenset(Family)


def family(data_type: pa.DataType | None) -> Family | None:
    """The family of a type; None for NULL and for a type that is not known.

    Raises:
        LookupError: for a type of no family, such as a map; no function takes it.
    """
    if data_type is None or pa.types.is_null(data_type):
        return None
    if is_text(data_type):
        return Family.TEXT
    if is_list(data_type):
        return Family.LIST
    if pa.types.is_timestamp(data_type):
        return Family.TIMESTAMP if data_type.tz is None else Family.ZONED
    for test, found in _TESTS:
        if test(data_type):
            return found
    raise LookupError(str(data_type))


_TESTS: Final = (
    (pa.types.is_integer, Family.INTEGER),
    (pa.types.is_decimal, Family.DECIMAL),
    (pa.types.is_floating, Family.FLOAT),
    (pa.types.is_boolean, Family.BOOLEAN),
    (pa.types.is_date, Family.DATE),
    (pa.types.is_time, Family.TIME),
    (pa.types.is_interval, Family.INTERVAL),
    (pa.types.is_duration, Family.DURATION),
    (pa.types.is_struct, Family.STRUCT),
    (pa.types.is_binary, Family.BINARY),
    (pa.types.is_large_binary, Family.BINARY),
    (pa.types.is_binary_view, Family.BINARY),
    (pa.types.is_fixed_size_binary, Family.BINARY),
)


def one(name: str, *families: Family) -> Parameter:
    """A parameter that may be of these families."""
    return Parameter(name, frozenset(families))


TEXT: Final = one("text", Family.TEXT)
COUNT: Final = one("count", Family.INTEGER)
EXACT_NUMBER: Final = Parameter("number", EXACT)
NUMBER: Final = Parameter("number", NUMBERS)
INTEGER: Final = one("number", Family.INTEGER)
DECIMAL: Final = one("number", Family.DECIMAL)
FLOAT: Final = one("number", Family.FLOAT)
BOOLEAN: Final = one("condition", Family.BOOLEAN)
DATE: Final = one("date", Family.DATE)
MOMENT: Final = Parameter("timestamp", MOMENTS)
LIST: Final = one("list", Family.LIST)
VALUE: Final = Parameter("value", ANY)
PATTERN: Final = Parameter("pattern", frozenset({Family.TEXT}), literal=True)
"""A pattern, format or unit, which is read while the query is planned."""
DIGITS: Final = Parameter("digits", frozenset({Family.INTEGER}), literal=True)
