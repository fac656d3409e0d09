"""Counts requests."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kalla_gateway.metrics import Metrics


class MetricsMiddleware:
    """ASGI middleware that counts requests by route, never by path: paths are without number."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500
        seconds = None

        async def observe(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - start
            await send(message)

        try:
            await self._app(scope, receive, observe)
        finally:
            route: Any = scope.get("route")
            name = getattr(route, "path", "unknown")
            self._metrics.requests.labels(scope["method"], name, str(status)).inc()
            elapsed = seconds if seconds is not None else time.perf_counter() - start
            self._metrics.seconds.labels(scope["method"], name).observe(elapsed)
