"""Prometheus metrics of the gateway, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

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
