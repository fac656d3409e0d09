"""Reads a page of an output file without reading the rest."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings

from kalla_runner.pinned import PinnedBytes, pin_file
from kalla_runner.s3.address import is_s3, parse_s3
from kalla_runner.s3.objects import S3Reading

BATCH_ROWS: Final = 1 << 14
"""Few: an output may be read by many clients at once, each of which holds a batch."""
_BUFFER_BYTES: Final = 1 << 18


@contextmanager
def pinned_output(path: str, s3: S3Settings, scratch: Path) -> Generator[PinnedBytes]:
    """An output at a path or s3:// URI, in its present state.

    Raises:
        KallaError: DATA_NOT_FOUND, ACCESS_DENIED, SOURCE_UNREACHABLE.
    """
    if not is_s3(path):
        yield pin_file(Path(path))
        return
    reading = S3Reading(s3, scratch)
    try:
        yield reading.pin(parse_s3(path))
    finally:
        reading.close()


def read_output(
    output: PinnedBytes, limit: int | None = None, offset: int = 0
) -> tuple[pa.Schema, int, Iterator[pa.RecordBatch]]:
    """A page of an output, in the file's order; only the row groups that the page touches are decoded.

    Args:
        output: a Parquet file.
        limit: most rows to return, None for all; not negative.
        offset: rows to skip; not negative.

    Returns:
        The schema, the rows in the whole file, and the page's batches, read as they are asked for.

    Raises:
        KallaError: INVALID_REQUEST for a negative limit or offset, INVALID_DATA (also while iterating)
            if it is not a Parquet file, or what reading raises.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise KallaError(Code.INVALID_REQUEST, "limit and offset must not be negative.")
    try:
        raw = output.arrow_file()
        # Pieces of a local file cost nothing; of an object each is a request.
        file = pq.ParquetFile(raw, buffer_size=_BUFFER_BYTES if output.near else 0)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(output) from error
    total = file.metadata.num_rows
    end = total if limit is None else min(total, offset + limit)
    return file.schema_arrow, total, _rows(output, raw, file, offset, end)


def _rows(
    output: PinnedBytes, raw: pa.NativeFile, file: pq.ParquetFile, start: int, end: int
) -> Iterator[pa.RecordBatch]:
    groups, position = _groups(file, start, end)
    with raw, file:
        if not groups:
            return
        try:
            for batch in file.iter_batches(
                min(BATCH_ROWS, end - position), row_groups=groups, use_threads=False
            ):
                low, high = max(start - position, 0), min(end - position, batch.num_rows)
                position += batch.num_rows
                if low < high:
                    yield batch.slice(low, high - low)
                if position >= end:
                    return
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(output) from error


def _groups(file: pq.ParquetFile, start: int, end: int) -> tuple[list[int], int]:
    """The row groups that hold rows start to end, and the number of their first row."""
    groups: list[int] = []
    position = first = 0
    for index in range(file.num_row_groups):
        after = position + file.metadata.row_group(index).num_rows
        if position < end and after > start:
            first = first if groups else position
            groups.append(index)
        position = after
    return groups, first


def _unreadable(output: PinnedBytes) -> KallaError:
    return KallaError(Code.INVALID_DATA, f"The output {output.name} cannot be read as a Parquet file.")
