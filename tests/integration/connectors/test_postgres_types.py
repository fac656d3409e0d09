"""Every PostgreSQL type arrives exact, or is an error that names the row."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError

from tests.integration.connectors.postgres_tables import (
    Database,
    only,
    opened_database,
    read,
    stage,
    values_of,
)

D = Decimal
EXACT: list[tuple[str, str, pa.DataType, Any]] = [
    ("smallint", "-32768", pa.int16(), -32768),
    ("integer", "2147483647", pa.int32(), 2147483647),
    ("bigint", "-9223372036854775808", pa.int64(), -9223372036854775808),
    ("numeric(12,2)", "-1234567890.10", pa.decimal128(12, 2), D("-1234567890.10")),
    ("numeric(38,10)", "9999999999999999999999999999.0000000001", pa.decimal128(38, 10), None),
    ("numeric(60,2)", "1" * 58 + ".25", pa.decimal256(60, 2), D("1" * 58 + ".25")),
    ("numeric(5,-2)", "12345", pa.decimal128(7, 0), D(12300)),
    ("numeric(2,5)", "0.00012", pa.decimal128(5, 5), D("0.00012")),
    ("numeric", "12.340", pa.decimal128(18, 3), D("12.340")),
    ("numeric(300,9)", "1.5", pa.decimal128(18, 9), D("1.5")),
    ("money", "1234.50", pa.decimal128(18, 2), D("1234.50")),
    ("real", "0.1", pa.float32(), None),
    ("double precision", "0.1", pa.float64(), 0.1),
    ("text", "  a'b\\c\t\u20ac ", pa.string(), "  a'b\\c\t\u20ac "),
    ("varchar(5)", "ab  ", pa.string(), "ab  "),
    ("char(5)", "ab", pa.string(), "ab"),
    ('"char"', "x", pa.string(), "x"),
    ("name", "x", pa.string(), "x"),
    ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", '{"b": 1.10, "a":2}', pa.string(), '{"b": 1.10, "a":2}'),
    ("jsonb", '{"b":1.10}', pa.string(), '{"b": 1.10}'),
    ("mood", "so so", pa.string(), "so so"),
    ("inet", "10.0.0.1/8", pa.string(), "10.0.0.1/8"),
    ("bit(3)", "101", pa.string(), "101"),
    ("interval", "1 mon 2 days 03:00:00.000001", pa.string(), "1 mon 2 days 03:00:00.000001"),
    ("pair", "(1,x)", pa.string(), "(1,x)"),
    ("int4range", "[1,5)", pa.string(), "[1,5)"),
    ("point", "(1,2.5)", pa.string(), "(1,2.5)"),
    ("oid", "4294967295", pa.int64(), 4294967295),
    ("bytea", "\\x00ff", pa.binary(), b"\x00\xff"),
    ("boolean", "t", pa.bool_(), True),
    ("date", "2024-02-29", pa.date32(), date(2024, 2, 29)),
    (
        "timestamp",
        "2024-02-29 23:59:59.999999",
        pa.timestamp("us"),
        datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001
    ),
    ("time", "23:59:59.999999", pa.time64("us"), time(23, 59, 59, 999999)),
    ("timetz", "12:00:00+02", pa.string(), "12:00:00+02"),
    ("cents", "1.5", pa.decimal128(10, 3), D("1.500")),
    ("integer[]", "{1,NULL,3}", pa.list_(pa.int32()), [1, None, 3]),
    ("integer[]", "{}", pa.list_(pa.int32()), []),
    ("text[]", '{a,"b c",NULL}', pa.list_(pa.string()), ["a", "b c", None]),
    ("numeric(6,2)[]", "{1.5,NULL}", pa.list_(pa.decimal128(6, 2)), [D("1.50"), None]),
    ("numeric[]", "{1.5,2.125}", pa.list_(pa.decimal128(18, 3)), [D("1.500"), D("2.125")]),
    ("uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", pa.list_(pa.string()), None),
    ("date[]", "{2024-01-01}", pa.list_(pa.date32()), [date(2024, 1, 1)]),
    ("mood[]", "{ok}", pa.list_(pa.string()), ["ok"]),
]


@pytest.fixture(scope="module")
def types(postgres_url: str) -> Iterator[Database]:
    """One table a type, made once."""
    server = Database(postgres_url)
    name = f"types_{secrets.token_hex(4)}"
    server.run(f"CREATE DATABASE {name}")
    try:
        database = Database(postgres_url.rsplit("/", 1)[0] + f"/{name}")
        try:
            database.run("CREATE TYPE mood AS ENUM ('ok', 'so so')", "CREATE TYPE pair AS (a int, b text)")
            database.run("CREATE DOMAIN cents AS numeric(10,3)")
            yield database
        finally:
            database.connection.close()
    finally:
        server.run(f"DROP DATABASE {name} WITH (FORCE)")
        server.connection.close()


def filled(database: Database, type_: str, *values: str | None) -> str:
    database.run("DROP TABLE IF EXISTS x", f"CREATE TABLE x (id int PRIMARY KEY, v {type_})")
    for number, value in enumerate(values, start=1):
        database.connection.execute(f"INSERT INTO x VALUES (%s, %s::text::{type_})".encode(), (number, value))
    return "x"


@pytest.mark.parametrize("case", EXACT, ids=[f"{c[0]}={c[1]}" for c in EXACT])
def test_trap_10_every_type_arrives_exactly_and_null_stays_null(
    types: Database, tmp_path: Path, case: tuple[str, str, pa.DataType, Any]
) -> None:
    type_, text, arrow, value = case
    with types.source(filled(types, type_, text, None)) as source:
        table = stage(source, tmp_path)
        assert table.schema.field("v").type == arrow
        assert table == read(source)
        found = values_of(table)
    assert found[1] is None
    if value is not None:
        assert found[0] == value
    else:
        cast = "real" if type_ == "real" else "text"
        row = types.connection.execute(f"SELECT v::{cast} FROM x WHERE id = 1".encode()).fetchone()
        assert row is not None
        shown = found[0][0] if isinstance(found[0], list) else found[0]
        if cast == "text":
            assert row[0].strip("{}") == str(shown)
        else:
            assert pa.scalar(row[0], pa.float32()).as_py() == shown


def test_trap_22_an_instant_arrives_in_utc_whatever_zone_the_user_has(database: Database) -> None:
    database.run(
        "CREATE TABLE x (id int PRIMARY KEY, v timestamptz)",
        "INSERT INTO x VALUES (1, '2024-03-31 00:30:00+02'), (2, '2024-03-31 12:00:00.5Z')",
    )
    with database.source("x", options="-c TimeZone=Pacific/Auckland -c DateStyle=German") as source:
        table = read(source)
    assert table.schema.field("v").type == pa.timestamp("us", "UTC")
    assert values_of(table) == [
        datetime(2024, 3, 30, 22, 30, tzinfo=UTC),
        datetime(2024, 3, 31, 12, 0, 0, 500000, tzinfo=UTC),
    ]


def test_trap_11_unconstrained_numeric_takes_the_largest_scale_of_the_whole_table(
    types: Database, tmp_path: Path
) -> None:
    filled(types, "numeric", "1", "0.123456789012", "123456789012345678901234567890", None)
    with types.source("x", only("id", "lt", 2)) as source:
        assert source.schema().field("v").type == pa.decimal256(76, 12)
        assert values_of(stage(source, tmp_path / "one")) == [D("1.000000000000")]
    with types.source("x") as source:
        assert values_of(stage(source, tmp_path / "all")) == [
            D(1),
            D("0.123456789012"),
            D("123456789012345678901234567890"),
            None,
        ]


def test_trap_11_more_than_76_digits_are_an_error(types: Database) -> None:
    filled(types, "numeric", "1" * 70, "0." + "1" * 7)
    with types.source("x") as source, pytest.raises(KallaError, match="77 digits") as caught:
        source.schema()
    assert caught.value.code is Code.INVALID_DATA


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("numeric(12,2)", "1.5", "NaN"),
        ("numeric", "1.5", "Infinity"),
        ("numeric", "1.5", "-Infinity"),
        ("numeric[]", "{1.5}", "{1,NaN}"),
        ("date", "2024-01-01", "infinity"),
        ("date", "2024-01-01", "-infinity"),
        ("timestamp", "2024-01-01 00:00", "infinity"),
        ("timestamptz", "2024-01-01 00:00", "-infinity"),
        ("date[]", "{2024-01-01}", "{2024-01-01,infinity}"),
        ("timestamp[]", "{2024-01-01}", "{infinity}"),
    ],
)
def test_trap_11_nan_and_infinity_are_errors_naming_the_key_or_null_where_asked(
    types: Database, tmp_path: Path, type_: str, good: str, bad: str
) -> None:
    filled(types, type_, good, bad, bad)
    with types.source("x") as source:
        named = r"'v' of table public.x holds .* in the row with id = 2"
        with pytest.raises(KallaError, match=named) as caught:
            stage(source, tmp_path / "error")
        assert caught.value.code is Code.INVALID_DATA
        with pytest.raises(KallaError, match="on_nan=null"):
            read(source)
    with types.source("x", on_nan="null") as source:
        found = values_of(stage(source, tmp_path / "null"))
        assert source.schema().field("v").nullable
    assert found[0] is not None
    assert (found[1][-1] if "[]" in type_ else found[1]) is None


def test_a_row_without_a_primary_key_is_named_by_its_place(database: Database) -> None:
    database.run("CREATE TABLE x (v numeric)", "INSERT INTO x VALUES (1), ('NaN')")
    with database.source("x") as source, pytest.raises(KallaError, match=r"ctid = \(0,2\)"):
        read(source)


def test_a_composite_key_is_named_with_all_its_columns(database: Database) -> None:
    database.run(
        'CREATE TABLE x (v date, "K b" text, a int, PRIMARY KEY (a, "K b"))',
        "INSERT INTO x VALUES ('infinity', 'n', 7)",
    )
    with database.source("x") as source, pytest.raises(KallaError, match="a = 7, K b = n"):
        read(source)


def test_floats_keep_nan_and_infinity(types: Database) -> None:
    filled(types, "double precision", "NaN", "-Infinity", "1e-300")
    with types.source("x") as source:
        found = values_of(read(source))
    assert str(found[0]) == "nan"
    assert found[1:] == [float("-inf"), 1e-300]


@pytest.mark.parametrize("value", ["294247-01-10 04:00:54.775808", "294276-12-31"])
def test_timestamps_beyond_64_bits_of_microseconds_are_errors(types: Database, value: str) -> None:
    filled(types, "timestamp", "294247-01-10 04:00:54.775807", value)
    with types.source("x", on_nan="null") as source, pytest.raises(KallaError, match="with id = 2"):
        read(source)


def test_the_first_and_last_days_of_postgres_are_exact(types: Database) -> None:
    filled(types, "date", "4714-11-24 BC", "5874897-12-31")
    with types.source("x") as source:
        assert read(source).column("v").cast(pa.int32()).to_pylist() == [-2440588, 2145042905]
    filled(types, "timestamp", "4714-11-24 00:00:00 BC", "294247-01-10 04:00:54.775807")
    with types.source("x") as source:
        assert read(source).column("v").cast(pa.int64()).to_pylist() == [-210866803200000000, 2**63 - 1]


def test_the_time_24_00_is_an_error(types: Database) -> None:
    filled(types, "time", "00:00", "24:00")
    with types.source("x") as source, pytest.raises(KallaError, match="24:00:00 in the row with id = 2"):
        read(source)


def test_an_array_of_several_dimensions_is_an_error_not_flattened(types: Database) -> None:
    filled(types, "int[]", "{1}", "{{1,2},{3,4}}")
    with (
        types.source("x") as source,
        pytest.raises(KallaError, match="several dimensions in the row with id = 2"),
    ):
        read(source)


def test_declared_types_that_lose_nothing_win(types: Database, tmp_path: Path) -> None:
    types.run(
        "DROP TABLE IF EXISTS x",
        "CREATE TABLE x (id int PRIMARY KEY, i int, n numeric, d date, u uuid, w numeric(10,4))",
        "INSERT INTO x VALUES (1, 5, 12.00, '2024-01-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.5)",
    )
    declared = ["id:text", "i:decimal(18,2)", "n:integer", "d:timestamp", "u", "w:decimal(18,2)"]
    with types.source("x", only("id", "eq", "1"), only("n", "eq", 12), schema=declared) as source:
        row = stage(source, tmp_path).to_pylist()[0]
    assert row["id"] == "1"
    assert (row["i"], row["n"], row["w"]) == (D("5.00"), 12, D("1.50"))
    assert row["d"] == datetime(2024, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("type_", "value", "declared"),
    [("numeric", "1.005", "decimal(18,2)"), ("numeric", "1.5", "integer"), ("int", "1000", "decimal(3,0)")],
)
def test_a_value_that_does_not_fit_its_declared_type_is_named(
    types: Database, type_: str, value: str, declared: str
) -> None:
    filled(types, type_, "1", value)
    named = rf"holds {value} in the row with id = 2.* declared"
    with (
        types.source("x", schema=[f"v:{declared}"]) as source,
        pytest.raises(KallaError, match=named) as caught,
    ):
        read(source)
    assert caught.value.code is Code.SCHEMA_MISMATCH


@pytest.mark.parametrize(
    ("type_", "declared"),
    [
        ("text", "decimal(18,2)"),
        ("double precision", "decimal(18,2)"),
        ("timestamp", "date"),
        ("int[]", "text"),
    ],
)
def test_a_declared_type_that_could_lose_something_is_refused(
    types: Database, type_: str, declared: str
) -> None:
    filled(types, type_)
    with pytest.raises(KallaError, match="declared") as caught, types.source("x", schema=[f"v:{declared}"]):
        pass
    assert caught.value.code is Code.SCHEMA_MISMATCH


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened_database(database_url) as database:
        yield database
