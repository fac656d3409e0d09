"""Every type of a mapping arrives exactly as its documents say, or as an error that names the document."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError

from tests.integration.connectors.contract import read_rows, staged_rows
from tests.integration.connectors.search_indices import Indices

UTC = pa.timestamp("us", tz="UTC")
NANOS = pa.timestamp("ns", tz="UTC")
SCALED = {"type": "scaled_float", "scaling_factor": 100}


def moment(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


def column(
    indices: Indices,
    properties: dict[str, Any],
    documents: Sequence[str],
    schema: Sequence[str] = (),
    **more: Any,
) -> pa.ChunkedArray:
    """The column v of documents in the order of their ids."""
    index = indices.made({"v": properties}, *documents, **more)
    with indices.source(index, schema=schema) as source:
        return read_rows(source).sort_by("_id").column("v")


EXACT: list[tuple[str, dict[str, Any], pa.DataType, list[str], list[Any]]] = [
    (
        "long",
        {"type": "long"},
        pa.int64(),
        ["9007199254740993", "-9223372036854775808", '"7"', "5.0", "1e3"],
        [9007199254740993, -9223372036854775808, 7, 5, 1000],
    ),
    ("integer", {"type": "integer"}, pa.int32(), ["2147483647", "null"], [2147483647, None]),
    ("short", {"type": "short"}, pa.int16(), ["-32768"], [-32768]),
    ("byte", {"type": "byte"}, pa.int8(), ["127"], [127]),
    (
        "unsigned_long",
        {"type": "unsigned_long"},
        pa.decimal128(20, 0),
        ["18446744073709551615", "0"],
        [Decimal(18446744073709551615), Decimal(0)],
    ),
    (
        "scaled_float",
        SCALED,
        pa.decimal128(18, 2),
        ["0.1", "10.50", '"7.25"', "1E2", "-0.0", "9007199254740993.01"],
        [
            Decimal("0.10"),
            Decimal("10.50"),
            Decimal("7.25"),
            Decimal("100.00"),
            Decimal("0.00"),
            Decimal("9007199254740993.01"),
        ],
    ),
    (
        "scaled_float by 20",
        {"type": "scaled_float", "scaling_factor": 20},
        pa.decimal128(18, 2),
        ["0.05"],
        [Decimal("0.05")],
    ),
    (
        "scaled_float by 1",
        {"type": "scaled_float", "scaling_factor": 1},
        pa.decimal128(18, 0),
        ["7"],
        [Decimal(7)],
    ),
    (
        "double",
        {"type": "double"},
        pa.float64(),
        ["0.1", "-0.0", "1e-300", "3", '"2.5"'],
        [0.1, -0.0, 1e-300, 3.0, 2.5],
    ),
    ("float", {"type": "float"}, pa.float64(), ["0.1", "16777217"], [0.1, 16777217.0]),
    ("half_float", {"type": "half_float"}, pa.float64(), ["0.1"], [0.1]),
    (
        "boolean",
        {"type": "boolean"},
        pa.bool_(),
        ["true", '"false"', '"true"', '""', "null"],
        [True, False, True, False, None],
    ),
    (
        "keyword",
        {"type": "keyword"},
        pa.string(),
        ['"00123"', "1.50", "12345678901234567890", "true", '""'],
        ["00123", "1.50", "12345678901234567890", "true", ""],
    ),
    ("text", {"type": "text"}, pa.string(), ['"Ünï 😀\\u0000 x"'], ["Ünï 😀\x00 x"]),
    (
        "keyword too long for the index",
        {"type": "keyword", "ignore_above": 3},
        pa.string(),
        ['"longer"'],
        ["longer"],
    ),
    ("wildcard", {"type": "wildcard"}, pa.string(), ['"a*b?"'], ["a*b?"]),
    ("ip", {"type": "ip"}, pa.string(), ['"::FFFF:1.2.3.4"', '"10.0.0.1"'], ["::FFFF:1.2.3.4", "10.0.0.1"]),
    ("constant_keyword", {"type": "constant_keyword", "value": "k"}, pa.string(), ['"k"'], ["k"]),
    (
        "date",
        {"type": "date"},
        UTC,
        [
            '"2026-03-29T12:00:00.123456Z"',
            '"2026-03-29T02:00:00+02:00"',
            '"2026-03-29"',
            "1774785600000",
            "2026",
            "null",
        ],
        [
            moment(2026, 3, 29, 12, 0, 0, 123456),
            moment(2026, 3, 29),
            moment(2026, 3, 29),
            moment(2026, 3, 29, 12),
            moment(2026, 1, 1),
            None,
        ],
    ),
    (
        "date of milliseconds alone",
        {"type": "date"},
        UTC,
        ["1774785600001", "null"],
        [moment(2026, 3, 29, 12, 0, 0, 1000), None],
    ),
    (
        "date of epoch seconds",
        {"type": "date", "format": "epoch_second"},
        UTC,
        ["1774785600", '"1774785600"'],
        [moment(2026, 3, 29, 12)] * 2,
    ),
    (
        "date of days",
        {"type": "date", "format": "dd.MM.yyyy"},
        pa.date32(),
        ['"29.03.2026"'],
        [dt.date(2026, 3, 29)],
    ),
    (
        "date in another order",
        {"type": "date", "format": "yyyy-dd-MM HH:mm:ss"},
        UTC,
        ['"2026-02-03 00:00:01"'],
        [moment(2026, 3, 2, 0, 0, 1)],
    ),
    (
        "date with a month's name, read by the server",
        {"type": "date", "format": "dd MMM yyyy"},
        UTC,
        ['"29 Mar 2026"', "null", "[]"],
        [moment(2026, 3, 29), None, None],
    ),
    ("binary", {"type": "binary"}, pa.binary(), ['"AAH/"'], [b"\x00\x01\xff"]),
    (
        "object",
        {"properties": {"x": {"type": "double"}, "b": {"type": "keyword"}}},
        pa.string(),
        ['{"x":1.500,"b":"é"}', '{"x":12345678901234567890.12345678901234567890}', "null"],
        ['{"b":"é","x":1.500}', '{"x":12345678901234567890.12345678901234567890}', None],
    ),
    (
        "nested",
        {"type": "nested", "properties": {"n": {"type": "long"}}},
        pa.string(),
        ['[{"n":1},{"n":2}]'],
        ['[{"n":1},{"n":2}]'],
    ),
    ("flat_object", {"type": "flat_object"}, pa.string(), ['{"a":{"b":"1"}}'], ['{"a":{"b":"1"}}']),
    (
        "geo_point",
        {"type": "geo_point"},
        pa.string(),
        ['{"lon":-71.34,"lat":41.120}', '"41.12,-71.34"', "[-71.34,41.12]"],
        ['{"lat":41.120,"lon":-71.34}', '"41.12,-71.34"', "[-71.34,41.12]"],
    ),
    ("integer_range", {"type": "integer_range"}, pa.string(), ['{"gte":1,"lt":3}'], ['{"gte":1,"lt":3}']),
    (
        "empty lists and lists of one",
        {"type": "keyword"},
        pa.string(),
        ["[]", '["a"]', "[null]"],
        [None, "a", None],
    ),
]


@pytest.mark.parametrize(
    ("properties", "arrow", "written", "meant"), [case[1:] for case in EXACT], ids=[c[0] for c in EXACT]
)
def test_a_value_arrives_exactly_in_the_type_of_its_mapping(
    indices: Indices, properties: dict[str, Any], arrow: pa.DataType, written: list[str], meant: list[Any]
) -> None:
    found = column(indices, properties, [f'{{"v":{text}}}' for text in written])
    assert found.type == arrow
    assert found.to_pylist() == meant
    assert [str(value) for value in found.to_pylist()] == [str(value) for value in meant]


def test_date_nanos_keep_their_nanoseconds(indices: Indices) -> None:
    found = column(indices, {"type": "date_nanos"}, ['{"v":"2026-03-29T12:00:00.123456789Z"}', "{}"])
    assert found.type == NANOS
    assert found.cast(pa.int64()).to_pylist() == [1774785600123456789, None]


def test_trap_10_a_missing_field_is_null_in_every_type(indices: Indices) -> None:
    index = indices.made({f"c{number}": case[1] for number, case in enumerate(EXACT)}, "{}")
    with indices.source(index) as source:
        (row,) = read_rows(source).to_pylist()
    constant = f"c{[case[0] for case in EXACT].index('constant_keyword')}"
    assert {name for name, value in row.items() if value is not None} == {"_id", constant}


MISFITS: list[tuple[str, dict[str, Any], str, str]] = [
    ("more digits than the scale", SCALED, "12.345", "12.345"),
    ("more digits than the precision", SCALED, "12345678901234567.00", "decimal(18,2)"),
    ("an integer with a fraction", {"type": "long"}, "5.7", "5.7"),
    ("a malformed integer", {"type": "long", "ignore_malformed": True}, '"abc"', "'abc'"),
    ("a malformed date", {"type": "date", "ignore_malformed": True}, '"31.12.2026"', "format"),
    (
        "a malformed date that the server reads",
        {"type": "date", "format": "dd MMM yyyy", "ignore_malformed": True},
        '"2026"',
        "dd MMM yyyy",
    ),
    ("a list", {"type": "keyword"}, '["a","b"]', "list of 2"),
    ("a list of numbers", {"type": "long"}, "[1,2]", "list of 2"),
    (
        "half a surrogate pair",
        {"type": "keyword", "index": False, "doc_values": False},
        '"\\ud800"',
        "surrogate",
    ),
    ("a date finer than a microsecond", {"type": "date"}, '"2026-01-01T00:00:00.1234567Z"', "finer"),
]


@pytest.mark.parametrize(
    ("properties", "written", "hint"), [case[1:] for case in MISFITS], ids=[c[0] for c in MISFITS]
)
def test_a_value_that_does_not_fit_is_an_error_naming_field_and_document(
    indices: Indices, tmp_path: Path, properties: dict[str, Any], written: str, hint: str
) -> None:
    index = indices.made({"v": properties}, "{}", f'{{"v":{written}}}')
    with indices.source(index) as source, pytest.raises(KallaError) as failure:
        source.stage(tmp_path / "staged", lambda _: None)
    assert failure.value.code is Code.INVALID_DATA
    assert failure.value.details == {"field": "v", "document": "1"}
    assert hint in failure.value.message
    assert "Field 'v' of document '1'" in failure.value.message


DECLARED: list[tuple[dict[str, Any], str, list[str], list[Any]]] = [
    ({"type": "keyword"}, "text", ['["a",1.50,null]', '"x"', "true"], ['["a",1.50,null]', "x", "true"]),
    (SCALED, "decimal(38,4)", ["12.3450", "1"], [Decimal("12.3450"), Decimal("1.0000")]),
    ({"type": "double"}, "decimal(18,2)", ["0.1", "1e1"], [Decimal("0.10"), Decimal("10.00")]),
    ({"type": "integer"}, "integer", ["7"], [7]),
    ({"type": "keyword"}, "integer", ['"42"', "7"], [42, 7]),
    ({"type": "keyword"}, "decimal(18,2)", ['"42.5"', '["1.10"]'], [Decimal("42.50"), Decimal("1.10")]),
    ({"type": "keyword"}, "date", ['"2026-03-29"'], [dt.date(2026, 3, 29)]),
    ({"type": "date"}, "date", ['"2026-03-29T00:00:00Z"'], [dt.date(2026, 3, 29)]),
    ({"type": "date"}, "timestamp", ['"2026-03-29T00:00:00Z"'], [dt.datetime(2026, 3, 29)]),  # noqa: DTZ001
    (
        {"type": "date"},
        "text",
        ['"2026-03-29T00:00:00Z"', "1774785600000"],
        ["2026-03-29T00:00:00Z", "1774785600000"],
    ),
    ({"properties": {"x": {"type": "long"}}}, "text", ['{"x":1}'], ['{"x":1}']),
]


@pytest.mark.parametrize(("properties", "declared", "written", "meant"), DECLARED)
def test_a_declared_type_wins_where_nothing_is_lost(
    indices: Indices, properties: dict[str, Any], declared: str, written: list[str], meant: list[Any]
) -> None:
    documents = [f'{{"v":{text}}}' for text in written]
    assert column(indices, properties, documents, [f"v:{declared}"]).to_pylist() == meant


@pytest.mark.parametrize(
    ("properties", "declared", "written", "code"),
    [
        ({"type": "boolean"}, "integer", "true", Code.SCHEMA_MISMATCH),
        ({"type": "long"}, "date", "1", Code.SCHEMA_MISMATCH),
        ({"type": "date"}, "date", '"2026-03-29T00:00:01Z"', Code.INVALID_DATA),
        ({"type": "keyword"}, "integer", '"007"', Code.INVALID_DATA),
        (SCALED, "decimal(4,1)", "12.34", Code.INVALID_DATA),
    ],
)
def test_a_declared_type_that_would_lose_something_is_refused(
    indices: Indices, properties: dict[str, Any], declared: str, written: str, code: Code
) -> None:
    with pytest.raises(KallaError, match="'v'") as failure:
        column(indices, properties, [f'{{"v":{written}}}'], [f"v:{declared}"])
    assert failure.value.code is code


def test_a_recipe_reaches_into_objects_by_listing_a_field(indices: Indices) -> None:
    properties = {"customer": {"properties": {"id": {"type": "long"}, "name": {"type": "keyword"}}}}
    written = ['{"customer":{"id":7}}', '{"customer.id":8}', '{"customer":{}}', '{"customer":[{"id":9}]}']
    index = indices.made(properties, *written)
    with indices.source(index, schema=["customer.id"]) as source:
        assert source.schema().names == ["_id", "customer", "customer.id"]
        rows = read_rows(source).sort_by("_id").to_pylist()
    assert [row["customer.id"] for row in rows] == [7, 8, None, 9]
    assert [row["customer"] for row in rows] == ['{"id":7}', '{"id":8}', "{}", '[{"id":9}]']


def test_several_values_below_a_list_of_objects_are_an_unexpected_list(indices: Indices) -> None:
    index = indices.made({"o": {"properties": {"id": {"type": "long"}}}}, '{"o":[{"id":1},{"id":2}]}')
    with (
        indices.source(index, schema=["o.id"]) as source,
        pytest.raises(KallaError, match="list of 2") as failure,
    ):
        read_rows(source)
    assert failure.value.details == {"field": "o.id", "document": "0"}


def test_a_field_alias_reads_what_it_points_to(indices: Indices) -> None:
    index = indices.made({"amount": SCALED, "total": {"type": "alias", "path": "amount"}}, '{"amount":1.5}')
    with indices.source(index) as source:
        assert read_rows(source).select(["amount", "total"]).to_pylist() == [
            {"amount": Decimal("1.50"), "total": Decimal("1.50")}
        ]


def test_a_field_that_documents_bring_along_is_a_column(indices: Indices) -> None:
    index = indices.made({}, json.dumps({"new": "x"}))
    with indices.source(index) as source:
        assert read_rows(source).to_pylist() == [{"_id": "0", "new": "x"}]


@pytest.mark.parametrize("kept", [{"enabled": False}, {"excludes": ["b"]}, {"includes": ["a"]}])
def test_an_index_that_does_not_keep_its_documents_whole_is_refused(
    indices: Indices, kept: dict[str, Any]
) -> None:
    index = indices.create({"a": {"type": "long"}}, mapping={"_source": kept})
    with pytest.raises(KallaError, match="_source") as failure, indices.source(index):
        pass
    assert failure.value.code is Code.INVALID_DATA


def test_trap_23_documents_of_a_megabyte_are_read_in_small_pages(indices: Indices, tmp_path: Path) -> None:
    index = indices.create({"v": {"type": "keyword", "index": False, "doc_values": False}})
    for first in range(0, 24, 8):
        indices.add(index, [json.dumps({"v": "x" * 1_000_000})] * 8, first=first)
    with indices.source(index) as source:
        staged = source.stage(tmp_path / "staged", lambda _: None)
    assert sum(len(text) for text in staged_rows(staged).column("v").to_pylist()) == 24_000_000
