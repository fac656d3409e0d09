"""How long the check of a match query may take.

What is checked in steps asks `check_time` between them. One call of the engine cannot be interrupted;
where a query is checked in a process of its own, `killed_in_time` ends that process.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from kalla_common.errors import Code, KallaError

CHECK_SECONDS: Final = 10.0
"""What a check may take; the longest queries of practice take a tenth of a second."""
_SLACK_SECONDS: Final = 2.0
"""A process is ended so much later, so that the check can mostly say for itself that it was too slow."""

_ends: ContextVar[float | None] = ContextVar("check_ends", default=None)


@contextmanager
def limited_time(seconds: float = CHECK_SECONDS) -> Generator[None]:
    """Let `check_time` raise once so much time has passed."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def check_time() -> None:
    """Go on, or raise INVALID_SQL where the time of `limited_time` is over."""
    end = _ends.get()
    if end is not None and time.monotonic() > end:
        raise too_slow()


def too_slow() -> KallaError:
    """What is said of a query whose check takes too long."""
    return KallaError(
        Code.INVALID_SQL,
        f"match_sql takes longer than {CHECK_SECONDS:.0f} seconds to check: shorten its longest expression, "
        "or compute parts of it in the source.",
    )


@contextmanager
def killed_in_time(seconds: float = CHECK_SECONDS + _SLACK_SECONDS) -> Generator[None]:
    """End this process by SIGALRM if what is inside takes longer.

    The kernel does it, whatever the process is busy with. Only for processes that can be replaced, and
    in which nothing else handles SIGALRM.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
