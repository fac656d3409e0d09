"""A receiver of the runner's callbacks: a real HTTP server that keeps what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Callbacks:
    """What arrived, in order: (last part of the path, body)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[tuple[str, dict[str, Any]]] = []

    def end_of(self, run_id: str, seconds: float = 60) -> tuple[str, dict[str, Any]]:
        """Wait for `complete` or `error` of a run."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for kind, body in tuple(self.received):
                if kind in {"complete", "error"} and body["run_id"] == run_id:
                    return kind, body
            time.sleep(0.02)
        msg = f"no end of {run_id} arrived; what did: {self.received}"
        raise AssertionError(msg)


@contextmanager
def callback_receiver() -> Generator[Callbacks]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            callbacks.received.append((self.path.rpartition("/")[2], body))
            answer = b'{"ok": true}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    callbacks = Callbacks(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield callbacks
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
