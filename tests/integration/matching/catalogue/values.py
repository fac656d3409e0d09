"""Values that functions are tried on: zeros, signs, scales, the widest numbers, odd texts and days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from kalla_runner.matching.sql.catalogue import Family

UTC: Final = dt.UTC


@dataclass(frozen=True)
class Kind:
    """A type with its values; every third or so is near an edge."""

    family: Family
    arrow: pa.DataType
    postgres: str
    duckdb: str
    values: tuple[Any, ...]
    name: str = ""


def _d(*texts: str | None) -> tuple[Decimal | None, ...]:
    return tuple(None if text is None else Decimal(text) for text in texts)


INTEGERS: Final = Kind(
    Family.INTEGER,
    pa.int64(),
    "bigint",
    "BIGINT",
    (0, 1, -1, 2, 3, -7, 100, 2**31, 2**63 - 1, -(2**63), None),
)
SMALL: Final = Kind(
    Family.INTEGER, pa.int16(), "smallint", "SMALLINT", (0, 1, -3, 7, 32767, -32768, None), "small"
)
COUNTS: Final = Kind(Family.INTEGER, pa.int64(), "bigint", "BIGINT", (0, 1, 2, 3, 5, -1, -2, None), "counts")
MONEY: Final = Kind(
    Family.DECIMAL,
    pa.decimal128(12, 2),
    "numeric(12,2)",
    "DECIMAL(12,2)",
    _d("0.00", "-0.01", "0.05", "2.50", "-2.50", "14.88", "119.00", "9999999999.99", "-9999999999.99", None),
)
FINE: Final = Kind(
    Family.DECIMAL,
    pa.decimal128(9, 4),
    "numeric(9,4)",
    "DECIMAL(9,4)",
    _d("0.0000", "-0.0050", "0.0050", "1.0050", "-1.4999", "0.3333", "99999.9999", None),
    "fine",
)
WIDE: Final = Kind(
    Family.DECIMAL,
    pa.decimal128(38, 0),
    "numeric(38,0)",
    "DECIMAL(38,0)",
    _d("0", "1", "-7", "12345678901234567890123456789012345678", "-" + "9" * 38, None),
    "wide",
)
FLOATS: Final = Kind(
    Family.FLOAT,
    pa.float64(),
    "double precision",
    "DOUBLE",
    (0.0, 1.5, -0.5, 2.5, 0.1, -1234567.89, 1e15, None),
)
TEXTS: Final = Kind(
    Family.TEXT,
    pa.string(),
    "text",
    "VARCHAR",
    (
        *(
            "",
            " ",
            "abc",
            " a b ",
            "Müller",
            "Mu\u0308ller",
            "Straße",
            "A.b-C",
            "00123",
            "a,b,,c",
            "100%",
            "x_y",
        ),
        *("a\\b", "\ttab", "INV-1001/INV-1002", "ΑΣ", "漢字", "😀x", None),
    ),
)
WORDS: Final = Kind(
    Family.TEXT, pa.string(), "text", "VARCHAR", ("a", "b", ",", "", "bc", "ü", "-", "漢", " ", None), "words"
)
BOOLEANS: Final = Kind(Family.BOOLEAN, pa.bool_(), "boolean", "BOOLEAN", (True, False, None))
DATES: Final = Kind(
    Family.DATE,
    pa.date32(),
    "date",
    "DATE",
    (
        *(dt.date(2024, 2, 29), dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1969, 12, 31)),
        *(dt.date(2000, 1, 1), dt.date(2023, 3, 31), dt.date(2024, 12, 30), None),
    ),
)
_MOMENTS: Final = (
    dt.datetime.fromisoformat("2024-02-29 12:30:15.123456"),
    dt.datetime.fromisoformat("0001-01-01 00:00:00"),
    dt.datetime.fromisoformat("9999-12-31 23:59:59.999999"),
    dt.datetime.fromisoformat("1969-12-31 23:59:59.500000"),
    dt.datetime.fromisoformat("2024-03-31 01:30:00"),
    dt.datetime.fromisoformat("2024-10-27 00:59:59"),
    dt.datetime.fromisoformat("2024-10-27 01:30:00"),
    dt.datetime.fromisoformat("2024-12-30 00:00:00"),
)
TIMESTAMPS: Final = Kind(Family.TIMESTAMP, pa.timestamp("us"), "timestamp", "TIMESTAMP", (*_MOMENTS, None))
ZONED: Final = Kind(
    Family.ZONED,
    pa.timestamp("us", tz="UTC"),
    "timestamptz",
    "TIMESTAMPTZ",
    (*(moment.replace(tzinfo=UTC) for moment in _MOMENTS), None),
)
LISTS: Final = Kind(
    Family.LIST,
    pa.list_(pa.string()),
    "text[]",
    "VARCHAR[]",
    (["a", "b", "a"], [], ["x", None, "b"], ["b"], ["ü", "a"], ["c", "b", "a", "b"], None),
)
NUMBERS_IN_LISTS: Final = Kind(
    Family.LIST,
    pa.list_(pa.int64()),
    "bigint[]",
    "BIGINT[]",
    ([1, 2, 1], [], [None, 3], [-7], None),
    "numbers",
)

KINDS: Final[dict[Family, tuple[Kind, ...]]] = {
    Family.INTEGER: (INTEGERS, SMALL),
    Family.DECIMAL: (MONEY, FINE, WIDE),
    Family.FLOAT: (FLOATS,),
    Family.TEXT: (TEXTS,),
    Family.BOOLEAN: (BOOLEANS,),
    Family.DATE: (DATES,),
    Family.TIMESTAMP: (TIMESTAMPS,),
    Family.ZONED: (ZONED,),
    Family.LIST: (LISTS, NUMBERS_IN_LISTS),
}
"""What arguments are drawn from."""
