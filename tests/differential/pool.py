"""Workers that check cases, watched: one that hangs or dies costs its case, which is a defect."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tests.differential.check import Outcome, Verdict, check
from tests.differential.generate import make_case
from tests.differential.oracle import Oracle
from tests.differential.postgres import PostgresOracle

PATIENCE_SECONDS = 60.0
"""A case may take so long before its worker is given up."""
_CHUNK = 20
_SPAWN = get_context("spawn")  # the engines' threads do not survive a fork

Prepare = Callable[[], None]


def outcomes(
    seeds: Sequence[int], jobs: int, postgres_url: str | None = None, prepare: Prepare | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Check the cases of these seeds in `jobs` processes, in any order.

    Args:
        seeds: of the cases.
        jobs: how many processes.
        postgres_url: of a server for the cases that PostgreSQL answers too; None leaves it out.
        prepare: called in each process before its first case; a function of a module.
    """
    waiting = [list(seeds[at : at + _CHUNK]) for at in range(0, len(seeds), _CHUNK)]
    waiting.reverse()
    workers = [_Worker(postgres_url, prepare) for _ in range(min(jobs, len(waiting)))]
    try:
        while True:
            for worker in workers:
                if not worker.seeds and waiting:
                    worker.give(waiting.pop())
            busy = [worker for worker in workers if worker.seeds]
            if not busy:
                return
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                yield from worker.results()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process, the seeds that it still owes an outcome for, and since when it works on the first."""

    def __init__(self, postgres_url: str | None, prepare: Prepare | None) -> None:
        self._start = (postgres_url, prepare)
        self.seeds: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, *self._start), daemon=True)
        self._process.start()
        theirs.close()
        self._since = time.monotonic()

    def give(self, seeds: list[int]) -> None:
        self.seeds = seeds
        self.pipe.send(seeds)
        self._since = time.monotonic()

    def results(self) -> Iterator[tuple[int, Outcome]]:
        """Yield the outcomes that are there; a process that hangs or is gone is replaced."""
        try:
            while self.seeds and self.pipe.poll():
                outcome = self.pipe.recv()
                self._since = time.monotonic()
                yield self.seeds.pop(0), outcome
        except EOFError:
            yield self._given_up("crash: the process died")
        if self.seeds and time.monotonic() - self._since > PATIENCE_SECONDS:
            yield self._given_up(f"hang: no answer within {PATIENCE_SECONDS:.0f} s")

    def _given_up(self, reason: str) -> tuple[int, Outcome]:
        self.stop()
        seed = self.seeds.pop(0)
        self._begin()
        if self.seeds:
            self.give(self.seeds)
        return seed, Outcome(Verdict.DEFECT, reason)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _work(pipe: Connection, postgres_url: str | None, prepare: Prepare | None) -> None:
    if prepare is not None:
        prepare()
    with ExitStack() as closing:
        oracle = Oracle()
        closing.callback(oracle.close)
        postgres = PostgresOracle(postgres_url) if postgres_url else None
        if postgres is not None:
            closing.callback(postgres.close)
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="kalla-differential-"))
        while True:
            try:
                seeds = pipe.recv()
            except EOFError:
                return
            for seed in seeds:
                # Half of what one pass answers is answered on the general path too.
                case, both = make_case(seed), seed % 2 == 0
                pipe.send(check(case, oracle, Path(folder) / str(seed), postgres, both=both))
