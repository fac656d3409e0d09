"""Functions over dates and timestamps. A timestamp with time zone counts in UTC."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import DATE, DAYS, INTEGER, PATTERN, TEXT, one

_UNIT: Final = Parameter("unit", frozenset({Family.TEXT}), literal=True)
_DAY: Final = Parameter("date", DAYS)
_COUNT: Final = Parameter("count", frozenset({Family.INTEGER}), literal=True)
_TERM: Final = Parameter("interval", frozenset({Family.INTERVAL}), literal=True)
_YEARS: Final = tuple(one(name, Family.INTEGER) for name in ("year", "month", "day"))


def _part(unit: str) -> Entry:
    return Entry(
        unit,
        "scalar",
        f"The {unit} of a date or timestamp.",
        (Signature((_DAY,), duckdb=f"{unit}({{0}})", result=Family.INTEGER),),
    )


DATE_FUNCTIONS: Final[tuple[Entry, ...]] = (
    Entry(
        "date_part",
        "scalar",
        "A part as an integer: year, quarter, month, week (ISO), day, dow (Sunday is 0), isodow, doy, hour, "
        "minute, second (whole), isoyear; epoch is the seconds since 1970, a decimal.",
        (Signature((_UNIT, _DAY), duckdb="date_part({0}, {1})", result=Family.INTEGER),),
        ("datepart",),
    ),
    Entry(
        "extract",
        "scalar",
        "The same as date_part.",
        (Signature((_UNIT, _DAY), duckdb="date_part({0}, {1})", result=Family.INTEGER),),
        form="EXTRACT({0} FROM {1})",
    ),
    *(_part(unit) for unit in ("year", "quarter", "month", "day", "hour", "minute", "second")),
    Entry(
        "date_trunc",
        "scalar",
        "The first moment of the year, quarter, month, week, day, hour, minute or second; of a date a date.",
        (
            Signature((_UNIT, DATE), duckdb="date_trunc({0}, {1})::DATE", result=Family.DATE),
            Signature(
                (_UNIT, one("timestamp", Family.TIMESTAMP)),
                duckdb="date_trunc({0}, {1})",
                result=Family.TIMESTAMP,
            ),
            Signature(
                (_UNIT, one("timestamp", Family.ZONED)),
                duckdb="date_trunc({0}, {1}::TIMESTAMP)::TIMESTAMPTZ",
                result=Family.ZONED,
            ),
        ),
        ("datetrunc",),
    ),
    Entry(
        "last_day",
        "scalar",
        "The last day of the month.",
        (Signature((_DAY,), duckdb="last_day({0}::DATE)", result=Family.DATE),),
        ("eomonth",),
    ),
    Entry(
        "make_date",
        "scalar",
        "The date of a year, a month and a day; a day that does not exist is an error.",
        (Signature(_YEARS, duckdb="make_date({0}, {1}, {2})", result=Family.DATE),),
        ("datefromparts",),
    ),
    Entry(
        "to_date",
        "scalar",
        "The date that a text says: in ISO form, or by a format such as '%d.%m.%Y' or 'DD.MM.YYYY'.",
        (
            Signature((TEXT,), duckdb="{0}::DATE", result=Family.DATE),
            Signature((TEXT, PATTERN), result=Family.DATE),
        ),
    ),
    Entry(
        "to_timestamp",
        "scalar",
        "The moment that a text says: in ISO form, or by a format; of a number the seconds since 1970.",
        (
            Signature((TEXT,), duckdb="{0}::TIMESTAMP", result=Family.TIMESTAMP),
            Signature((TEXT, PATTERN), result=Family.TIMESTAMP),
        ),
        ("strptime",),
    ),
    Entry(
        "from_unixtime",
        "scalar",
        "The moment so many seconds after 1970 in UTC.",
        (Signature((INTEGER,), duckdb="make_timestamp({0} * 1000000)", result=Family.TIMESTAMP),),
    ),
    Entry(
        "to_char",
        "scalar",
        "A date or timestamp as text by a format such as '%d.%m.%Y' or 'DD.MM.YYYY'.",
        (Signature((_DAY, PATTERN), result=Family.TEXT),),
        ("date_format", "strftime"),
    ),
    Entry(
        "datediff",
        "scalar",
        "How many days, weeks, months, quarters or years begin between two dates: DATEDIFF(day, start, end).",
        (
            Signature(
                (_UNIT, _DAY, _DAY),
                duckdb="date_diff({0}, {1}, {2})",
                result=Family.INTEGER,
                alike=True,
            ),
        ),
        ("date_diff",),
    ),
    Entry(
        "dateadd",
        "scalar",
        "A date or timestamp so many units later: DATEADD(day, 3, date).",
        (
            Signature((_UNIT, _COUNT, DATE)),
            Signature((_UNIT, _COUNT, one("timestamp", Family.TIMESTAMP))),
            Signature((_UNIT, _COUNT, one("timestamp", Family.ZONED))),
        ),
    ),
    Entry(
        "date_add",
        "scalar",
        "A date or timestamp and an interval: DATE_ADD(date, INTERVAL '3' DAY).",
        (
            Signature((DATE, _TERM), duckdb="({0} + {1})::DATE"),
            Signature(
                (one("timestamp", Family.TIMESTAMP), _TERM),
                duckdb="{0} + {1}",
            ),
            Signature(
                (one("timestamp", Family.ZONED), _TERM),
                duckdb="({0}::TIMESTAMP + {1})::TIMESTAMPTZ",
            ),
        ),
        ("adddate",),
    ),
    Entry(
        "date_sub",
        "scalar",
        "A date or timestamp less an interval: DATE_SUB(date, INTERVAL '3' DAY).",
        (
            Signature((DATE, _TERM), duckdb="({0} - {1})::DATE"),
            Signature(
                (one("timestamp", Family.TIMESTAMP), _TERM),
                duckdb="{0} - {1}",
            ),
            Signature(
                (one("timestamp", Family.ZONED), _TERM),
                duckdb="({0}::TIMESTAMP - {1})::TIMESTAMPTZ",
            ),
        ),
        ("subdate",),
    ),
    Entry(
        "timezone",
        "scalar",
        "As AT TIME ZONE: a timestamp with time zone as the local time of a zone, or the reverse.",
        (
            Signature(
                (PATTERN, one("timestamp", Family.TIMESTAMP)),
                duckdb="timezone({0}, {1})",
                result=Family.ZONED,
            ),
            Signature(
                (PATTERN, one("timestamp", Family.ZONED)),
                duckdb="timezone({0}, {1})",
                result=Family.TIMESTAMP,
            ),
        ),
    ),
)
