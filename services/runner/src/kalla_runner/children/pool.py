"""The runner's warm children: as many as jobs may run at once, refilled when one goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kalla_common.domain import JobProgress
from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.children.ends import ChildGoneError, ChildKilledError
from kalla_runner.children.process import Child
from kalla_runner.children.protocol import Task

RESTART_SECONDS = 1.0
"""Pause before another try where a child could not be started."""
START_ATTEMPTS = 5
"""Failed starts in a row after which the pool gives up."""


class ChildrenFailError(Exception):
    """No child can be started, so no job can be done."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many children there are and what one of them may take.

    Attributes:
        size: children.
        threads: threads of one child.
        memory_bytes: private memory of one child at work; above it is killed.
        idle_bytes: private memory above which an idle child is replaced.
        tasks: tasks after which a child is replaced.
    """

    size: int
    threads: int
    memory_bytes: int
    idle_bytes: int
    tasks: int


class ChildPool:
    """Hands tasks to warm children.

    A cancelled task's child is killed, not asked: nothing else ends a running join. The
    pool starts another one at once.
    """

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._idle: asyncio.Queue[Child] = asyncio.Queue()
        self._children: set[Child] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._failed_starts = 0
        self._given_up = asyncio.Event()
        self._closing = False

    async def watch(self) -> None:
        """Wait until the pool has given up, and say so; a runner without children is of no use.

        Raises:
            ChildrenFailError: START_ATTEMPTS starts in a row failed.
        """
        await self._given_up.wait()
        msg = "the processes that match cannot be started; the lines before this one in the log say why"
        raise ChildrenFailError(msg)

    def start(self) -> None:
        """Begin to start all children; they become warm in the background."""
        for _ in range(self._limits.size):
            self._refill()

    async def warm(self) -> None:
        """Wait until the children that are starting now are warm."""
        await asyncio.gather(*self._starting)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the warm children."""
        return tuple(child.pid for child in self._children if child.alive)

    async def run(self, task: Task, progress: Callable[[JobProgress], None], cancelled: asyncio.Event) -> Any:
        """Carry out `task` in a warm child; setting `cancelled` kills the child.

        Raises:
            KallaError: what the task raised; CANCELLED; MEMORY_LIMIT; SOURCE_CHANGED; INTERNAL.
            ChildKilledError: somebody else ended the child; the task may be run again.
            asyncio.CancelledError: the pool was closed; the task may be run again later.
        """
        if self._closing:
            raise asyncio.CancelledError
        if cancelled.is_set():
            raise KallaError(Code.CANCELLED, "The run was cancelled.")
        child = await self._unless(cancelled, self._take())
        try:
            return await self._unless(cancelled, child.run(task, progress, self._limits.memory_bytes))
        except (KallaError, ChildKilledError):
            if self._closing and not child.alive:
                raise asyncio.CancelledError from None
            raise
        finally:
            await self._give_back(child, unfinished=cancelled.is_set())

    async def close(self) -> None:
        """Kill all children; tasks that run end with CancelledError."""
        self._closing = True
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(child.kill() for child in self._children))
        self._children.clear()

    async def _take(self) -> Child:
        while True:
            child = await self._idle.get()
            if child.alive:
                return child
            self._drop(child)

    async def _give_back(self, child: Child, *, unfinished: bool) -> None:
        if self._closing:
            return
        worn = child.tasks_done >= self._limits.tasks or child.private_bytes() > self._limits.idle_bytes
        if unfinished or worn or not child.alive:
            # Shielded: a caller that is cancelled meanwhile must not leave the child running.
            await asyncio.shield(child.kill())
            self._drop(child)
        else:
            self._idle.put_nowait(child)

    def _drop(self, child: Child) -> None:
        self._children.discard(child)
        self._refill()

    def _refill(self) -> None:
        if not self._closing:
            task = asyncio.create_task(self._add())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _add(self) -> None:
        while True:
            try:
                child = await Child.start(self._limits.threads)
            except (OSError, ChildGoneError) as error:
                log.error("match_child_did_not_start", error=str(error))
                self._failed_starts += 1
                if self._failed_starts >= START_ATTEMPTS:
                    self._given_up.set()
                    return
                await asyncio.sleep(RESTART_SECONDS)
            else:
                self._failed_starts = 0
                self._children.add(child)
                self._idle.put_nowait(child)
                return

    @staticmethod
    async def _unless(cancelled: asyncio.Event, work: Any) -> Any:
        """The result of `work`, or CANCELLED as soon as `cancelled` is set."""
        working, waiting = asyncio.ensure_future(work), asyncio.create_task(cancelled.wait())
        try:
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise KallaError(Code.CANCELLED, "The run was cancelled.")
        finally:
            waiting.cancel()
            if not working.done():
                working.cancel()
