"""SIGINT and SIGTERM, taken at points where nothing is left half done."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):  # noqa: N818 - no failure: somebody asked for it
    """A signal asked Kalla to stop.

    Attributes:
        signal: which one.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(received.name)
        self.signal = received


class StopRequest:
    """Remembers the first stop signal; `check` raises it where stopping is safe."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def check(self) -> None:
        """Raise Stopped if a signal came."""
        if self.received is not None:
            raise Stopped(self.received)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Signal handler."""
        if self.received is None:
            self.received = signal.Signals(number)


@contextmanager
def stop_signals() -> Generator[StopRequest]:
    """Take SIGINT, SIGTERM and SIGHUP (the terminal was closed) while inside; more of them change nothing."""
    request = StopRequest()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # Who starts Kalla under nohup wants it to outlive the terminal.
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, request.receive) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
