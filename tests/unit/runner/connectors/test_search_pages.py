"""A page means the same whether Arrow reads it or each value is looked at; and no number is touched."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import KallaError
from kalla_runner.connectors.search.column_hits import ColumnHits
from kalla_runner.connectors.search.columns import columns_of
from kalla_runner.connectors.search.documents import Decoder
from kalla_runner.connectors.search.json_text import dumps, loads

PLAIN: dict[str, Any] = {
    "n": {"type": "long"},
    "b": {"type": "byte"},
    "a": {"type": "scaled_float", "scaling_factor": 100},
    "u": {"type": "unsigned_long"},
    "f": {"type": "double"},
    "t": {"type": "keyword"},
    "k": {"type": "constant_keyword", "value": "k"},
    "o": {"type": "boolean"},
    "d": {"type": "date"},
    "y": {"type": "date", "format": "yyyy-MM-dd"},
}
NUMBERS = ["0", "-0", "-0.0", "7", "127", "128", "1.5", "1.50", "1.505", "1E2", "1e-2", "0.1",
           "9007199254740993", "9223372036854775808", "18446744073709551615", "1e400",
           "123456789012345678.90"]  # fmt: skip
TEXTS = ["", "a", "7", "7.50", " 1", "true", "NaN", "😀\x00", "2026-03-29",
         "2026-03-29T12:00:00.000001Z", "2026-03-29T12:00:00", "2026-02-30"]  # fmt: skip
ODD = ["null", "true", "false", "[]", '["a"]', "[1,2]", "{}", '"\\ud800"']
VALUES = st.sampled_from([*NUMBERS, *map(json.dumps, TEXTS), *ODD])
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from([*PLAIN, "unmapped"]), VALUES, max_size=4), max_size=4)


def page(documents: list[dict[str, str]]) -> str:
    hits = [
        f'{{"_index":"i","_id":"{number}","_score":null,"_source":'
        f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in document.items())}}},"
        f'"sort":[{number}]}}'
        for number, document in enumerate(documents)
    ]
    return f'{{"pit_id":"p","timed_out":false,"_shards":{{"failed":0}},"hits":{{"hits":[{",".join(hits)}]}}}}'


def decoded(decoder: Decoder, hits: Any) -> tuple[Any, ...]:
    try:
        return ("rows", decoder.decode(hits))
    except KallaError as error:
        return ("error", error.message, error.details)


@given(DOCUMENTS)
def test_both_ways_give_the_same_rows_or_the_same_error(documents: list[dict[str, str]]) -> None:
    decoder = Decoder(columns_of({"properties": PLAIN}))
    text = page(documents)
    assert decoded(decoder, decoder.parse(text)["hits"]["hits"]) == decoded(
        decoder, loads(text)["hits"]["hits"]
    )


def test_plain_documents_are_read_by_arrow_in_one_page_of_any_size() -> None:
    decoder = Decoder(columns_of({"properties": PLAIN}))
    row = {
        "n": "9007199254740993",
        "a": "0.10",
        "t": json.dumps("x" * 1000),
        "d": '"2026-03-29"',
        "o": "true",
    }
    parsed = decoder.parse(page([row] * 5000))
    hits = parsed["hits"]["hits"]
    assert isinstance(hits, ColumnHits)
    assert (parsed["pit_id"], parsed["_shards"], len(hits), hits[-1]["sort"]) == (
        "p",
        {"failed": 0},
        5000,
        [4999],
    )
    batch = decoder.decode(hits)
    assert batch.num_rows == 5000
    assert batch.column("k").null_count == 0
    assert batch.column("n")[0].as_py() == 9007199254740993


def test_pages_that_arrow_refuses_are_not_offered_to_it_for_ever() -> None:
    decoder = Decoder(columns_of({"properties": {"t": {"type": "keyword"}}}))
    kinds = [type(decoder.parse(page([{"t": value}]))["hits"]["hits"]) for value in ["1", "1", '"x"']]
    assert ColumnHits not in kinds


@pytest.mark.parametrize("properties", [{"o": {"properties": {}}}, {"d": {"type": "date", "format": "MMM"}}])
def test_documents_with_json_or_dates_of_the_server_are_not_offered(properties: dict[str, Any]) -> None:
    decoder = Decoder(columns_of({"properties": properties}))
    assert not isinstance(decoder.parse(page([{}]))["hits"]["hits"], ColumnHits)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_is_the_same_value_in_one_form(value: Any) -> None:
    text = dumps(value)
    assert json.loads(text) == value
    assert dumps(loads(text)) == text
    assert pa.scalar(text).as_py() == text


@pytest.mark.parametrize(
    "number", ["1.50", "0.12345678901234567890", "1E+400", "-0.0", "123456789012345678901234567890"]
)
def test_the_digits_of_a_number_stay(number: str) -> None:
    assert dumps(loads(f'{{ "b": [{number}], "a": 1 }}')) == f'{{"a":1,"b":[{number}]}}'


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        loads("[NaN]")
