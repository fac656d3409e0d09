"""Ends what a test run started and did not end itself, also where the run was killed.

A process of its own, in a session of its own, that reads from a pipe whose other end the test run
holds and never writes to: it reads the end of the pipe when the run is gone, however it went. What the
run started, it knows by a word in the environment, which all descendants have.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from typing import Final

import psutil

WORD: Final = "TEST_RUN_OF_KALLA"
_PATIENCE: Final = 10.0


def start_guard() -> subprocess.Popen[bytes] | None:
    """Start it for this process and what this process starts from now on; None if another one guards it."""
    if WORD in os.environ:
        # A worker of a run that is guarded.
        return None
    os.environ[WORD] = secrets.token_hex(8)
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )


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
