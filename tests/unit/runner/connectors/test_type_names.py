"""Plain names of types, and what a recipe's schema declares."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kalla_common.domain import ColumnInfo, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.declared import declared_types
from kalla_runner.connectors.type_names import columns_of, parse_type, type_name


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        (pa.int8(), "integer"),
        (pa.int64(), "integer"),
        (pa.uint64(), "integer"),
        (pa.decimal128(12, 2), "decimal(12,2)"),
        (pa.decimal256(50, 3), "decimal(50,3)"),
        (pa.float32(), "float"),
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.string_view(), "text"),
        (pa.dictionary(pa.int32(), pa.string()), "text"),
        (pa.date32(), "date"),
        (pa.date64(), "date"),
        (pa.timestamp("ns"), "timestamp"),
        (pa.timestamp("us", tz="UTC"), "timestamp with time zone"),
        (pa.time64("us"), "time"),
        (pa.bool_(), "boolean"),
        (pa.binary(), "binary"),
        (pa.binary(16), "binary"),
        (pa.duration("s"), "duration"),
        (pa.list_(pa.decimal128(5, 1)), "list of decimal(5,1)"),
        (pa.large_list(pa.list_(pa.string())), "list of list of text"),
        (pa.struct([("a", pa.int64()), ("b", pa.string())]), "struct(a integer, b text)"),
        (pa.null(), "null"),
    ],
)
def test_every_type_has_a_plain_name(data_type: pa.DataType, name: str) -> None:
    assert type_name(data_type) == name


@pytest.mark.parametrize(
    "name",
    [
        "integer",
        "text",
        "date",
        "timestamp",
        "timestamp with time zone",
        "boolean",
        "float",
        "decimal(18,2)",
        "decimal(76,0)",
    ],
)
def test_a_declared_name_comes_back_as_the_same_name(name: str) -> None:
    data_type = parse_type(name)
    assert data_type is not None
    assert type_name(data_type) == name


def test_declared_names_may_be_written_loosely() -> None:
    assert parse_type(" Decimal( 18 , 2 ) ") == pa.decimal128(18, 2)
    assert parse_type("DECIMAL(9)") == pa.decimal128(9, 0)
    assert parse_type("Timestamp  With Time Zone") == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    "name", ["", "int", "decimal", "decimal(0,0)", "decimal(77,2)", "decimal(2,3)", "decimal(-1,0)"]
)
def test_what_names_no_type_is_no_type(name: str) -> None:
    assert parse_type(name) is None


def test_columns_are_listed_as_people_see_them() -> None:
    schema = pa.schema([pa.field("id", pa.int32(), nullable=False), pa.field("at", pa.timestamp("us"))])
    assert columns_of(schema) == (ColumnInfo("id", "integer", False), ColumnInfo("at", "timestamp", True))


def test_a_long_list_of_columns_is_cut_in_the_error() -> None:
    names = [f"column_{place}" for place in range(40)]
    with pytest.raises(KallaError) as failure:
        declared_types(SourceSpec("src", "x.csv", schema=("entirely different",)), names)
    assert failure.value.code is Code.SCHEMA_MISMATCH
    assert "and 28 more" in failure.value.message
    assert failure.value.details == {"column": "entirely different"}
