"""The body of POST /api/jobs, taken exactly or refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from kalla_common.domain import FilterCondition, FilterOp
from kalla_common.errors import Code, KallaError
from kalla_runner.http import job_spec

BODY: dict[str, Any] = {
    "run_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "callback_url": "http://localhost:3001/api/worker",
    "match_sql": "SELECT 1",
    "sources": [{"alias": "l", "uri": "l.csv"}, {"alias": "r", "uri": "r.csv"}],
    "output_path": "/data/out",
    "primary_keys": {"l": ["id"], "r": ["id"]},
}


def test_the_documented_request_is_a_job() -> None:
    spec = job_spec(json.dumps(BODY).encode())
    assert [source.alias for source in spec.sources] == ["l", "r"]
    assert spec.primary_keys == {"l": ("id",), "r": ("id",)}
    assert spec.callback_url == BODY["callback_url"]


def test_a_number_in_a_filter_keeps_all_its_digits() -> None:
    sources = BODY["sources"] + [
        {"alias": "x", "uri": "x", "filters": [{"column": "amount", "op": "gte", "value": "@"}]}
    ]
    text = json.dumps(BODY | {"sources": sources}).replace('"@"', "0.10000000000000000000000001")
    (condition,) = job_spec(text.encode()).sources[2].filters
    assert condition == FilterCondition("amount", FilterOp.GTE, (Decimal("0.10000000000000000000000001"),))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "line 1"),
        (b"[]", "The body"),
        (b"\xff", "JSON"),
        (json.dumps(BODY | {"sources": {}}).encode(), "sources"),
        (json.dumps(BODY | {"run_id": 7}).encode(), "run_id"),
        (json.dumps(BODY | {"primary_keys": {"l": "id"}}).encode(), "primary_keys.l"),
        (json.dumps({k: v for k, v in BODY.items() if k != "match_sql"}).encode(), "match_sql"),
    ],
)
def test_a_wrong_body_is_refused_with_where_it_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(KallaError) as refused:
        job_spec(body)
    assert refused.value.code is Code.INVALID_REQUEST
    assert says in refused.value.message


def test_a_wrong_filter_is_refused_as_a_filter() -> None:
    sources = [{"alias": "l", "uri": "l", "filters": [{"column": "a", "op": "near", "value": 1}]}]
    with pytest.raises(KallaError) as refused:
        job_spec(json.dumps(BODY | {"sources": sources}).encode())
    assert refused.value.code is Code.INVALID_FILTER
