"""What the tests of search engines share: indices on the real server, opened as sources."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from kalla_common.domain import FilterCondition, SourceSpec
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.search import SearchConnector
from kalla_runner.connectors.search.source import SearchSource


class Indices:
    """Indices of one test on the shared server, removed with it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=60, trust_env=False)
        self.prefix = f"t{secrets.token_hex(4)}"
        self.numbers = itertools.count()

    def name(self) -> str:
        return f"{self.prefix}-{next(self.numbers)}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request that must succeed. Text is sent as it is, so that its numbers stay what they are."""
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        answer = self.http.request(
            method,
            path,
            content=None if content is None else content.encode(),
            headers={"content-type": "application/json"},
        )
        assert answer.is_success, answer.text
        return answer.json()

    def create(
        self,
        properties: Mapping[str, Any],
        *,
        shards: int = 1,
        mapping: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> str:
        name = self.name()
        body = {
            "settings": {"number_of_shards": shards, "number_of_replicas": 0, **settings},
            "mappings": {"properties": properties, **(mapping or {})},
        }
        self.ask("PUT", f"/{name}", body)
        return name

    def add(self, index: str, documents: Iterable[str], *, first: int = 0) -> None:
        """Documents as JSON text, with the ids 0, 1, ..."""
        lines = [f'{{"index":{{"_id":"{number}"}}}}\n{text}' for number, text in enumerate(documents, first)]
        if lines:
            answer = self.ask("POST", f"/{index}/_bulk?refresh=true", "\n".join(lines) + "\n")
            assert not answer["errors"], answer

    def made(self, properties: Mapping[str, Any], *documents: str, **more: Any) -> str:
        index = self.create(properties, **more)
        self.add(index, documents)
        return index

    def uri(self, index: str) -> str:
        return f"opensearch://{self.address.removeprefix('http://')}/{index}"

    @contextmanager
    def source(
        self, index: str, *filters: FilterCondition, schema: Sequence[str] = (), threads: int = 2
    ) -> Generator[SearchSource]:
        spec = SourceSpec("t", self.uri(index), filters, tuple(schema))
        with ReadSession((), threads) as session:
            yield SearchConnector().open(spec, session)

    def points_in_time(self) -> int:
        """How many the server keeps for the indices of this test."""
        stats = self.ask("GET", f"/{self.prefix}-*/_stats/search")
        return int(stats["_all"]["total"]["search"]["point_in_time_current"])

    def close(self) -> None:
        self.http.delete(f"/{self.prefix}-*")
        self.http.close()


@contextmanager
def opened_indices(address: str) -> Generator[Indices]:
    indices = Indices(address)
    try:
        yield indices
    finally:
        indices.close()
