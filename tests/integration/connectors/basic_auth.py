"""A reverse proxy that asks for a user and a password before it lets a request through to a server.

The OpenSearch that tests start has no security plugin; what a client sees of a wrong login is this.
"""

from __future__ import annotations

import base64
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx


@contextmanager
def refusing_proxy(server: str, user: str, password: str) -> Generator[str]:
    """The proxy's host:port."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("authorization") != expected:
                self.answer(401, b"Unauthorized", "text/plain")
                return
            headers = {"content-type": self.headers.get("content-type", "application/json")}
            with httpx.Client(base_url=server, timeout=60, trust_env=False) as http:
                found = http.request(self.command, self.path, content=body, headers=headers)
            self.answer(found.status_code, found.content, found.headers["content-type"])

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
