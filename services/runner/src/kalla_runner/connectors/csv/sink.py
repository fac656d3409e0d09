"""Writes record batches to an uncompressed Arrow IPC file that the engine maps into memory."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.storage import check_room

MOST_BATCH_ROWS: Final = 1 << 17
"""Rows of a batch at most: enough batches that the engine's threads share them."""


@contextmanager
def write_errors(folder: Path) -> Generator[None]:
    """Turns the operating system's errors on writing into the catalogue's."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"The disk of the staging folder {folder} is full; free some space and start again."
            raise KallaError(Code.STORAGE_FULL, message) from error
        reason = error.strerror or "the write failed"
        raise KallaError(
            Code.OUTPUT_NOT_WRITABLE, f"The staging folder {folder} cannot be written: {reason}."
        ) from error


class IpcSink:
    """One IPC file. Use it as a context manager; it is whole only after it was closed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._folder = path.parent
        self._schema = schema
        with write_errors(self._folder):
            self._file = pa.OSFile(str(path), "wb")
            self._writer = pa.ipc.new_file(self._file, schema)

    def write(self, columns: list[pa.Array]) -> None:
        """Append rows, in batches of up to MOST_BATCH_ROWS of about equal size."""
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        for part in even_slices(batch):
            with write_errors(self._folder):
                check_room(self._folder)
                self._writer.write_batch(part)

    def close(self, *, complete: bool) -> None:
        """Write the footer, unless the file is given up, and close."""
        with write_errors(self._folder):
            try:
                if complete:
                    self._writer.close()
            finally:
                self._file.close()


def even_slices(batch: pa.RecordBatch) -> Generator[pa.RecordBatch]:
    """The batch in as few slices of up to MOST_BATCH_ROWS rows as will do, all about as long."""
    if not batch.num_rows:
        return
    count = -(-batch.num_rows // MOST_BATCH_ROWS)
    step = -(-batch.num_rows // count)
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)
