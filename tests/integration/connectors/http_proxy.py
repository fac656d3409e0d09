"""Reverse proxies before a real server: one asks for a login, one answers some requests itself.

The OpenSearch that tests start has no security plugin; what a client sees of a wrong login is this.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

Instead = Callable[[str, str, Any], "tuple[int, Any] | None"]
"""Method, path and JSON body of a request: status and JSON to answer with, None to pass it on."""


@contextmanager
def proxied(server: str, instead: Instead) -> Generator[str]:
    """host:port of a proxy before the server."""
    with _proxy(server, lambda _: True, instead) as place:
        yield place


@contextmanager
def refusing_proxy(server: str, user: str, password: str) -> Generator[str]:
    """host:port of a proxy that lets this user through alone."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    with _proxy(server, lambda given: given == expected, _never) as place:
        yield place


def _never(_method: str, _path: str, _body: Any) -> None:
    """All is passed on."""


@contextmanager
def _proxy(server: str, allowed: Callable[[str | None], bool], instead: Instead) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if not allowed(self.headers.get("authorization")):
                self.answer(401, b"Unauthorized", "text/plain")
                return
            found = instead(self.command, self.path, json.loads(body) if body else None)
            if found is not None:
                self.answer(found[0], json.dumps(found[1]).encode(), "application/json")
                return
            with httpx.Client(base_url=server, timeout=60, trust_env=False) as http:
                headers = {"content-type": "application/json"}
                passed = http.request(self.command, self.path, content=body, headers=headers)
            self.answer(passed.status_code, passed.content, passed.headers["content-type"])

        def answer(self, status: int, content: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = pass_on  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
