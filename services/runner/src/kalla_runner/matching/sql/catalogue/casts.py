"""Which type may be cast to which, and what happens to the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from kalla_runner.matching.sql.catalogue.entry import Family

_K: Final = exp.DataType.Type

TARGETS: Final[Mapping[object, Family]] = {
    **dict.fromkeys((_K.TEXT, _K.VARCHAR), Family.TEXT),
    **dict.fromkeys((_K.TINYINT, _K.SMALLINT, _K.INT, _K.BIGINT), Family.INTEGER),
    **dict.fromkeys((_K.UTINYINT, _K.USMALLINT, _K.UINT, _K.UBIGINT), Family.INTEGER),
    **dict.fromkeys((_K.FLOAT, _K.DOUBLE), Family.FLOAT),
    **dict.fromkeys((_K.TIMESTAMP, _K.TIMESTAMPNTZ), Family.TIMESTAMP),
    _K.DECIMAL: Family.DECIMAL,
    _K.BOOLEAN: Family.BOOLEAN,
    _K.DATE: Family.DATE,
    _K.TIME: Family.TIME,
    _K.TIMESTAMPTZ: Family.ZONED,
}
"""The family that a type in SQL belongs to."""

_ERROR: Final = "; a text of another form is an error"
_FIT: Final = "; a value that does not fit is an error"

CASTS: Final[Mapping[Family, Mapping[Family, str]]] = {
    Family.TEXT: {
        Family.TEXT: "unchanged; VARCHAR(n) keeps the first n characters",
        Family.INTEGER: "the digits",
        Family.DECIMAL: "the digits, with all that the type has after the point",
        Family.FLOAT: "the shortest form that gives the same float: 1.5, 1.0, 1e300",
        Family.BOOLEAN: "true or false",
        Family.DATE: "2024-12-31",
        Family.TIME: "10:30:00",
        Family.TIMESTAMP: "2024-12-31 10:30:00.5",
        Family.ZONED: "2024-12-31 10:30:00.5+00, in UTC",
    },
    Family.INTEGER: {
        Family.TEXT: "digits with or without a sign, blanks around them" + _ERROR,
        Family.INTEGER: "unchanged" + _FIT,
        Family.DECIMAL: "rounded, half away from zero" + _FIT,
        Family.FLOAT: "its shortest decimal form, rounded half away from zero" + _FIT,
        Family.BOOLEAN: "1 or 0",
    },
    Family.DECIMAL: {
        Family.TEXT: "12.50, +12.50, 1.2E+3, blanks around them; rounded, half away from zero" + _ERROR,
        Family.INTEGER: "unchanged" + _FIT,
        Family.DECIMAL: "rounded to fewer digits after the point, half away from zero" + _FIT,
        Family.FLOAT: "its shortest decimal form, rounded half away from zero" + _FIT,
    },
    Family.FLOAT: {
        Family.TEXT: "the nearest float" + _ERROR,
        Family.INTEGER: "the nearest float",
        Family.DECIMAL: "the nearest float",
        Family.FLOAT: "the nearest float of that size",
    },
    Family.BOOLEAN: {
        Family.TEXT: "true, t, yes, y, on, 1 and their opposites, in any case" + _ERROR,
        Family.INTEGER: "false if 0, else true",
        Family.BOOLEAN: "unchanged",
    },
    Family.DATE: {
        Family.TEXT: "2024-12-31, 20241231, or the day of a timestamp without zone" + _ERROR,
        Family.DATE: "unchanged",
        Family.TIMESTAMP: "its day",
        Family.ZONED: "its day in UTC",
    },
    Family.TIME: {
        Family.TEXT: "10:30 or 10:30:00" + _ERROR,
        Family.TIME: "unchanged",
    },
    Family.TIMESTAMP: {
        Family.TEXT: "2024-12-31, or with T or a blank and a time; a time zone or another form is an error",
        Family.DATE: "its first moment",
        Family.TIMESTAMP: "unchanged",
        Family.ZONED: "the time in UTC",
    },
    Family.ZONED: {
        Family.TEXT: "as a timestamp, with a zone such as Z or +02:00; without one in UTC",
        Family.DATE: "its first moment in UTC",
        Family.TIMESTAMP: "the same time, in UTC",
        Family.ZONED: "unchanged",
    },
}
"""What becomes of the values, by target and source; any other pair is refused."""
