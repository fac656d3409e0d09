"""A stream of rows as a file in one of three formats, piece by piece and in bounded memory.

| format | NULL | empty text |
|---|---|---|
| Parquet, Arrow stream | null | "" |
| CSV (UTF-8, comma, CRLF, quotes where needed) | nothing | `""` |

CSV cells are data: a cell that begins with = + - or @ stays as it is.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as _compute
import pyarrow.parquet as pq
from kalla_common.arrow_text import column_text, slices

# Arrow makes its compute functions at import time: no checker knows them.
pc: Any = _compute

ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
_NEEDS_QUOTES: Final = '[",\r\n]|^$|^[ \t]|[ \t]$'


class Encoder(Protocol):
    """Turns batches into the bytes of one file."""

    def begin(self) -> bytes:
        """The bytes before the first batch."""
        ...

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """The bytes of one batch; may be empty until enough has come together."""
        ...

    def end(self) -> bytes:
        """The bytes after the last batch."""
        ...


class CsvEncoder:
    """CSV with a header line."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def begin(self) -> bytes:
        """The header line."""
        header = pa.RecordBatch.from_arrays(
            [pa.array([name]) for name in self._schema.names],
            names=[str(number) for number in range(len(self._schema))],
        )
        return csv_lines(header)

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """One line a row."""
        return b"".join(csv_lines(part) for part in slices(batch))

    def end(self) -> bytes:
        """Nothing."""
        return b""


def csv_lines(batch: pa.RecordBatch) -> bytes:
    """The CSV lines of a batch with at least one row and one column."""
    cells = [_quoted(column_text(column)) for column in batch.columns]
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
    ended = pc.binary_join_element_wise(lines, pa.scalar(""), "\r\n")
    # The texts of an array lie one after another: its data buffer is the file.
    offsets = memoryview(ended.buffers()[1]).cast("i")
    start, stop = offsets[ended.offset], offsets[ended.offset + len(ended)]
    return bytes(ended.buffers()[2][start:stop])


def _quoted(texts: pa.Array) -> pa.Array:
    needs = pc.match_substring_regex(texts, _NEEDS_QUOTES)
    if not pc.any(needs).as_py():
        return texts
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(needs, quoted, texts)


class _Drained(io.RawIOBase):
    """A sink that hands out what was written since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def drain(self) -> bytes:
        """Everything since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class ParquetEncoder:
    """One Parquet file; a row group holds about ROW_GROUP_BYTES."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Drained()
        self._schema = schema
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def begin(self) -> bytes:
        """The magic number."""
        return self._sink.drain()

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """Whatever row group became full."""
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()
        return self._sink.drain()

    def end(self) -> bytes:
        """The last row group and the footer."""
        self._flush()
        self._writer.close()
        return self._sink.drain()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting, self._waiting_bytes = [], 0


class ArrowEncoder:
    """One Arrow IPC stream."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Drained()
        self._writer: Any = pa.ipc.new_stream(self._sink, schema)

    def begin(self) -> bytes:
        """The schema, as soon as Arrow writes it."""
        return self._sink.drain()

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """The batch."""
        self._writer.write_batch(batch)
        return self._sink.drain()

    def end(self) -> bytes:
        """The end of the stream."""
        self._writer.close()
        return self._sink.drain()


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format, by its media type."""

    media_type: str
    suffix: str
    encoder: Callable[[pa.Schema], Encoder]


FILE_FORMATS: Final = {
    "application/vnd.apache.parquet": FileFormat("application/vnd.apache.parquet", "parquet", ParquetEncoder),
    "text/csv": FileFormat("text/csv; charset=utf-8; header=present", "csv", CsvEncoder),
    "application/vnd.apache.arrow.stream": FileFormat(
        "application/vnd.apache.arrow.stream", "arrows", ArrowEncoder
    ),
}


async def encoded(
    schema: pa.Schema,
    batches: AsyncIterator[pa.RecordBatch],
    make: Callable[[pa.Schema], Encoder],
    in_thread: Callable[..., Any],
) -> AsyncIterator[bytes]:
    """Yield the bytes of the file.

    Args:
        schema: of all batches.
        batches: the rows.
        make: the format.
        in_thread: awaits a blocking call in a thread; encoding must not stop the event loop.
    """
    encoder = make(schema)
    if first := encoder.begin():
        yield first
    async for batch in batches:
        if part := await in_thread(encoder.batch, batch):
            yield part
    if last := await in_thread(encoder.end):
        yield last
