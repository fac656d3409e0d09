"""Writes one plain Parquet file, hashed as it is written and on the disk when closed."""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from kalla_runner.outputs.portable import portable_batch, portable_schema
from kalla_runner.storage import storage_errors

GROUP_ROWS: Final = 1 << 18
"""Rows of a row group: a page of results decodes one group, so groups stay small."""
GROUP_BYTES: Final = 64 << 20
"""A row group is written once it has this many bytes in memory, however few its rows are."""
PAGE_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One finished file: rows by its writer's count, size in bytes, sha256 of these bytes in hex."""

    name: str
    rows: int
    bytes: int
    sha256: str


class _HashedFile(io.RawIOBase):
    """A new file that hashes what is handed to the operating system."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # pyright: ignore[reportArgumentType] - pyarrow hands out buffers
        done = 0
        while done < len(view):
            done += self._file.write(view[done:]) or 0
        self._hash.update(view)
        self.size += done
        return done

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


class ParquetSink:
    """Takes the batches of one output, in order, from one thread at a time.

    Use as a context manager and call `finish` inside; leaving without it leaves a broken file,
    which the attempt's owner removes.

    Args:
        path: the file to make or replace.
        schema: of the batches; written as `portable_schema` of it.

    Raises:
        KallaError: INVALID_SQL (a type without a portable form), STORAGE_FULL, OUTPUT_NOT_WRITABLE.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = portable_schema(schema)
        self.rows = 0
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        with storage_errors(path):
            self._file = _HashedFile(path)
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._file, mode="w"),
                self.schema,
                compression="snappy",
                # Keys and amounts hardly repeat: dictionaries cost a quarter of the time and save nothing.
                use_dictionary=False,
                # Pages that fit the processor's cache: a sixth less time than with the default of 1 MB.
                data_page_size=PAGE_BYTES,
                # Up to 18 digits as plain integers: smaller, faster, and what Spark writes as well.
                store_decimal_as_integer=True,
            )

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; they reach the file a row group at a time."""
        batch = portable_batch(batch, self.schema)
        while batch.num_rows:
            part = batch.slice(0, GROUP_ROWS - self._held_rows)
            batch = batch.slice(part.num_rows)
            self._held.append(part)
            self._held_rows += part.num_rows
            self._held_bytes += part.nbytes
            if self._held_rows == GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
                self._write_group()

    def _write_group(self) -> None:
        with storage_errors(self.path):
            self._writer.write_table(pa.Table.from_batches(self._held, self.schema))
        self.rows += self._held_rows
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    def finish(self) -> WrittenFile:
        """Write the footer, bring the file to the disk and close it."""
        if self._held:
            self._write_group()
        with storage_errors(self.path):
            self._writer.close()
            self._file.sync()
            self._file.close()
        return WrittenFile(self.path.name, self.rows, self._file.size, self._file.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The file first: the Parquet writer would put a footer under a file that is not whole.
        self._file.close()
        with suppress(Exception):
            self._writer.close()
