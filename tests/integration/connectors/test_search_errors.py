"""What goes wrong with a search engine is one clear sentence, after patience where patience helps."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.search import SearchConnector, server

from tests.integration.connectors.contract import read_rows
from tests.integration.connectors.http_proxy import proxied, refusing_proxy
from tests.integration.connectors.search_indices import Indices

LONG = {"v": {"type": "long"}}


def failure_of(uri: str) -> KallaError:
    with pytest.raises(KallaError) as failure, ReadSession(()) as session:
        read_rows(SearchConnector().open(SourceSpec("t", uri), session))
    return failure.value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PAUSES", (0.01,) * 6)


def test_a_server_of_the_other_product_is_named_with_the_scheme_to_write(indices: Indices) -> None:
    index = indices.made(LONG)
    error = failure_of(indices.uri(index).replace("opensearch://", "elasticsearch://"))
    assert error.code is Code.INVALID_URI
    assert "is OpenSearch 2.19" in error.message
    assert "opensearch:// instead" in error.message


def test_the_right_login_opens_and_a_wrong_one_is_refused_without_showing_it(indices: Indices) -> None:
    index = indices.made(LONG, '{"v":1}')
    with refusing_proxy(indices.address, "kälte", "p@ß/word") as place:
        with ReadSession(()) as session:
            uri = f"opensearch://k%C3%A4lte:p%40%C3%9F%2Fword@{place}/{index}"
            assert SearchConnector().open(SourceSpec("t", uri), session).count() == 1
        error = failure_of(f"opensearch://k%C3%A4lte:wr0ng@{place}/{index}")
    assert error.code is Code.ACCESS_DENIED
    assert "wr0ng" not in str(error)


def test_a_closed_index_is_named(indices: Indices) -> None:
    index = indices.made(LONG)
    indices.ask("POST", f"/{index}/_close")
    error = failure_of(indices.uri(index))
    assert (error.code, "closed" in error.message) == (Code.DATA_NOT_FOUND, True)


@contextmanager
def web_server(status: int, body: bytes, context: ssl.SSLContext | None = None) -> Generator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = Thread(target=web.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{web.server_port}"
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>hello"), (200, b'{"ok":true}'), (200, b"[]"), (200, b"")]
)
def test_a_server_that_is_no_search_engine_is_told(product: str, status: int, body: bytes) -> None:
    with web_server(status, body) as place:
        error = failure_of(f"{product}://{place}/index")
    assert error.code is Code.SOURCE_UNREACHABLE
    assert "does not answer like" in error.message


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
@pytest.mark.parametrize(
    ("status", "code"),
    [(401, Code.ACCESS_DENIED), (500, Code.SOURCE_UNREACHABLE), (404, Code.INVALID_DATA)],
)
def test_an_error_without_json_is_told_by_its_status(product: str, status: int, code: Code) -> None:
    with web_server(status, b"<html>oops") as place:
        assert failure_of(f"{product}://{place}/index").code is code


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
def test_a_certificate_is_checked_unless_the_uri_says_otherwise(product: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with web_server(401, b"", context) as place:
        untrusted = failure_of(f"{product}+https://{place}/index")
        trusted = failure_of(f"{product}+https://{place}/index?ca_certs={tmp_path}/ca.pem")
        unchecked = failure_of(f"{product}+https://{place}/index?verify_certs=false")
    assert (untrusted.code, "TLS" in untrusted.message) == (Code.SOURCE_UNREACHABLE, True)
    assert trusted.code is Code.ACCESS_DENIED
    assert unchecked.code is Code.ACCESS_DENIED


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    error = failure_of(f"opensearch+https://127.0.0.1:1/index?ca_certs={tmp_path}/ca.pem")
    assert (error.code, "ca.pem" in error.message) == (Code.INVALID_URI, True)


BREAKER = {
    "error": {"root_cause": [{"type": "circuit_breaking_exception", "reason": "Data too large"}]},
    "status": 429,
}


def test_a_busy_server_is_asked_again_for_less_and_no_row_is_lost(indices: Indices) -> None:
    index = indices.made(LONG, *(f'{{"v":{number}}}' for number in range(900)))
    sizes: list[int] = []

    def busy(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        if not path.startswith("/_search?") or not body["size"]:
            return None
        sizes.append(body["size"])
        return (429, BREAKER) if len(sizes) in (1, 2, 4) else None

    with proxied(indices.address, busy) as place, ReadSession(()) as session:
        source = SearchConnector().open(SourceSpec("t", f"opensearch://{place}/{index}"), session)
        assert sorted(read_rows(source).column("v").to_pylist()) == list(range(900))
    assert sizes[:3] == [25, 12, 6]


def test_a_server_that_stays_busy_is_an_error_in_the_end(indices: Indices) -> None:
    index = indices.made(LONG, '{"v":1}')

    def busy(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        return (429, BREAKER) if path.startswith("/_search?") else None

    with proxied(indices.address, busy) as place:
        error = failure_of(f"opensearch://{place}/{index}")
    assert (error.code, "circuit breaker" in error.message) == (Code.SOURCE_UNREACHABLE, True)


@pytest.mark.parametrize(
    "sign", [{"timed_out": True}, {"_shards": {"total": 2, "failed": 1}}, {"terminated_early": True}]
)
def test_trap_06_an_answer_of_only_some_shards_is_an_error(indices: Indices, sign: dict[str, Any]) -> None:
    index = indices.made(LONG, '{"v":1}')

    def partial(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        if not path.startswith("/_search?"):
            return None
        return 200, {"hits": {"hits": [], "total": {"value": 0}}, **sign}

    with proxied(indices.address, partial) as place:
        error = failure_of(f"opensearch://{place}/{index}")
    assert (error.code, "shard" in error.message) == (Code.SOURCE_UNREACHABLE, True)


def test_trap_06_fewer_hits_than_the_server_counted_are_an_error(indices: Indices) -> None:
    index = indices.made(LONG, *['{"v":1}'] * 300)

    def short(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        if path.startswith("/_search?") and "search_after" in body:
            return 200, {"hits": {"hits": []}}
        return None

    with proxied(indices.address, short) as place:
        error = failure_of(f"opensearch://{place}/{index}")
    assert error.code is Code.SOURCE_CHANGED
    assert "counted 300 documents" in error.message
    assert "gave 25" in error.message


def test_a_user_who_may_not_ask_what_the_server_is_still_reads(indices: Indices) -> None:
    index = indices.made(LONG, '{"v":1}')
    denied = {"error": {"type": "security_exception", "reason": "no permissions"}, "status": 403}

    def root_denied(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        return (403, denied) if path == "/" else None

    with proxied(indices.address, root_denied) as place, ReadSession(()) as session:
        assert SearchConnector().open(SourceSpec("t", f"opensearch://{place}/{index}"), session).count() == 1


def test_a_lacking_permission_on_the_index_is_access_denied(indices: Indices) -> None:
    index = indices.made(LONG)
    denied = {"error": {"type": "security_exception", "reason": "no permissions for [read]"}, "status": 403}

    def pit_denied(method: str, path: str, body: Any) -> tuple[int, Any] | None:
        return (403, denied) if "point_in_time" in path else None

    with proxied(indices.address, pit_denied) as place:
        error = failure_of(f"opensearch://{place}/{index}")
    assert (error.code, "permission" in error.message) == (Code.ACCESS_DENIED, True)
