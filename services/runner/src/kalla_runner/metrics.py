"""What the runner counts, in Prometheus' text form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kalla_common.domain import JobState
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


class Metrics:
    """Counters of one runner process.

    Args:
        count: how many live jobs are in a state now.
    """

    def __init__(self, count: Callable[[JobState], int]) -> None:
        self._registry = CollectorRegistry()
        self._ended: dict[JobState, int] = {state: 0 for state in JobState if state.terminal}
        self._registry.register(_JobsCollector(count, self._ended))
        self._rows = Counter(
            "kalla_runner_rows", "Rows that passed a stage.", ["stage"], registry=self._registry
        )
        self._seconds = Histogram(
            "kalla_runner_stage_seconds",
            "Seconds that a stage of a job took.",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def ended(self, state: JobState) -> None:
        """A job ended in this state."""
        self._ended[state] += 1

    def stage(self, stage: str, rows: int, seconds: float) -> None:
        """A stage of a job is done."""
        self._rows.labels(stage).inc(rows)
        self._seconds.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self._registry)


class _JobsCollector(Collector):
    """The documented names, which the library's own counters would give a suffix."""

    def __init__(self, count: Callable[[JobState], int], ended: dict[JobState, int]) -> None:
        self._count = count
        self._ended = ended

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield GaugeMetricFamily(
            "kalla_runner_active_jobs", "Jobs that run now.", value=self._count(JobState.RUNNING)
        )
        yield GaugeMetricFamily(
            "kalla_runner_queued_jobs", "Jobs that wait now.", value=self._count(JobState.QUEUED)
        )
        for state, count in self._ended.items():
            yield UnknownMetricFamily(
                f"kalla_runner_jobs_{state.value}",
                f"Jobs that ended as {state.value} since the process began.",
                value=count,
            )
