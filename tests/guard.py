"""Ends what a test run started and did not end itself, also where the run was killed.

A process of its own, in a session of its own, that reads from a pipe whose other end the test run
holds and never writes to: it reads the end of the pipe when the run is gone, however it went. What the
run started, it knows by a word in the environment, which all descendants have.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from typing import Final

import psutil

WORD: Final = "TEST_RUN_OF_KALLA"
_PATIENCE: Final = 10.0


def start_guard() -> None:
    """Start it for this process and what this process starts from now on, unless another one guards it."""
    if WORD in os.environ:
        # A worker of a run that is guarded.
        return
    os.environ[WORD] = secrets.token_hex(8)
    # The other end stays open, in this process alone, for as long as it lives.
    reading, _ = os.pipe()
    os.posix_spawn(
        sys.executable,
        [sys.executable, __file__],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
        setsid=True,
    )
    os.close(reading)


def started_by(run: str) -> list[psutil.Process]:
    """The processes that have the run's word in their environment, but this one."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(WORD) == run and process.pid != os.getpid():
                found.append(process)
    return found


def main() -> None:
    """Wait for the end of the run, then end what is left of it: SIGTERM first, SIGKILL later."""
    sys.stdin.buffer.read()
    run = os.environ[WORD]
    left = started_by(run)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(left, timeout=_PATIENCE if left else 0)
    for process in started_by(run):
        with contextlib.suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    main()
