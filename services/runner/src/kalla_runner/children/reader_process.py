"""One reader process as the runner's threads see it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.children.ends import ChildGoneError, ChildKilledError, meaning
from kalla_runner.children.environment import child_environment
from kalla_runner.children.memory import oom_kills
from kalla_runner.children.protocol import (
    MESSAGE,
    READER_HEADER,
    Crashed,
    Done,
    Failed,
    Opened,
    ReaderReply,
    ReaderTask,
    Ready,
    pack,
    unpack,
)

READER_COMMAND = (sys.executable, "-m", "kalla_runner.children.reader")
TICK_SECONDS: Final = 0.05
"""How often a waiting thread looks whether its caller is still there."""
_SEND_SECONDS: Final = 30.0
_SOCKET_BYTES: Final = 1 << 20


def never_gone() -> bool:
    """The caller waits, whatever comes."""
    return False


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends a read before its end.

    Attributes:
        gone: says that nobody waits for the answer any more; asked in the waiting thread.
        seconds: how long the source may keep its reader waiting for an answer, or for the next rows.
    """

    gone: Callable[[], bool] = never_gone
    seconds: float = 300.0


class Reader:
    """A process that answers one question at a time. Used by one thread at a time, killed by any.

    Attributes:
        key: the source that it read last, about which it knows more than others.
        tasks_done: how many tasks it has had.
        waits_since: since when its rows wait for their client (monotonic seconds), None: they do not.
    """

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._why: KallaError | None = None
        self._oom_before: int | None = None
        self.key = ""
        self.tasks_done = 0
        self.waits_since: float | None = None

    @classmethod
    def start(cls, threads: int) -> Reader:
        """Start a reader; it is warm once `wait_until_ready` returns.

        Must be called in the main thread: the kernel ends a child with the *thread* that started it.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = subprocess.Popen(
                    (*READER_COMMAND, str(theirs.fileno()), str(os.getpid())),
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    env=child_environment(threads, keep_memory=False),
                )
        except BaseException:
            ours.close()
            raise
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
        ours.settimeout(TICK_SECONDS)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until it has imported everything.

        Raises:
            ChildGoneError: it ended before.
            KallaError: DEADLINE_EXCEEDED.
        """
        reply = self._receive(Watch(seconds=seconds), "The process that reads sources")
        if not isinstance(reply, Ready):
            msg = f"a reader began with {type(reply).__name__}"
            raise TypeError(msg)

    def ask(self, task: ReaderTask, watch: Watch, what: str) -> Iterator[Any]:
        """What `task` gives: its value, or for rows `Opened` and the batches.

        Args:
            task: what to do.
            watch: what ends it early.
            what: the subject of a sentence that says why it ended: "Reading the source 'x'".

        Raises:
            KallaError: what the task raised; MEMORY_LIMIT, DEADLINE_EXCEEDED, CANCELLED, INTERNAL.
            ChildKilledError: somebody else ended the process.
        """
        self.tasks_done += 1
        self._oom_before = oom_kills()
        schema: pa.Schema | None = None
        try:
            self._send(pack(task))
            while True:
                reply = self._receive(watch, what, schema)
                match reply:
                    case Done(value):
                        if schema is None:
                            yield value
                        return
                    case Failed(error):
                        raise error
                    case Crashed(text):
                        log.error("reader_failed", traceback=text)
                        raise KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
                    case Opened():
                        schema = reply.schema
                        yield reply
                    case Ready():
                        pass
                    case _:
                        self.waits_since = time.monotonic()
                        yield reply
                        self.waits_since = None
        except ChildGoneError as gone:
            raise self._meaning(gone, what) from None
        finally:
            self.waits_since = None

    def kill(self, why: KallaError | None = None) -> None:
        """SIGKILL for the reader and all it started; `why` is what its caller is told."""
        if self._why is None:
            self._why = why
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        self._process.wait()
        self._channel.close()

    def _meaning(self, gone: ChildGoneError, what: str) -> KallaError | ChildKilledError:
        if self._why is not None:
            return self._why
        return meaning(gone, self._oom_before, f"{what[:1].lower()}{what[1:]}")

    def _send(self, frame: bytes) -> None:
        try:
            self._channel.settimeout(_SEND_SECONDS)
            self._channel.sendall(frame)
        except (ConnectionError, TimeoutError):
            self.kill()
            raise ChildGoneError(self._process.wait()) from None
        finally:
            self._channel.settimeout(TICK_SECONDS)

    def _receive(
        self, watch: Watch, what: str, schema: pa.Schema | None = None
    ) -> ReaderReply | pa.RecordBatch:
        end = time.monotonic() + watch.seconds
        header = self._exactly(READER_HEADER.size, watch, end, what)
        kind, size = READER_HEADER.unpack(header)
        body = self._exactly(size, watch, end, what)
        if kind == MESSAGE:
            return unpack(body)
        return pa.ipc.read_record_batch(pa.py_buffer(body), schema)

    def _exactly(self, size: int, watch: Watch, end: float, what: str) -> bytearray:
        buffer = bytearray(size)
        view, done = memoryview(buffer), 0
        while done < size:
            try:
                count = self._channel.recv_into(view[done:])
            except TimeoutError:
                self._check(watch, end, what)
                continue
            except ConnectionError:
                count = 0
            if count == 0:
                raise ChildGoneError(self._process.wait())
            done += count
        return buffer

    def _check(self, watch: Watch, end: float, what: str) -> None:
        if watch.gone():
            self.kill(KallaError(Code.CANCELLED, f"{what} was given up: nobody waits for it any more."))
        elif time.monotonic() > end:
            self.kill(
                KallaError(
                    Code.DEADLINE_EXCEEDED,
                    f"{what} took longer than {watch.seconds:.0f} seconds: check that its server answers, or"
                    " narrow it with filters.",
                )
            )
