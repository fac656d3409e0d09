"""Reads a page of an output file without reading the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_common.errors import Code, KallaError

BATCH_ROWS: Final = 1 << 16


def read_output(
    path: Path, limit: int | None = None, offset: int = 0
) -> tuple[pa.Schema, int, Iterator[pa.RecordBatch]]:
    """A page of an output, in the file's order; only the row groups that the page touches are decoded.

    Args:
        path: a Parquet file.
        limit: most rows to return, None for all; not negative.
        offset: rows to skip; not negative.

    Returns:
        The schema, the rows in the whole file, and the page's batches, read as they are asked for.

    Raises:
        KallaError: INVALID_REQUEST for a negative limit or offset, DATA_NOT_FOUND if the file does not
            exist, INVALID_DATA (also while iterating) if it is not a Parquet file.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise KallaError(Code.INVALID_REQUEST, "limit and offset must not be negative.")
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise KallaError(Code.DATA_NOT_FOUND, f"The output {path} does not exist.") from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path) from error
    total = file.metadata.num_rows
    end = total if limit is None else min(total, offset + limit)
    return file.schema_arrow, total, _rows(path, file, offset, end)


def _rows(path: Path, file: pq.ParquetFile, start: int, end: int) -> Iterator[pa.RecordBatch]:
    groups, position = _groups(file, start, end)
    with file:
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
            raise _unreadable(path) from error


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


def _unreadable(path: Path) -> KallaError:
    return KallaError(Code.INVALID_DATA, f"The output {path} cannot be read as a Parquet file.")
