"""Servers that take connections and say nothing, or send their callers elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.connectors.search import server as search_server
from kalla_runner.s3 import objects

SEARCH = ("opensearch", "elasticsearch")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """It accepts, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def redirecting() -> Iterator[tuple[int, list[str]]]:
    """Every answer points to another host; what arrives there is in the list."""
    arrived: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(self.path)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    class Redirect(Elsewhere):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("location", f"http://localhost:{elsewhere.server_port}{self.path}")
            self.send_header("content-length", "0")
            self.end_headers()

    elsewhere, first = (ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Elsewhere, Redirect))
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (elsewhere, first)]
    for thread in threads:
        thread.start()
    try:
        yield first.server_port, arrived
    finally:
        for one in (elsewhere, first):
            one.shutdown()
            one.server_close()
        for thread in threads:
            thread.join()


def unreachable(uri: str, s3: S3Settings | None = None) -> str:
    with ReadSession((Path("/tmp"),), s3=s3) as session, pytest.raises(KallaError) as failed:
        open_source(SourceSpec("x", uri), session)
    assert failed.value.code is Code.SOURCE_UNREACHABLE
    return failed.value.message


@pytest.mark.parametrize("product", SEARCH)
def test_a_silent_search_server_is_given_up_soon(
    silent_port: int, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_server, "FIRST_SECONDS", 0.5)
    assert "did not answer in time" in unreachable(f"{product}://127.0.0.1:{silent_port}/rows")


def test_a_silent_database_is_given_up_soon(silent_port: int) -> None:
    uri = f"postgres://user:hidden@127.0.0.1:{silent_port}/d?table=t&connect_timeout=2"
    message = unreachable(uri)
    assert "cannot be reached" in message
    assert "hidden" not in message


@pytest.fixture
def leaving_port() -> Iterator[int]:
    """A PostgreSQL server that asks for the password, and is gone before it says what it makes of it."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listening.accept()[0] as client:
                        client.recv(1024)
                        client.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
                        client.recv(1024)

        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    serving.join()


def test_a_database_that_goes_away_while_it_is_asked_has_refused_nobody(leaving_port: int) -> None:
    uri = f"postgres://user:hidden@127.0.0.1:{leaving_port}/d?table=t&connect_timeout=2&sslmode=disable"
    assert "broke the connection off; try again" in unreachable(uri)


@pytest.mark.parametrize("at", ["s3://bucket/rows.csv", "s3://bucket/prefix/"])
def test_a_silent_store_is_given_up_soon(silent_port: int, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_LOOK_SECONDS", 1)
    store = S3Settings(
        access_key_id="a",
        secret_access_key="b",  # pyright: ignore[reportArgumentType] - pydantic makes it a secret
        endpoint_url=f"http://127.0.0.1:{silent_port}",
        allow_http=True,
    )
    assert "no answer in time" in unreachable(at, store)


@pytest.mark.parametrize("product", SEARCH)
def test_a_search_server_leads_nobody_to_another_host(
    redirecting: tuple[int, list[str]], product: str
) -> None:
    port, arrived = redirecting
    assert "names another address" in unreachable(f"{product}://user:secret@127.0.0.1:{port}/rows")
    assert arrived == []
