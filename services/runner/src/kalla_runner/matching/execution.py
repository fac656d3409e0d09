"""Runs one query and hands its batches to one consumer, while its partitions work in threads of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa
from datafusion import ExecutionPlan, RecordBatchStream, SessionContext

_AHEAD: Final = 4
"""Batches that may wait for the consumer; more would only hold memory."""
_PATIENCE_SECONDS: Final = 0.1


def run_plan(
    session: SessionContext,
    plan: ExecutionPlan,
    observe: Callable[[pa.RecordBatch], pa.RecordBatch],
    idle: Callable[[], None],
) -> Iterator[pa.RecordBatch]:
    """The batches of a query, in the query's order if it has one.

    Args:
        session: the session that the plan was made in.
        plan: the physical plan; every partition is run once.
        observe: called for every batch in the partition's thread; what it returns is handed on.
        idle: called in the consumer's thread, about every 0.1 s or for every batch.
    """
    streams = [session.execute(plan, partition) for partition in range(plan.partition_count)]
    pumps = _Pumps(streams, observe)
    try:
        for batch in pumps.batches(idle):
            idle()
            yield batch
    finally:
        pumps.stop()


class _Pumps:
    """One thread for each partition, pulling into a bounded queue."""

    def __init__(
        self, streams: list[RecordBatchStream], observe: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> None:
        self._observe = observe
        self._queue: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._pump, args=(stream,), daemon=True) for stream in streams
        ]
        for thread in self._threads:
            thread.start()

    def _pump(self, stream: RecordBatchStream) -> None:
        try:
            for batch in stream:
                if self._stopped.is_set():
                    return
                self._put(self._observe(batch.to_pyarrow()))
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer; Rust panics included
            self._put(error)

    def _put(self, item: pa.RecordBatch | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_SECONDS)
            except queue.Full:
                continue
            return

    def batches(self, idle: Callable[[], None]) -> Iterator[pa.RecordBatch]:
        running = len(self._threads)
        while running:
            try:
                item = self._queue.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                idle()
                continue
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
