"""Bodies larger than the limit, or too slow, are refused before anything reads them."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kalla_gateway.rest.errors import HttpError, error_response

BODY_SECONDS: Final = 60.0


class BodyLimit:
    """ASGI middleware: reads the body of a request up to `max_bytes`, else answers 413 (408 if slow)."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(scope, receive)
        except TimeoutError:
            error = HttpError(408, f"The body did not arrive within {BODY_SECONDS:g} seconds; send it again.")
            await error_response(error)(scope, receive, send)
            return
        if body is None:
            error = HttpError(413, f"The body is larger than {self._max_bytes} bytes; send less at once.")
            await error_response(error)(scope, receive, send)
            return
        first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            # Afterwards the real channel says when the client goes away.
            return first.pop() if first else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None if it is too large. A client that went away leaves what came."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_bytes:
                return None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
