"""What a child does: stage the sources of a run, or match what was staged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any

import pyarrow as pa
from kalla_common.domain import JobProgress

from kalla_runner.children.match import match_staged
from kalla_runner.children.protocol import MatchTask, StageTask, Task
from kalla_runner.children.stage import stage
from kalla_runner.connectors.registry import GROUP


def warm_up() -> None:
    """Load what is loaded at first use, so that no run pays for it."""
    for connector in entry_points(group=GROUP):
        # One that cannot be loaded is a matter for the run that needs it.
        with suppress(ImportError, AttributeError):
            connector.load()


def cool_down() -> None:
    """Give back what the allocators keep at hand."""
    pa.default_memory_pool().release_unused()


def run(task: Task, report: Callable[[JobProgress], None]) -> Any:
    """Carry out one task in this process."""
    pa.set_cpu_count(task.threads)
    match task:
        case StageTask():
            return stage(task, report)
        case MatchTask():
            return match_staged(task, report)
