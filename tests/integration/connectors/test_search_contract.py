"""The connector contract for an OpenSearch index, of one shard and of several."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.domain import FilterCondition
from kalla_runner.connectors.base import OpenSource, ReadSession

from tests.integration.connectors.contract import ConnectorContract, SourceMaker
from tests.integration.connectors.http_proxy import refusing_proxy
from tests.integration.connectors.search_indices import Indices, opened_indices

TYPES: dict[str, dict[str, Any]] = {
    "int64": {"type": "long"},
    "decimal128(18, 2)": {"type": "scaled_float", "scaling_factor": 100},
    "string": {"type": "keyword"},
    "date32[day]": {"type": "date", "format": "yyyy-MM-dd"},
    "timestamp[us]": {"type": "date"},
    "timestamp[us, tz=UTC]": {"type": "date"},
    "bool": {"type": "boolean"},
}

# Engines keep instants alone: a time without a zone is theirs in UTC, and declared by the recipe.
DECLARED: dict[str, list[str]] = {}


def document(row: dict[str, Any]) -> str:
    """A row as JSON, its numbers exact."""
    parts: list[str] = []
    for name, value in row.items():
        if isinstance(value, Decimal):
            text = f"{value:f}"
        elif isinstance(value, dt.date):
            text = json.dumps(value.isoformat().replace("+00:00", "Z"))
        else:
            text = json.dumps(value)
        parts.append(f"{json.dumps(name)}:{text}")
    return "{" + ",".join(parts) + "}"


class SearchMaker(SourceMaker):
    def __init__(self, indices: Indices, shards: int, proxy: str) -> None:
        self.indices = indices
        self.shards = shards
        self.proxy = proxy

    def make(self, table: pa.Table) -> str:
        index = self.indices.create(
            {field.name: TYPES[str(field.type)] for field in table.schema}, shards=self.shards
        )
        self.indices.add(index, [document(row) for row in table.to_pylist()])
        uri = self.indices.uri(index)
        DECLARED[uri] = [
            f"{field.name}:timestamp" for field in table.schema if field.type == pa.timestamp("us")
        ]
        return uri

    def in_order(self, names: Sequence[str]) -> list[str]:
        return sorted(names)  # a mapping is kept in the order of its names

    def change(self, uri: str) -> None:
        index = uri.rpartition("/")[2]
        self.indices.add(index, ['{"id":1,"name":"changed"}'], first=1)
        self.indices.ask("DELETE", f"/{index}/_doc/0?refresh=true")

    def missing(self) -> str:
        return self.indices.uri("no-such-index")

    def unreachable(self) -> str:
        return "opensearch://user:secret@127.0.0.1:1/index"

    def refused(self) -> tuple[str, str]:
        return f"opensearch://kalla:wr0ng-s3cret@{self.proxy}/index", "wr0ng-s3cret"


class TestSearchContract(ConnectorContract):
    @pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
    def maker(self, opensearch_url: str, request: pytest.FixtureRequest) -> Iterator[SourceMaker]:
        with (
            opened_indices(opensearch_url) as indices,
            refusing_proxy(opensearch_url, "kalla", "right") as proxy,
        ):
            yield SearchMaker(indices, request.param, proxy)

    @staticmethod
    def opened(
        session: ReadSession, uri: str, filters: Sequence[FilterCondition] = (), schema: Sequence[str] = ()
    ) -> OpenSource:
        return ConnectorContract.opened(session, uri, filters, [*schema, *DECLARED.get(uri, ())])
