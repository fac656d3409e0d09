"""Brings slices to local disk: one Arrow file a slice, several slices at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from threading import Event, Lock

import pyarrow as pa
from psycopg import sql

from kalla_runner.staging import StageProgress
from kalla_runner.storage import storage_errors

Read = Callable[[sql.Composed], Generator[pa.RecordBatch]]


def stage_slices(
    queries: Sequence[tuple[sql.Composed, int]],
    read: Read,
    schema: pa.Schema,
    folder: Path,
    *,
    progress: StageProgress,
    threads: int,
) -> tuple[tuple[Path, ...], int]:
    """Write every query's rows to a file of its own.

    The files are in the order of the queries, whichever thread wrote them, so that the same
    snapshot gives the same rows in the same order. Memory is bounded by a few batches a thread.

    Args:
        queries: the queries and how much each is of the whole.
        read: runs one, in any thread.
        schema: of its batches.
        folder: where the files go; made if missing.
        progress: told the fraction of the weights that is done.
        threads: how many queries may run at once.

    Returns:
        The files, and the rows in all of them.

    Raises:
        KallaError: from `read`, or STORAGE_FULL, OUTPUT_NOT_WRITABLE.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    total, done, lock, stop = sum(weight for _, weight in queries), 0, Lock(), Event()

    def one(path: Path, query: sql.Composed, weight: int) -> int:
        nonlocal done
        rows = _write(path, read(query), schema, stop)
        with lock:
            done += weight
            progress(done / total)
        return rows

    progress(0.0)
    files = tuple(folder / f"{number:05}.arrow" for number in range(len(queries)))
    with ThreadPoolExecutor(min(threads, len(queries)), "stage") as pool:
        tasks = [
            pool.submit(one, path, query, weight)
            for path, (query, weight) in zip(files, queries, strict=True)
        ]
        try:
            return files, _total(tasks)
        except BaseException:
            stop.set()
            for task in tasks:
                task.cancel()
            raise


def _total(tasks: Sequence[Future[int]]) -> int:
    # The first failure ends the wait, in whichever slice it is.
    finished, _ = wait(tasks, return_when=FIRST_EXCEPTION)
    for task in finished:
        if error := task.exception():
            raise error
    return sum(task.result() for task in tasks)


def _write(path: Path, batches: Generator[pa.RecordBatch], schema: pa.Schema, stop: Event) -> int:
    rows = 0
    with storage_errors(path), closing(batches), pa.ipc.new_file(path, schema) as writer:
        for batch in batches:
            if stop.is_set():
                break
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
