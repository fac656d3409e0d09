"""Brings the parts of a source to local disk: one Arrow file a part, several parts at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import pyarrow as pa

from kalla_runner.staging import StagedTable, StageProgress
from kalla_runner.storage import check_room, storage_errors

PartT = TypeVar("PartT")
Advance = Callable[[int], None]
"""Told how much of a part's weight has been read, part by part of it, at most all of it."""


def stage_parts(
    parts: Sequence[tuple[PartT, int]],
    read: Callable[[PartT, Advance], Generator[pa.RecordBatch]],
    schema: pa.Schema,
    folder: Path,
    *,
    alias: str,
    progress: StageProgress,
    threads: int,
) -> StagedTable:
    """Write the rows of every part to a file of its own.

    The files are in the order of the parts, whichever thread wrote them, so that the same
    snapshot gives the same rows in the same order. Memory is bounded by a few batches a thread.

    Args:
        parts: at least one, and how much each is of the whole.
        read: reads one, in any thread; what it does not say of its weight counts when it ends.
        schema: of its batches.
        folder: where the files go; made if missing.
        alias: the source's.
        progress: told the fraction of the weights that is done.
        threads: how many parts may be read at once.

    Raises:
        KallaError: from `read`, or STORAGE_FULL, OUTPUT_NOT_WRITABLE.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    total = max(1, sum(weight for _, weight in parts))
    done, lock, stop = 0, Lock(), Event()

    def add(weight: int) -> None:
        nonlocal done
        with lock:
            done += weight
            progress(done / total)

    def one(path: Path, part: PartT, weight: int) -> int:
        told = 0

        def advance(more: int) -> None:
            nonlocal told
            told += more
            add(more)

        rows = _write(path, read(part, advance), schema, stop)
        add(weight - told)
        return rows

    progress(0.0)
    files = tuple(folder / f"{number:05}.arrow" for number in range(len(parts)))
    with ThreadPoolExecutor(min(threads, len(parts)), "stage") as pool:
        tasks = [
            pool.submit(one, path, part, weight) for path, (part, weight) in zip(files, parts, strict=True)
        ]
        try:
            rows = _total(tasks)
        except BaseException:
            stop.set()
            for task in tasks:
                task.cancel()
            raise
    return StagedTable(alias, schema, "arrow", files, rows)


def _total(tasks: Sequence[Future[int]]) -> int:
    # The first failure ends the wait, in whichever part it is.
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
            check_room(path.parent)
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
