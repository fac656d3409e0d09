"""Casts: exact, an error with the value, or refused with what to write."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.errors import KallaError
from kalla_runner.matching.failures import engine_failures
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.sql.catalogue import Family
from kalla_runner.matching.sql.catalogue.casts import CASTS

from tests.unit.runner.matching.sql.tables import run

_LIMITS = Limits(memory_bytes=1 << 30)
_TYPES: dict[Family, tuple[pa.DataType, Any, str]] = {
    Family.TEXT: (pa.string(), "1", "TEXT"),
    Family.INTEGER: (pa.int64(), 1, "BIGINT"),
    Family.DECIMAL: (pa.decimal128(12, 2), Decimal("1.00"), "DECIMAL(12,2)"),
    Family.FLOAT: (pa.float64(), 1.0, "DOUBLE"),
    Family.BOOLEAN: (pa.bool_(), True, "BOOLEAN"),
    Family.DATE: (pa.date32(), dt.date(2024, 1, 1), "DATE"),
    Family.TIME: (pa.time64("us"), dt.time(10, 30), "TIME"),
    Family.TIMESTAMP: (pa.timestamp("us"), dt.datetime.fromisoformat("2024-01-01 10:00:00"), "TIMESTAMP"),
    Family.ZONED: (
        pa.timestamp("us", tz="UTC"),
        dt.datetime.fromisoformat("2024-01-01 10:00:00"),
        "TIMESTAMP WITH TIME ZONE",
    ),
    Family.LIST: (pa.list_(pa.int64()), [1], ""),
    Family.STRUCT: (pa.struct([("f", pa.int64())]), {"f": 1}, ""),
    Family.BINARY: (pa.binary(), b"1", ""),
}


def cast(value: Any, data_type: pa.DataType, target: str, function: str = "CAST") -> Any:
    left = pa.table({"id": [1], "x": pa.array([value], data_type)})
    query = f"SELECT l.id, r.id AS rid, {function}(l.x AS {target}) AS v FROM l JOIN r ON l.id = r.id"
    with engine_failures(_LIMITS):
        return run(query, left, pa.table({"id": [1]}))[1][0]["v"]


PAIRS = [
    (source, target)
    for source, target in itertools.product(_TYPES, _TYPES)
    if _TYPES[target][2]
    and (source, target) not in ((Family.TEXT, Family.TIME), (Family.TEXT, Family.DATE))
    and (source, target) not in ((Family.TEXT, Family.TIMESTAMP), (Family.TEXT, Family.ZONED))
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_of_types_is_cast_or_refused(source: Family, target: Family) -> None:
    data_type, value, _ = _TYPES[source]
    if source in CASTS[target]:
        assert cast(value, data_type, _TYPES[target][2]) is not None
        return
    with pytest.raises(KallaError, match=f"is {source} and cannot be cast to {target}"):
        cast(value, data_type, _TYPES[target][2])


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("+1234.56", "DECIMAL(18,2)", Decimal("1234.56")),
        ("1.2E+3", "DECIMAL(18,2)", Decimal("1200.00")),
        ("-5e-7", "DECIMAL(38,8)", Decimal("-0.00000050")),
        (" 12 ", "DECIMAL(18,2)", Decimal("12.00")),
        ("2.345", "DECIMAL(18,2)", Decimal("2.35")),
        (" 12 ", "BIGINT", 12),
        ("+12", "BIGINT", 12),
        ("1.5", "DOUBLE", 1.5),
        ("yes", "BOOLEAN", True),
        ("2024-02-29", "DATE", dt.date(2024, 2, 29)),
        ("20240229", "DATE", dt.date(2024, 2, 29)),
        ("9999-12-31", "DATE", dt.date(9999, 12, 31)),
        ("2024-02-29 23:59:59", "DATE", dt.date(2024, 2, 29)),
        ("2024-02-29T10:30", "TIMESTAMP", dt.datetime.fromisoformat("2024-02-29 10:30:00")),
        ("9999-12-31 23:59:59", "TIMESTAMP", dt.datetime.fromisoformat("9999-12-31 23:59:59")),
        ("2024-02-29 10:30:00.5", "TIMESTAMP", dt.datetime.fromisoformat("2024-02-29 10:30:00.500000")),
        (
            "2024-02-29 10:30+02:00",
            "TIMESTAMP WITH TIME ZONE",
            dt.datetime.fromisoformat("2024-02-29 08:30:00+00:00"),
        ),
        (
            "2024-02-29T10:30:00Z",
            "TIMESTAMP WITH TIME ZONE",
            dt.datetime.fromisoformat("2024-02-29 10:30:00+00:00"),
        ),
        ("10:30", "TIME", dt.time(10, 30)),
    ],
)
def test_a_text_becomes_what_it_says(text: str, target: str, expected: Any) -> None:
    assert cast(text, pa.string(), target) == expected
    assert cast(text, pa.string(), target, "TRY_CAST") == expected


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("02/03/2024", "DATE"),
        ("2024-02-30", "DATE"),
        ("2024-01-01 23:00:00-05:00", "DATE"),
        ("abc", "DATE"),
        ("", "DATE"),
        ("2024-01-01 10:00:00+02:00", "TIMESTAMP"),
        ("2024-01-01 10:00:00 Europe/Berlin", "TIMESTAMP"),
        ("2024-01-01 10:00:00.1234567", "TIMESTAMP"),
        ("12abc", "DECIMAL(18,2)"),
        ("", "DECIMAL(18,2)"),
        ("1,5", "DECIMAL(18,2)"),
        ("1e", "DECIMAL(18,2)"),
        ("99999999999", "DECIMAL(5,2)"),
        ("12.0", "BIGINT"),
        ("99999999999999999999", "BIGINT"),
        ("maybe", "BOOLEAN"),
        ("one", "DOUBLE"),
    ],
)
def test_a_text_that_says_something_else_is_an_error_that_names_it(text: str, target: str) -> None:
    with pytest.raises(KallaError) as caught:
        cast(text, pa.string(), target)
    assert text in caught.value.message
    assert "Date32" not in caught.value.message
    assert cast(text, pa.string(), target, "TRY_CAST") is None


@pytest.mark.parametrize(
    ("value", "data_type", "target", "expected"),
    [
        (Decimal("14.875"), pa.decimal128(9, 3), "DECIMAL(18,2)", Decimal("14.88")),
        (Decimal("-0.005"), pa.decimal128(9, 3), "DECIMAL(18,2)", Decimal("-0.01")),
        (Decimal("2.50"), pa.decimal128(9, 2), "BIGINT", 3),
        (Decimal("-2.50"), pa.decimal128(9, 2), "BIGINT", -3),
        (2.5, pa.float64(), "BIGINT", 3),
        (0.1, pa.float64(), "DECIMAL(38,30)", Decimal("0.1")),
        (1e-7, pa.float64(), "DECIMAL(38,10)", Decimal("0.0000001")),
        (1e15, pa.float64(), "DECIMAL(38,2)", Decimal(10) ** 15),
        (
            dt.datetime.fromisoformat("1969-12-31 23:59:59.999999"),
            pa.timestamp("us"),
            "DATE",
            dt.date(1969, 12, 31),
        ),
        (
            dt.datetime.fromisoformat("2024-01-01 23:30:00"),
            pa.timestamp("us", tz="UTC"),
            "DATE",
            dt.date(2024, 1, 1),
        ),
        (
            dt.datetime.fromisoformat("2024-01-01 10:00:00.500000"),
            pa.timestamp("us"),
            "TEXT",
            "2024-01-01 10:00:00.5",
        ),
        (
            dt.datetime.fromisoformat("2024-01-01 10:00:00"),
            pa.timestamp("us", tz="UTC"),
            "TEXT",
            "2024-01-01 10:00:00+00",
        ),
        ("abcdef", pa.string(), "VARCHAR(3)", "abc"),
    ],
)
def test_documented_roundings(value: Any, data_type: pa.DataType, target: str, expected: Any) -> None:
    assert cast(value, data_type, target) == expected


@pytest.mark.parametrize(
    ("value", "data_type", "target"),
    [
        (2**40, pa.int64(), "INT"),
        (1e300, pa.float64(), "BIGINT"),
        (float("nan"), pa.float64(), "DECIMAL(18,2)"),
        (Decimal("12345.67"), pa.decimal128(9, 2), "DECIMAL(5,2)"),
        (Decimal(10) ** 30, pa.decimal128(38, 0), "BIGINT"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_no_null(
    value: Any, data_type: pa.DataType, target: str
) -> None:
    with pytest.raises(KallaError, match="does not fit"):
        cast(value, data_type, target)
    assert cast(value, data_type, target, "TRY_CAST") is None


def test_an_integer_that_looks_like_a_date_is_refused_with_what_to_write() -> None:
    with pytest.raises(KallaError) as caught:
        cast(20240302, pa.int64(), "DATE")
    assert "TO_DATE(CAST(l.x AS TEXT), '%Y%m%d')" in caught.value.message


def test_a_cast_to_decimal_without_digits_never_drops_any() -> None:
    assert cast(Decimal("1.25"), pa.decimal128(18, 2), "DECIMAL") == Decimal("1.25")
    with pytest.raises(KallaError, match=r"write DECIMAL\(38,12\)"):
        cast(Decimal("0.000000000001"), pa.decimal128(18, 12), "NUMERIC")
