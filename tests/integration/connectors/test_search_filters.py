"""A filter keeps the same rows whether the engine narrows the read or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import datafusion
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar
from kalla_runner.connectors.filters import apply_filters, check_filters
from kalla_runner.connectors.search.source import SearchSource

from tests.integration.connectors.contract import read_rows
from tests.integration.connectors.search_indices import Indices, opened_indices

MAPPING: dict[str, Any] = {
    "big": {"type": "long", "null_value": 7},
    "byte": {"type": "byte"},
    "unsigned": {"type": "unsigned_long"},
    "amount": {"type": "scaled_float", "scaling_factor": 100},
    "double": {"type": "double"},
    "float": {"type": "float"},
    "half": {"type": "half_float"},
    "flag": {"type": "boolean"},
    "word": {"type": "keyword"},
    "short_word": {"type": "keyword", "ignore_above": 3},
    "folded": {"type": "keyword", "normalizer": "lowercase"},
    "unindexed": {"type": "keyword", "index": False},
    "prose": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 4}}},
    "copied": {"type": "keyword", "copy_to": "target"},
    "target": {"type": "keyword"},
    "day": {"type": "date", "format": "yyyy-MM-dd"},
    "at": {"type": "date"},
    "nanos": {"type": "date_nanos"},
}
WORDS = [
    "",
    "a",
    "B",
    "b",
    "ab",
    "abc",
    "abcd",
    "a%b",
    "a_b",
    "a\\b",
    "ä",
    "Ä",
    "😀",
    "\uffee",
    "z z",
    "a\nb",
]
INSTANTS = ["2026-03-29T12:00:00.000Z", "2026-03-29T12:00:00.0009Z", "2026-03-29T12:00:00.001Z", "1999-12-31"]
DAYS = ["0001-01-01", "2026-03-28", "2026-03-29", "9999-12-31"]
VALUES: dict[str, list[str]] = {
    "big": ["7", "-7", "9007199254740993", "9007199254740992", "-9223372036854775808", "9223372036854775807"],
    "byte": ["-128", "0", "127"],
    "unsigned": ["0", "9007199254740993", "18446744073709551615"],
    "amount": ["0", "0.10", "0.1", "-0.5", "10.01", "90071992547409.93", "9999999999999999.99"],
    "double": ["0.0", "-0.0", "0.1", "0.30000000000000004", "1e300", "-1e-300"],
    "float": ["0.1", "16777217", "16777216", "-0.0", "3.4e38"],
    "half": ["0.1", "65504", "-0.0"],
    "flag": ["true", '"false"', '""'],
    "day": [json.dumps(text) for text in DAYS],
    "at": [*(json.dumps(text) for text in INSTANTS), "1774785600000"],
    "nanos": ['"2026-03-29T12:00:00.000000001Z"', '"2026-03-29T12:00:00Z"', '"1970-01-01"'],
}
TEXTS = ("word", "short_word", "folded", "unindexed", "prose", "copied", "target")
LITERALS: dict[str, list[FilterScalar]] = {
    "big": [7, -7, 9007199254740993, Decimal("7.5"), Decimal("-7.5"), 2**63 - 1, 10**30],
    "byte": [-128, 127, 128, Decimal("0.5")],
    "unsigned": [0, 9007199254740993, 2**64 - 1, 2**64, -1],
    "amount": [
        0,
        Decimal("0.1"),
        Decimal("0.105"),
        Decimal("-0.5"),
        Decimal("90071992547409.93"),
        10**16,
        Decimal("9999999999999999.99"),
    ],
    "double": [0, Decimal("0.1"), Decimal("0.3"), Decimal("1e300"), Decimal("-1e-300"), Decimal("1e400")],
    "float": [0, Decimal("0.1"), 16777217, 16777216, Decimal("3.4e38"), Decimal("1e39")],
    "half": [0, Decimal("0.1"), 65504, 65505, 70000],
    "flag": [True, False],
    "day": list(DAYS),
    "at": [
        "2026-03-29T12:00:00Z",
        "2026-03-29T12:00:00.0009Z",
        "2026-03-29T12:00:00.0005Z",
        "0001-01-01T00:00:00Z",
    ],
    "nanos": [
        "2026-03-29T12:00:00.000000001Z",
        "2026-03-29T12:00:00Z",
        "1969-12-31T00:00:00Z",
        "2261-01-01T00:00:00Z",
    ],
}
PATTERNS = ["%", "a%", "%b", "a_b", "a\\%b", "a\\_%", "a\\\\%", "_", "", "B", "ä%", "😀", "abc%"]


def documents() -> list[str]:
    """Each value of each column, and a document without any."""
    rows = ["{}"]
    values = {**VALUES, **{name: [json.dumps(word) for word in WORDS] for name in TEXTS}}
    for number in range(max(len(options) for options in values.values())):
        members = [f"{json.dumps(name)}:{options[number % len(options)]}" for name, options in values.items()]
        rows.append("{" + ",".join(members) + "}")
    return rows


class Awkward:
    """One index with all of it, and its rows."""

    def __init__(self, indices: Indices) -> None:
        self.indices = indices
        self.index = indices.made(MAPPING, *documents(), shards=2)
        with indices.source(self.index) as source:
            self.rows = read_rows(source)

    def kept(self, filters: Sequence[FilterCondition]) -> list[str]:
        """The ids that DataFusion keeps of all rows."""
        frame = datafusion.SessionContext().create_dataframe([self.rows.to_batches()])
        kept = apply_filters(frame, check_filters(filters, self.rows.schema))
        return sorted(kept.to_arrow_table().column("_id").to_pylist())


@pytest.fixture(scope="module")
def awkward(opensearch_url: str) -> Iterator[Awkward]:
    with opened_indices(opensearch_url) as indices:
        yield Awkward(indices)


@st.composite
def conditions(draw: st.DrawFn) -> FilterCondition:
    column = draw(st.sampled_from([*LITERALS, *TEXTS, "_id"]))
    words: list[FilterScalar] = list(WORDS)
    literals = [str(n) for n in range(20)] if column == "_id" else LITERALS.get(column, words)
    operators = [op for op in FilterOp if op is not FilterOp.LIKE or column in (*TEXTS, "_id")]
    op = draw(st.sampled_from(operators))
    if op is FilterOp.LIKE:
        return FilterCondition(column, op, (draw(st.sampled_from(PATTERNS)),))
    low, high = {FilterOp.BETWEEN: (2, 2), FilterOp.IN: (1, 4)}.get(op, (1, 1))
    values = draw(st.lists(st.sampled_from(literals), min_size=low, max_size=high))
    return FilterCondition(column, op, tuple(values))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(conditions(), min_size=1, max_size=2))
@example([FilterCondition("half", FilterOp.EQ, (Decimal("0.1"),))])
@example([FilterCondition("float", FilterOp.LTE, (Decimal("0.1"),))])
@example([FilterCondition("double", FilterOp.GTE, (0,))])
def test_trap_15_what_is_asked_of_the_engine_never_leaves_out_a_row(
    awkward: Awkward, filters: list[FilterCondition]
) -> None:
    with awkward.indices.source(awkward.index, *filters) as source:
        found = sorted(read_rows(source).column("_id").to_pylist())
        assert found == awkward.kept(filters)
        assert source.count() == len(found)


def query_of(source: SearchSource) -> Any:
    return source._query  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("column", "op", "values", "query"),
    [
        ("word", "eq", ("ab",), {"terms": {"word": ["ab"]}}),
        ("word", "in", ("ab", "b"), {"terms": {"word": ["ab", "b"]}}),
        ("word", "gt", ("ab",), {"range": {"word": {"gte": "ab"}}}),
        ("word", "like", ("a\\%b%",), {"prefix": {"word": "a%b"}}),
        ("prose", "eq", ("ab",), {"terms": {"prose.raw": ["ab"]}}),
        ("big", "lt", (9007199254740993,), {"range": {"big": {"lte": 9007199254740993}}}),
        ("flag", "eq", (True,), {"terms": {"flag": [True]}}),
        ("day", "gt", ("2026-03-29",), {"range": {"day": {
            "gte": "2026-03-29T00:00:00.000Z", "format": "strict_date_optional_time"}}}),
        ("_id", "eq", ("3",), {"ids": {"values": ["3"]}}),
    ],
)  # fmt: skip
def test_what_the_engine_knows_exactly_is_asked_of_it(
    awkward: Awkward, column: str, op: str, values: tuple[FilterScalar, ...], query: dict[str, Any]
) -> None:
    with awkward.indices.source(awkward.index, FilterCondition(column, FilterOp(op), values)) as source:
        assert query_of(source) == [query]


@pytest.mark.parametrize(
    ("column", "op", "values"),
    [
        ("short_word", "eq", ("abcd",)),
        ("short_word", "gt", ("a",)),
        ("short_word", "like", ("a%",)),
        ("folded", "eq", ("b",)),
        ("unindexed", "eq", ("b",)),
        ("prose", "gt", ("a",)),
        ("prose", "eq", ("abcde",)),
        ("word", "neq", ("a",)),
        ("half", "gt", (70000,)),
        ("nanos", "gt", ("1969-12-31T00:00:00Z",)),
    ],
)
def test_what_the_engine_does_not_know_exactly_is_not_asked_of_it(
    awkward: Awkward, column: str, op: str, values: tuple[FilterScalar, ...]
) -> None:
    filters = [FilterCondition(column, FilterOp(op), values)]
    with awkward.indices.source(awkward.index, *filters) as source:
        assert query_of(source) == []
        assert sorted(read_rows(source).column("_id").to_pylist()) == awkward.kept(filters)


def test_a_filter_that_no_row_can_pass_reads_nothing(awkward: Awkward) -> None:
    with awkward.indices.source(
        awkward.index, FilterCondition("big", FilterOp.EQ, (Decimal("1.5"),))
    ) as source:
        assert query_of(source) is None
        assert (source.count(), read_rows(source).num_rows) == (0, 0)


def test_an_index_that_leaves_out_malformed_values_is_not_asked(indices: Indices) -> None:
    index = indices.made({"v": {"type": "keyword"}}, '{"v":"a"}', **{"index.mapping.ignore_malformed": True})
    with indices.source(index, FilterCondition("v", FilterOp.EQ, ("a",))) as source:
        assert query_of(source) == []
        assert source.count() == 1


def test_a_declared_type_is_not_asked_of_the_engine(indices: Indices) -> None:
    index = indices.made({"v": {"type": "keyword"}}, '{"v":"10"}', '{"v":"9"}')
    filters = [FilterCondition("v", FilterOp.LT, (10,))]
    with indices.source(index, *filters, schema=["v:integer"]) as source:
        assert query_of(source) == []
        assert read_rows(source).column("v").to_pylist() == [9]


def test_fields_below_nested_documents_are_filtered_here(indices: Indices) -> None:
    index = indices.made({"o": {"type": "nested", "properties": {"n": {"type": "long"}}}}, '{"o":{"n":1}}')
    with indices.source(index, FilterCondition("o.n", FilterOp.EQ, (1,)), schema=["o.n"]) as source:
        assert source.count() == 1
