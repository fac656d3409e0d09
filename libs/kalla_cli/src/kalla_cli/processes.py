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
from kalla_common.errors import Code, KallaError

from kalla_cli.ports import PortLostError, is_free

_LOG_LIMIT: Final = 10_000_000
_SET_PARENT_DEATH_SIGNAL: Final = 1
_PORT_WORDS: Final = ("address already in use", "failed to bind", "cannot listen", "port allocation failed")
"""What PostgreSQL, SeaweedFS, gRPC, Arrow Flight and our own services say of a port that they do not get."""


class ProcessEnded(KallaError):  # noqa: N818 - named as what happened
    """A process that should have stayed ended by itself.

    Attributes:
        child: which one.
        last_words: the end of its log.
    """

    def __init__(self, child: Child) -> None:
        super().__init__(
            Code.INTERNAL, f"{child.name} ended by itself ({child.how_it_ended()}); its log is {child.log}."
        )
        self.child = child
        self.last_words = child.last_words()


@dataclass(slots=True)
class Child:
    """A running child process and how to end it.

    Attributes:
        name: as people read it.
        process: its handle.
        log: where its output goes.
        log_begin: how long the log was before it started.
        ports: loopback ports that it is to listen on.
        stop_signal: what asks it to end in good order.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_begin: int
    ports: tuple[int, ...] = ()
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

    @property
    def listens(self) -> bool:
        """Whether it listens on all of its ports itself: what answers there may be another program."""
        try:
            connections = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        own = {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
        return own.issuperset(self.ports)

    @property
    def lost_a_port(self) -> bool:
        """Whether it ended because a port that it was to listen on had been taken."""
        if self.running or self.process.returncode < 0 or not self.ports:
            return False
        with self.log.open("rb") as file:
            file.seek(self.log_begin)
            said = file.read().decode("utf-8", "replace").lower()
        return any(word in said for word in _PORT_WORDS) or not all(is_free(port) for port in self.ports)

    def explained(self, otherwise: KallaError) -> KallaError:
        """PortLostError if that is why it ended, else the error that is given."""
        return PortLostError(self.name, self.last_words(1)) if self.lost_a_port else otherwise

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
    ports: tuple[int, ...] = (),
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
        ports: what it will listen on, all of them.
        user: uid and gid to run it as.
        folder: its working directory.
        stop_signal: what asks it to end.
        orphan_signal: sent by the kernel if Kalla itself is killed (on Linux). Nobody is there then who
            would lose patience with a process that takes its time.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(log.suffix + ".1"))
    with log.open("ab") as output:
        begin = output.tell()
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
            preexec_fn=end_with_parent(orphan_signal),  # noqa: PLW1509
        )
    return Child(name, process, log, begin, ports, stop_signal)


def end_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """A preexec_fn that has the kernel send `orphan_signal` to the child when its parent dies (on Linux)."""
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
