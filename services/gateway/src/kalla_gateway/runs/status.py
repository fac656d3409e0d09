"""Where a run stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    """Submitted and running runs are live; the other three are ends that nothing changes."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE: Final = (RunStatus.SUBMITTED.value, RunStatus.RUNNING.value)
