"""A web page in the user's browser cannot use Kalla, neither by DNS rebinding nor from another site."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from kalla_gateway.settings import GatewaySettings

from tests.integration.gateway.conftest import Gateway, Live, OpenGateway

EVIL = "http://evil.example:3001"
REBOUND = {"host": "evil.example:3001", "origin": EVIL}
"""What a browser sends after the name of its page has come to mean this machine."""


def _paths(gateway: Gateway) -> Iterator[tuple[str, str]]:
    for path, operations in gateway.app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path.replace("{", "").replace("}", "")
    for path in ("/openapi.json", "/docs", "/nothing/here", "/"):
        yield "GET", path
    yield "OPTIONS", "/api/sources"
    yield "DELETE", "/api/sources"


async def test_dns_rebinding_reaches_no_path(gateway: Gateway) -> None:
    for method, path in _paths(gateway):
        answer = await gateway.client.request(method, path, headers={"host": REBOUND["host"]})
        assert (answer.status_code, answer.json()["code"]) == (421, "HOST_NOT_ALLOWED"), path
        assert "KALLA_GATEWAY_ALLOWED_HOSTS" in answer.json()["error"]


async def test_a_page_of_another_site_reaches_no_path(gateway: Gateway) -> None:
    for method, path in _paths(gateway):
        for headers in ({"origin": EVIL}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = await gateway.client.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN_NOT_ALLOWED"), path
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_form_of_another_site_stores_nothing(gateway: Gateway) -> None:
    body = '{"alias": "a", "uri": "/x.csv", "source_type": "file", "x": "="}'
    headers = {"content-type": "text/plain", "origin": EVIL, "sec-fetch-site": "cross-site"}
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
        answer = await gateway.client.post(
            "/api/sources", content=body, headers=headers | {"content-type": kind}
        )
        assert answer.status_code == 403
    assert (await gateway.get("/api/sources")).json() == []


async def test_a_refused_body_is_not_read(gateway: Gateway) -> None:
    async def body() -> object:
        raise AssertionError("the body was read")
        yield b""

    answer = await gateway.client.post("/api/sources", content=body(), headers=REBOUND)  # pyright: ignore[reportArgumentType]
    assert answer.status_code == 421


async def test_listed_hosts_and_origins_are_answered_and_cors_stays_closed(open_gateway: OpenGateway) -> None:
    settings = {"allowed_hosts": "kalla.example.com", "allowed_origins": '["https://app.example.com"]'}
    async with open_gateway(callback_url="http://kalla-gateway:3001/api/worker", **settings) as gateway:
        for host in ("kalla.example.com", "kalla-gateway:3001", "localhost"):
            headers = {"host": host, "origin": "https://app.example.com", "sec-fetch-site": "cross-site"}
            answer = await gateway.client.get("/health", headers=headers)
            assert answer.status_code == 200, host
            assert not [name for name in answer.headers if name.startswith("access-control")]
        preflight = await gateway.client.options(
            "/api/sources", headers={"origin": "https://app.example.com"}
        )
        assert preflight.status_code == 405
        assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_the_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALLA_GATEWAY_DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("KALLA_GATEWAY_ALLOWED_HOSTS", "a.example, b.example:80")
    monkeypatch.setenv("KALLA_GATEWAY_ALLOWED_ORIGINS", '["https://a.example"]')
    settings = GatewaySettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    assert settings.allowed_hosts == ("a.example", "b.example:80")
    assert settings.allowed_origins == ("https://a.example",)


def test_the_processes_refuse_rebinding_too_and_answer_programs(live: Live) -> None:
    for url in (live.gateway.url, f"http://127.0.0.1:{live.addresses.http}"):
        for path in ("/health", "/ready", "/metrics", "/openapi.json", "/nothing"):
            assert httpx.get(url + path, headers={"host": "evil.example"}, trust_env=False).status_code == 421
            assert httpx.get(url + path, headers={"origin": EVIL}, trust_env=False).status_code == 403
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        port = int(url.rpartition(":")[2])
        assert _raw(port, b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        two = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        assert _raw(port, two).startswith(b"HTTP/1.1 400 ")


def _raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer
