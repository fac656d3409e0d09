"""The dialect of Elasticsearch 8 and 9, on written-down requests and answers, not on a live server.

The shapes are those of Elastic's reference (open point in time, paginate search results, slicing,
get index, close point in time). What both engines share runs against a real OpenSearch elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest
from kalla_common.domain import FilterCondition, FilterOp, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.search import SearchConnector, server
from kalla_runner.connectors.search.address import SearchAddress, parse_address
from kalla_runner.connectors.search.clients import connect

from tests.unit.runner.connectors.search_dialogue import Dialogue, Exchange

URI = "elasticsearch://es:9200/orders"
OPEN = {"keep_alive": "2m", "preference": "kalla"}
WHOLE = {"allow_partial_search_results": "false"}
SHARDS = {"total": 2, "successful": 2, "skipped": 0, "failed": 0}
ROOT = """{"name":"es01","cluster_name":"docker-cluster","cluster_uuid":"u-1","version":{"number":"8.15.0",
"build_flavor":"default","build_type":"docker","lucene_version":"9.11.1"},"tagline":"You Know, for Search"}"""
INDEX = json.dumps(
    {
        "orders": {
            "aliases": {},
            "mappings": {
                "properties": {
                    "amount": {"type": "scaled_float", "scaling_factor": 100.0},
                    "id": {"type": "long"},
                    "tags": {"type": "flattened"},
                }
            },
            "settings": {"index": {"number_of_shards": "2", "uuid": "i-1", "provided_name": "orders"}},
        }
    }
)


def pit(name: str) -> dict[str, str]:
    return {"id": name, "keep_alive": "2m"}


def opening() -> list[Exchange]:
    return [
        Exchange("GET", "/", {}, None, 200, ROOT),
        Exchange("POST", "/orders/_pit", OPEN, None, 200, json.dumps({"id": "p-1", "_shards": SHARDS})),
        Exchange("GET", "/orders", {}, None, 200, INDEX),
    ]


def counting(name: str, total: int, **more: Any) -> Exchange:
    body = {"query": {"match_all": {}}, "size": 0, "track_total_hits": True, "pit": pit(name), **more}
    answer = {
        "pit_id": name,
        "took": 1,
        "timed_out": False,
        "_shards": SHARDS,
        "hits": {"total": {"value": total, "relation": "eq"}, "max_score": None, "hits": []},
    }
    return Exchange("POST", "/_search", WHOLE, body, 200, json.dumps(answer))


def page(name: str, size: int, hits: list[str], *, after: list[int] | None = None, **more: Any) -> Exchange:
    body = {
        "query": {"match_all": {}},
        "size": size,
        "_source": True,
        "sort": [{"_shard_doc": "asc"}],
        "track_total_hits": False,
        "pit": pit(name),
        **({} if after is None else {"search_after": after}),
        **more,
    }
    # As text: the numbers of the documents are the point.
    answer = (
        f'{{"pit_id":"p-2","took":2,"timed_out":false,"_shards":{json.dumps(SHARDS)},'
        f'"hits":{{"max_score":null,"hits":[{",".join(hits)}]}}}}'
    )
    return Exchange("POST", "/_search", WHOLE, body, 200, answer)


def hit(number: int, source: str) -> str:
    return f'{{"_index":"orders","_id":"d{number}","_score":null,"_source":{source},"sort":[{number}]}}'


def closing(name: str) -> Exchange:
    return Exchange("DELETE", "/_pit", {}, {"id": name}, 200, '{"succeeded":true,"num_freed":2}')


def always(played: Dialogue) -> Callable[[SearchAddress], Dialogue]:
    def connected(_: SearchAddress) -> Dialogue:
        return played

    return connected


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    def dialogue(exchanges: list[Exchange]) -> Dialogue:
        played = Dialogue(exchanges)
        monkeypatch.setattr(server, "connect", always(played))
        return played

    return dialogue


def test_rows_come_in_one_order_over_all_shards_and_the_point_in_time_is_closed(play: Any) -> None:
    hits = [hit(n, f'{{"id":{n},"amount":{n}.10,"tags":{{"b":1.50,"a":"x"}}}}') for n in range(200)]
    last = hit(200, '{"id":9007199254740993,"amount":0.1}')
    dialogue = play(
        [
            *opening(),
            counting("p-1", 201),
            page("p-1", 25, hits[:25]),
            # The server may give a new name with every answer; the last one counts.
            page("p-2", 176, [*hits[25:], last], after=[24]),
            closing("p-2"),
        ]
    )
    with ReadSession(()) as session:
        source = SearchConnector().open(SourceSpec("t", URI), session)
        assert source.pin["point_in_time"] == "p-1"
        assert source.pin["index_uuid"] == "i-1"
        assert source.count() == 201
        rows = pa.Table.from_batches(list(source.rows())).to_pylist()
    assert rows[1] == {"_id": "d1", "amount": Decimal("1.10"), "id": 1, "tags": '{"a":"x","b":1.50}'}
    assert rows[200]["id"] == 9007199254740993
    assert (dialogue.open, dialogue.closed) == ([], True)


def test_a_stage_reads_slices_side_by_side(play: Any, tmp_path: Path) -> None:
    slices = [{"id": number, "max": 4} for number in range(4)]
    dialogue = play(
        [
            *opening(),
            *(counting("p-1", number, slice=one) for number, one in enumerate(slices)),
            *(
                # A slice is asked under the name that the server gave last, whichever came first.
                page(
                    name,
                    number,
                    [hit(10 * number + n, f'{{"id":{n}}}') for n in range(number)],
                    slice=slices[number],
                )
                for number in (1, 2, 3)
                for name in ("p-1", "p-2")
            ),
            closing("p-2"),
        ]
    )
    with ReadSession((), threads=2) as session:
        source = SearchConnector().open(SourceSpec("t", URI), session)
        staged = source.stage(tmp_path / "staged", lambda _: None)
    assert (staged.row_count, len(staged.files)) == (6, 4)
    assert len(dialogue.open) == 3
    assert {exchange.path for exchange in dialogue.open} == {"/_search"}


def test_a_filter_is_a_query_and_is_applied_again(play: Any) -> None:
    query = {"bool": {"filter": [{"range": {"id": {"gte": 2}}}]}}
    dialogue = play(
        [
            *opening(),
            counting("p-1", 2, query=query),
            page("p-1", 2, [hit(1, '{"id":2}'), hit(2, '{"id":3}')], query=query),
            closing("p-2"),
        ]
    )
    with ReadSession(()) as session:
        filters = (FilterCondition("id", FilterOp.GT, (2,)),)
        source = SearchConnector().open(SourceSpec("t", URI, filters), session)
        assert source.count() == 1
    assert not dialogue.open


def failing(body: dict[str, Any], status: int, path: str = "/orders/_pit") -> list[Exchange]:
    parameters = OPEN if path == "/orders/_pit" else {}
    return [*opening()[:1], Exchange("POST", path, parameters, None, status, json.dumps(body))]


@pytest.mark.parametrize(
    ("kind", "reason", "status", "code"),
    [
        ("index_not_found_exception", "no such index [orders]", 404, Code.DATA_NOT_FOUND),
        ("index_closed_exception", "closed", 400, Code.DATA_NOT_FOUND),
        (
            "security_exception",
            "action [indices:data/read/open_point_in_time] is unauthorized",
            403,
            Code.ACCESS_DENIED,
        ),
        ("circuit_breaking_exception", "[parent] Data too large", 500, Code.SOURCE_UNREACHABLE),
        ("illegal_argument_exception", "something else", 400, Code.INVALID_DATA),
    ],
)
def test_an_error_of_the_server_is_one_of_the_catalogue(
    play: Any, kind: str, reason: str, status: int, code: Code
) -> None:
    error = {"type": kind, "reason": reason}
    play(failing({"error": {"root_cause": [error], **error}, "status": status}, status))
    with pytest.raises(KallaError) as failure, ReadSession(()) as session:
        SearchConnector().open(SourceSpec("t", URI), session)
    assert failure.value.code is code


def test_an_opensearch_behind_the_scheme_is_told(play: Any) -> None:
    root = '{"version":{"distribution":"opensearch","number":"3.1.0"},"tagline":"The OpenSearch Project"}'
    play([Exchange("GET", "/", {}, None, 200, root)])
    with (
        pytest.raises(
            KallaError, match=r"is OpenSearch 3\.1\.0: begin the URI with opensearch://"
        ) as failure,
        ReadSession(()) as session,
    ):
        SearchConnector().open(SourceSpec("t", URI), session)
    assert failure.value.code is Code.INVALID_URI


class Recorder(BaseHTTPRequestHandler):
    """Answers like Elasticsearch and keeps what it was asked."""

    seen: list[tuple[str, str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).seen.append((self.command, self.path, headers, body))
        content = b'{"hits":{"hits":[{"_source":{"v":1.10}}]}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("x-elastic-product", "Elasticsearch")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.mark.parametrize(
    ("uri", "login"),
    [
        ("elasticsearch://kalla:p%40%C3%9F@{}/proxy/orders", "Basic a2FsbGE6cEDDnw=="),
        ("elasticsearch://{}/proxy/orders?api_key=a2V5", "ApiKey a2V5"),
        ("opensearch://kalla:p%40%C3%9F@{}/proxy/orders", "Basic a2FsbGE6cEDDnw=="),
    ],
)
def test_requests_are_plain_json_for_servers_of_every_version(uri: str, login: str) -> None:
    handler = type("Handler", (Recorder,), {"seen": []})
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=web.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    client = connect(parse_address(uri.format(f"127.0.0.1:{web.server_port}")))
    try:
        answer = client.ask("POST", "/_search", {"a": "b c"}, {"size": 1, "q": "ä"})
    finally:
        client.close()
        web.shutdown()
        web.server_close()
        thread.join()
    assert answer.status == 200
    assert "1.10" in str(answer.text)
    ((method, path, headers, body),) = handler.seen  # type: ignore[attr-defined]
    assert (method, path) == ("POST", "/proxy/_search?a=b+c")
    assert (headers["accept"], headers["content-type"]) == ("application/json", "application/json")
    assert headers["authorization"] == login
    assert json.loads(body) == {"size": 1, "q": "ä"}
