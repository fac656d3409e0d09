"""Small files that are huge once they are unpacked."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PIECE_BYTES = 1 << 26


def packed(path: Path, head: bytes, filling: bytes, pieces: int = 96, tail: bytes = b"") -> Path:
    """A gzip file of about `pieces` times 64 MB of `filling` between a head and a tail."""
    piece = gzip.compress(filling * (PIECE_BYTES // len(filling)), 1)
    with path.open("wb") as file:
        file.write(gzip.compress(head))
        for _ in range(pieces):
            file.write(piece)
        file.write(gzip.compress(tail))
    return path


def repeated_value(path: Path, value_bytes: int = 25_000, rows: int = 4_000_000) -> Path:
    """A Parquet file of one row group, whose text column decodes to 100 GB."""
    texts = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array(["x" * value_bytes])
    )
    ids = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([7]))
    table = pa.table({"id": ids, "ref": texts})
    pq.write_table(table, path, row_group_size=rows, write_statistics=False, store_schema=False)
    return path
