"""The runner's readers: processes that read sources for previews and checks, apart from those that match.

    caller's thread -> Readers -> a reader (one task at a time) -> answer, or rows piece by piece

Whatever a source holds, the runner itself decodes none of it. A reader that needs too much memory
or time, or whose caller is gone, is killed; another one takes its place. Used from any thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.children.ends import ChildGoneError, ChildKilledError
from kalla_runner.children.memory import private_bytes
from kalla_runner.children.protocol import CheckSql, Describe, Opened, ReaderTask, SourceRows
from kalla_runner.children.reader_process import TICK_SECONDS, Reader, Watch

START_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
"""Pause before another try where a reader could not be started."""
GUARD_SECONDS: Final = 0.02
"""How often the memory of readers at work is looked at."""
STALL_SECONDS: Final = 60.0
"""A client that takes no rows for so long loses its reader."""
ATTEMPTS: Final = 3
"""How often a question is asked whose reader was ended from outside."""
TASKS: Final = 500
"""A reader is replaced after so many."""
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """How many readers there are and what they may take.

    Attributes:
        size: readers at most.
        threads: threads of one.
        memory_bytes: private memory of one at work; above it is killed.
        idle_bytes: private memory above which an idle one is replaced.
        wait_seconds: how long a caller waits for a reader to be free.
    """

    size: int
    threads: int
    memory_bytes: int
    idle_bytes: int = 512 * 1024 * 1024
    wait_seconds: float = 30.0

    @property
    def together_bytes(self) -> int:
        """Private memory of all; where they exceed it, the largest is killed."""
        return 4 * self.memory_bytes


class Readers:
    """Answers questions about sources in processes of their own."""

    def __init__(self, limits: ReaderLimits) -> None:
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = threading.Condition()
        self._idle: list[Reader] = []
        self._busy: dict[Reader, str] = {}
        self._starting: set[Reader] = set()
        self._asked_for = 0
        """Readers that shall be started and are not in `_starting` yet."""
        self._closing = False
        self._at_work = threading.Event()

    def start(self) -> None:
        """Begin to warm a first reader; call in the main thread's event loop."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._guard, name="readers", daemon=True).start()
        with self._changed:
            self._ask_for_one()

    def close(self) -> None:
        """Kill all; what they were asked ends with RUNNER_UNAVAILABLE."""
        with self._changed:
            self._closing = True
            idle, others = list(self._idle), [*self._busy, *self._starting]
            self._idle.clear()
            self._changed.notify_all()
        self._at_work.set()
        for reader in idle:
            reader.close()
        for reader in others:
            # Closed by the threads that use them.
            reader.kill(_stopping())

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the warm readers."""
        with self._changed:
            return tuple(reader.pid for reader in (*self._idle, *self._busy) if reader.alive)

    def ask(self, task: Describe | CheckSql, *, what: str, watch: Watch, key: str) -> Any:
        """The answer to a question, which a reader gives; blocks.

        Args:
            task: the question.
            what: the subject of a sentence about it: "Reading the source 'x'".
            watch: what ends it early.
            key: the source it is about, so that the reader which knows it is taken.

        Raises:
            KallaError: what the task raised; MEMORY_LIMIT, DEADLINE_EXCEEDED, CANCELLED, INTERNAL;
                RUNNER_UNAVAILABLE if no reader is free in time.
        """
        (value,) = self._answers(task, watch, what, key)
        return value

    def rows(
        self, task: SourceRows, *, what: str, watch: Watch, key: str
    ) -> tuple[Opened, Generator[pa.RecordBatch]]:
        """What the rows of a source are, and the rows; arguments as of `ask`.

        The reader is held until the rows end or are given up (`close`).

        Raises:
            KallaError: as `ask`, here or while the rows are read.
        """
        answers = self._answers(task, watch, what, key)
        opened: Opened = next(answers)
        return opened, answers

    def _answers(self, task: ReaderTask, watch: Watch, what: str, key: str) -> Generator[Any]:
        for attempt in range(1, ATTEMPTS + 1):
            told = False
            try:
                with self._lent(what, watch, key) as reader:
                    for answer in reader.ask(task, watch, what):
                        told = True
                        yield answer
                    return
            except ChildKilledError as killed:
                if self._closing:
                    raise _stopping() from None
                # What was told cannot be taken back: the source may be another one meanwhile.
                if told or attempt == ATTEMPTS:
                    raise KallaError(
                        Code.RUNNER_UNAVAILABLE,
                        f"{what} was ended from outside of Kalla ({killed.signal_name}); try again.",
                    ) from None

    @contextmanager
    def _lent(self, what: str, watch: Watch, key: str) -> Generator[Reader]:
        reader = self._take(what, watch, key)
        whole = False
        try:
            yield reader
            whole = True
        except KallaError:
            # An error is an answer; a reader that was killed is not alive.
            whole = True
            raise
        finally:
            self._give_back(reader, whole=whole)

    def _take(self, what: str, watch: Watch, key: str) -> Reader:
        end = time.monotonic() + self._limits.wait_seconds
        with self._changed:
            while True:
                if self._closing or self._loop is None:
                    raise _stopping()
                reader = self._idle_one(key)
                if reader is not None:
                    break
                self._ask_for_one()
                self._changed.wait(TICK_SECONDS)
                if watch.gone():
                    raise KallaError(Code.CANCELLED, f"{what} was given up: nobody waits for it any more.")
                if time.monotonic() > end:
                    raise KallaError(
                        Code.RUNNER_UNAVAILABLE,
                        f"All {self._limits.size} processes that read sources are busy; try again in a"
                        " moment.",
                    )
            self._busy[reader] = what
            if not self._idle:
                # The next caller shall find one that is warm.
                self._ask_for_one()
        reader.key = key
        self._at_work.set()
        return reader

    def _idle_one(self, key: str) -> Reader | None:
        while self._idle:
            known = [place for place, reader in enumerate(self._idle) if reader.key == key]
            # The one used last is the likeliest to be in the processor's caches.
            reader = self._idle.pop(known[-1] if known else -1)
            if reader.alive:
                return reader
            reader.close()
        return None

    def _give_back(self, reader: Reader, *, whole: bool) -> None:
        worn = reader.tasks_done >= TASKS or private_bytes(reader.pid) > self._limits.idle_bytes
        keep = whole and not worn and not self._closing and reader.alive
        if not keep:
            reader.close()
        with self._changed:
            del self._busy[reader]
            if not self._busy:
                self._at_work.clear()
            if keep:
                self._idle.append(reader)
            elif not self._idle:
                self._ask_for_one()
            self._changed.notify()

    def _ask_for_one(self) -> None:
        """With the condition held: have another reader started, if there may be one more."""
        if self._closing or self._loop is None or self._starting or self._asked_for:
            # One at a time: each costs most of a second of a processor.
            return
        if len(self._idle) + len(self._busy) >= self._limits.size:
            return
        self._asked_for += 1
        with suppress(RuntimeError):  # the loop is closed: the runner stops
            self._loop.call_soon_threadsafe(self._start_one)

    def _start_one(self) -> None:
        """In the event loop: the kernel ends a child with the thread that started it."""
        if self._closing:
            return
        try:
            reader = Reader.start(self._limits.threads)
        except OSError as error:
            log.error("reader_did_not_start", error=str(error))
            assert self._loop is not None  # noqa: S101 - it runs this
            self._loop.call_later(RETRY_SECONDS, self._not_started)
            return
        with self._changed:
            self._asked_for -= 1
            self._starting.add(reader)
        threading.Thread(target=self._warm, args=(reader,), name="reader-start", daemon=True).start()

    def _not_started(self) -> None:
        with self._changed:
            self._asked_for -= 1
            self._changed.notify_all()

    def _warm(self, reader: Reader) -> None:
        ready = False
        try:
            reader.wait_until_ready(START_SECONDS)
            ready = True
        except (ChildGoneError, KallaError, TypeError) as error:
            if not self._closing:
                log.error("reader_did_not_start", error=str(error))
                time.sleep(RETRY_SECONDS)
        with self._changed:
            self._starting.discard(reader)
            keep = ready and not self._closing
            if keep:
                self._idle.append(reader)
            self._changed.notify_all()
        if not keep:
            reader.close()

    def _guard(self) -> None:
        while not self._closing:
            self._at_work.wait()
            with self._changed:
                busy = dict(self._busy)
            self._bound_memory(busy)
            for reader in busy:
                since = reader.waits_since
                if since is not None and time.monotonic() - since > STALL_SECONDS:
                    reader.kill(
                        KallaError(
                            Code.DEADLINE_EXCEEDED,
                            f"The rows were not taken for {STALL_SECONDS:.0f} seconds; ask for them again.",
                        )
                    )
            time.sleep(GUARD_SECONDS)

    def _bound_memory(self, busy: dict[Reader, str]) -> None:
        memory = {reader: private_bytes(reader.pid) for reader in busy}
        for reader, taken in memory.items():
            if taken > self._limits.memory_bytes:
                reader.kill(_too_large(busy[reader], self._limits.memory_bytes))
        if sum(memory.values()) > self._limits.together_bytes:
            largest = max(memory, key=lambda reader: memory[reader])
            largest.kill(_too_large(busy[largest], memory[largest]))


def _too_large(what: str, limit: int) -> KallaError:
    return KallaError(
        Code.MEMORY_LIMIT,
        f"{what} needs more memory than its limit of {limit / GIB:.1f} GiB: its values or row groups are too"
        " large; write it with smaller ones or raise KALLA_RUNNER_READER_MEMORY_BYTES.",
    )


def _stopping() -> KallaError:
    return KallaError(Code.RUNNER_UNAVAILABLE, "The runner is starting or stopping: try again in a moment.")
