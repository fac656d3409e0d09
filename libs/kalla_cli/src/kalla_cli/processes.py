"""Child processes: started with a log each, watched, stopped with all that they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_LOG_LIMIT: Final = 10_000_000
_SET_PARENT_DEATH_SIGNAL: Final = 1


@dataclass(slots=True)
class Child:
    """A running child process and how to end it.

    Attributes:
        name: as people read it.
        process: its handle.
        log: where its output goes.
        stop_signal: what asks it to end in good order.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16_000))
            text = file.read().decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-lines:])

    def how_it_ended(self) -> str:
        """`exit code 3`, or `signal SIGKILL`."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"

    def stop(self, patience: float) -> None:
        """End it: its signal, then after `patience` seconds SIGKILL, also to what it started."""
        if self.running:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        # The child leads its own process group: none of it may stay.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: tuple[int, int] | None = None,
    folder: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start `command` in a session of its own, so that Ctrl-C reaches Kalla alone and it stops in order.

    Args:
        name: as people read it.
        command: the program and its arguments.
        log: its output is appended here; a log that grew large is kept as <log>.1.
        environment: its environment; None passes ours on.
        user: uid and gid to run it as.
        folder: its working directory.
        stop_signal: what asks it to end.
        orphan_signal: sent by the kernel if Kalla itself is killed (on Linux). Nobody is there then who
            would lose patience with a process that takes its time.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(log.suffix + ".1"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else dict(environment),
            cwd=folder,
            user=None if user is None else user[0],
            group=None if user is None else user[1],
            extra_groups=None if user is None else (),
            # Kalla starts its children from its only thread, where this is safe.
            preexec_fn=_end_with_parent(orphan_signal),  # noqa: PLW1509
        )
    return Child(name, process, log, stop_signal)


def _end_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """What lets the kernel send `orphan_signal` to the child when Kalla dies without a chance to."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    number = int(orphan_signal)

    def ask_kernel() -> None:
        library.prctl(_SET_PARENT_DEATH_SIGNAL, number)

    return ask_kernel


def end_all(processes: Sequence[psutil.Process], stop_signal: signal.Signals, patience: float) -> None:
    """End processes that are not our children: `stop_signal`, then SIGKILL after `patience` seconds."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    _, alive = psutil.wait_procs(list(processes), timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def wait_until(condition: Callable[[], bool], patience: float, pause: float = 0.05) -> bool:
    """Whether `condition` came true within `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
