"""Prometheus metrics of the gateway, in a registry of its own."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The gateway's counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter(
            "kalla_gateway_requests", "HTTP requests answered", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "kalla_gateway_request_seconds",
            "Time until the answer began",
            ("method", "route"),
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.runs = Counter(
            "kalla_gateway_runs",
            "Runs created, by how handing them over ended",
            ("outcome",),
            registry=self.registry,
        )
        self.callbacks = Counter(
            "kalla_gateway_callbacks",
            "Worker callbacks, by what became of them",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.reconciled = Counter(
            "kalla_gateway_runs_reconciled",
            "Runs whose end was learned by asking the runner",
            registry=self.registry,
        )

    def text(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self.registry)


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
