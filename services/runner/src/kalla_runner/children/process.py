"""One child process as the runner sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Self

from kalla_common.domain import JobProgress
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.children.ends import ChildGoneError, meaning
from kalla_runner.children.environment import child_environment
from kalla_runner.children.memory import oom_kills, private_bytes
from kalla_runner.children.protocol import (
    HEADER,
    Crashed,
    Done,
    Failed,
    Progress,
    Ready,
    Reply,
    StageTask,
    Task,
    pack,
    unpack,
)

COMMAND = (sys.executable, "-m", "kalla_runner.children.child")
MEMORY_CHECK_SECONDS = 0.05
GIB = 1024**3


class Child:
    """A warm process that carries out one task at a time.

    Attributes:
        tasks_done: how many tasks it has answered.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._heard: dict[str, float] = {}
        self.tasks_done = 0

    @classmethod
    async def start(cls, threads: int) -> Self:
        """Start a child and wait until it has imported everything.

        Must be called in the main thread: the kernel ends a child with the *thread* that
        started it. `threads` bounds the thread pools of the libraries in it.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await _spawn(theirs.fileno(), threads)
        except BaseException:
            ours.close()
            raise
        child: Self | None = None
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
            child = cls(process, reader, writer)
            await child._expect_ready()
        except BaseException:
            if child is None:
                ours.close()
                await _end(process)
            else:
                await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    async def run(self, task: Task, progress: Callable[[JobProgress], None], memory_bytes: int) -> Any:
        """Carry out `task`.

        Args:
            task: what to do.
            progress: called in the event loop.
            memory_bytes: private memory above which the child is killed.

        Raises:
            KallaError: what the task raised; MEMORY_LIMIT; SOURCE_CHANGED; INTERNAL for a defect.
            ChildKilledError: somebody else ended the child.
        """
        oom_before = oom_kills()
        self._heard = {"": time.monotonic()}
        guard = asyncio.create_task(self._guard(task, memory_bytes))
        try:
            self._writer.write(pack(task))
            await self._writer.drain()
            return await self._answer(progress)
        except ChildGoneError as gone:
            if guard.done() and not guard.cancelled() and (why := guard.result()) is not None:
                raise why from None
            raise meaning(gone, oom_before, "the run") from None
        finally:
            guard.cancel()
            self.tasks_done += 1

    def private_bytes(self) -> int:
        """Memory that is this process's own: what it has mapped from files does not count."""
        return private_bytes(self.pid)

    async def kill(self) -> None:
        """SIGKILL for the child and all it started; returns when it is gone."""
        await _end(self._process)
        self._writer.close()

    async def _expect_ready(self) -> None:
        reply = await self._receive()
        if not isinstance(reply, Ready):
            msg = f"a match child began with {type(reply).__name__}"
            raise TypeError(msg)

    async def _answer(self, progress: Callable[[JobProgress], None]) -> Any:
        while True:
            match await self._receive():
                case Progress(step):
                    self._hear(step)
                    progress(step)
                case Done(value):
                    return value
                case Failed(error):
                    raise error
                case Crashed(text):
                    log.error("match_child_task_failed", traceback=text)
                    raise KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
                case Ready():
                    pass

    async def _receive(self) -> Reply:
        try:
            header = await self._reader.readexactly(HEADER.size)
            return unpack(await self._reader.readexactly(HEADER.unpack(header)[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildGoneError(await self._process.wait()) from None

    def _hear(self, step: JobProgress) -> None:
        """Note when each source that is being read was last heard of; "" until the first one is."""
        self._heard.pop("", None)
        if step.source is not None and step.progress < 1.0:
            self._heard[step.source] = time.monotonic()
        elif step.source is not None:
            self._heard.pop(step.source, None)

    async def _guard(self, task: Task, limit: int) -> KallaError | None:
        """Kill the child where it takes too much memory, or where a source keeps it waiting too long."""
        patience = task.silence_seconds if isinstance(task, StageTask) else inf
        why: KallaError | None = None
        while self.alive and why is None:
            await asyncio.sleep(MEMORY_CHECK_SECONDS)
            silent = [name for name, when in self._heard.items() if time.monotonic() - when > patience]
            if self.private_bytes() > limit:
                why = KallaError(Code.MEMORY_LIMIT, _too_large(limit))
            elif silent:
                why = _too_silent(silent[0], patience)
        if why is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return why


async def _spawn(channel: int, threads: int) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *COMMAND,
            str(channel),
            str(os.getpid()),
            pass_fds=(channel,),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=child_environment(threads),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The process may be there already, and nobody else would know of it.
        await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _too_large(limit: int) -> str:
    return (
        f"The run needs more memory than its limit of {limit / GIB:.1f} GiB: raise the runner's memory limit"
        " or narrow the sources with filters."
    )


def _too_silent(source: str, seconds: float) -> KallaError:
    name = f"The source {source!r}" if source else "A source"
    return KallaError(
        Code.SOURCE_UNREACHABLE,
        f"{name} has sent nothing for {seconds:.0f} seconds: check that its server answers, then run again.",
    )
