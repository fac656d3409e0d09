"""What the end of a child without an answer means: by evidence, not by the signal alone."""

from __future__ import annotations

import signal
from typing import Final

from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.children.memory import oom_kills
from kalla_runner.matching.sql.deadline import too_slow

_FROM_OUTSIDE: Final = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT}
)
"""Signals that a program does not send to itself when it fails."""


class ChildGoneError(Exception):
    """A child ended without an answer."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"child ended with {exit_code}")
        self.exit_code = exit_code


class ChildKilledError(Exception):
    """Somebody outside of Kalla ended the child; its task may be done again.

    Attributes:
        signal_name: such as SIGKILL.
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(f"child was ended by {signal_name}")
        self.signal_name = signal_name


def meaning(gone: ChildGoneError, oom_before: int | None, what: str) -> KallaError | ChildKilledError:
    """Why a child that nobody here has ended is gone.

    Args:
        gone: how it ended.
        oom_before: what `oom_kills` said before its task began.
        what: what the child was doing, as the subject of a sentence.
    """
    number = -gone.exit_code if gone.exit_code < 0 else 0
    if number == signal.SIGALRM:
        # Nothing else in a child uses this signal.
        return too_slow()
    if number == signal.SIGBUS:
        return KallaError(
            Code.SOURCE_CHANGED,
            f"A file was cut short while {what} read it: start again when nobody writes to it.",
        )
    if number == signal.SIGKILL and oom_kills() != oom_before:
        return KallaError(
            Code.MEMORY_LIMIT,
            f"The operating system ended {what} because memory ran out: give the machine more memory, lower"
            " the runner's memory limit or narrow the sources with filters.",
        )
    if number in _FROM_OUTSIDE:
        name = signal.Signals(number).name
        log.warning("child_killed_from_outside", signal=name)
        return ChildKilledError(name)
    log.error("child_died", exit_code=gone.exit_code)
    return KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
