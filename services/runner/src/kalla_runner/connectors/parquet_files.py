"""Parquet files: which ones a local source means, what their footers say, their batches."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.parquet_types import common_type, plain_type
from kalla_runner.connectors.paths import OLE, ZIP, allowed_path, local_path
from kalla_runner.connectors.type_names import type_name
from kalla_runner.pinned import PinnedBytes, PinnedFiles, pin_file

BATCH_ROWS: Final = 1 << 16
_MAGIC: Final = 8
_BUFFER_BYTES: Final = 1 << 20
_FOOTERS_AT_ONCE: Final = 8
Unit = Literal["us", "ns"]


@dataclass(frozen=True, slots=True)
class ParquetPart:
    """One file as it was pinned.

    Attributes:
        source: its bytes.
        schema: plain types, before nanoseconds are judged.
        groups: rows of each row group.
        int96: columns in the outdated 96-bit timestamp format.
    """

    source: PinnedBytes
    schema: pa.Schema
    groups: tuple[int, ...]
    int96: frozenset[str]


def files_of(uri: str, roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """The file of a URI, or the files of its folder in the order of their names.

    Files whose names begin with a dot or an underscore are notes of other programs, not data.

    Raises:
        KallaError: PATH_NOT_ALLOWED, DATA_NOT_FOUND, ACCESS_DENIED, INVALID_URI or INVALID_DATA.
    """
    folder = local_path(uri)
    try:
        folder = folder.resolve()
        is_folder = any(folder.is_relative_to(root) for root in roots) and folder.is_dir()
        entries = sorted(folder.iterdir()) if is_folder else []
    except PermissionError as error:
        raise KallaError(Code.ACCESS_DENIED, f"The folder {uri} may not be read.") from error
    except (OSError, RuntimeError):
        is_folder, entries = False, []
    if not is_folder:
        return (allowed_path(uri, roots),)
    entries = [entry for entry in entries if entry.name[0] not in "._"]
    for entry in entries:
        if entry.is_dir():
            raise KallaError(
                Code.INVALID_DATA,
                f"The folder {uri} has the folder {entry.name!r} in it; name a folder of Parquet files only.",
            )
    if not entries:
        raise KallaError(Code.DATA_NOT_FOUND, f"The folder {uri} has no files in it.")
    return tuple(allowed_path(str(entry), roots) for entry in entries)


def pin_files(uri: str, roots: tuple[Path, ...]) -> PinnedFiles:
    """The files of a URI in their present state.

    Raises:
        KallaError: as `files_of`.
    """
    # Before anything is read: what is written in between then shows as a change.
    parts = tuple(pin_file(path) for path in files_of(uri, roots))

    def check_unchanged() -> None:
        for part in parts:
            part.check_unchanged()
        if files_of(uri, roots) != tuple(part.path for part in parts):
            raise KallaError(
                Code.SOURCE_CHANGED, f"The folder {uri} has other files than before; start again."
            )

    pin = {
        "path": uri,
        "files": len(parts),
        "size": sum(part.size for part in parts),
        "mtime_ns": max(part.mtime_ns for part in parts),
        **{f"file {part.path}": f"{part.size} bytes at {part.mtime_ns} ns" for part in parts},
    }
    return PinnedFiles(parts, pin, check_unchanged)


def read_footer(source: PinnedBytes) -> ParquetPart:
    """What the footer of a pinned file says.

    Raises:
        KallaError: INVALID_DATA if it is no Parquet file, or one without usable columns.
    """
    with opened(source) as file:
        found = file.schema_arrow
        names = list(found.names)
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if not names or twice is not None:
            problem = "has no columns" if twice is None else f"has the column {twice!r} twice"
            raise KallaError(Code.INVALID_DATA, f"The Parquet file {source.name} {problem}; write it again.")
        leaves = (file.schema.column(number) for number in range(len(file.schema)))
        return ParquetPart(
            source=source,
            schema=pa.schema([field.with_type(plain_type(field.type)).remove_metadata() for field in found]),
            groups=tuple(
                file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)
            ),
            int96=frozenset(leaf.path for leaf in leaves if leaf.physical_type == "INT96"),
        )


def read_footers(sources: Sequence[PinnedBytes]) -> tuple[ParquetPart, ...]:
    """The footers of all files of a source, several at once.

    Raises:
        KallaError: as `read_footer`.
    """
    if len(sources) == 1:
        return (read_footer(sources[0]),)
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE, "kalla-footer") as pool:
        return tuple(pool.map(read_footer, sources))


@contextmanager
def opened(source: PinnedBytes, unit: Unit = "ns") -> Generator[Any]:
    """A Parquet file; whatever cannot be read in it is a KallaError.

    Args:
        source: the file.
        unit: the unit of 96-bit timestamps.
    """
    try:
        with (
            source.arrow_file() as raw,
            pq.ParquetFile(
                # Column chunks of a local file are read piece by piece: one may be larger than memory.
                raw,
                coerce_int96_timestamp_unit=unit,
                buffer_size=_BUFFER_BYTES if source.near else 0,
            ) as file,
        ):
            yield file
    except PermissionError as error:
        raise KallaError(Code.ACCESS_DENIED, f"The file {source.name} may not be read.") from error
    except MemoryError:
        # Arrow's own is also an ArrowException; the border of the process knows what to say.
        raise
    except (OSError, pa.ArrowException) as error:
        if "magic bytes" in str(error) or "file size is" in str(error) or not source.size:
            message = no_parquet(source)
        else:
            message = f"The Parquet file {source.name} is damaged or uses a feature that cannot be read."
        raise KallaError(Code.INVALID_DATA, message) from error


def no_parquet(source: PinnedBytes) -> str:
    """Say what a file is that should be Parquet and is not, and what to do."""
    start = b""
    with suppress(KallaError), source.opened() as read_at:
        buffer = bytearray(min(_MAGIC, source.size))
        start = bytes(buffer[: read_at(0, memoryview(buffer))])
    if start.startswith((ZIP, OLE)):
        return (
            f"The file {source.name} is a spreadsheet (Excel or the like), which Kalla does not read; save "
            "the sheet as a CSV file."
        )
    return (
        f"The file {source.name} is not a Parquet file. CSV is read from files whose names end in .csv or "
        ".tsv (.gz may follow): if it is CSV, rename it; if it is of another kind, convert it to CSV or "
        "Parquet."
    )


def batches_of(
    part: ParquetPart, columns: Sequence[str], unit: Unit, first_group: int = 0
) -> Iterator[pa.RecordBatch]:
    """The rows of a file as they lie, from a row group on: of `columns` those that the file has.

    Where it has none of them, another column comes in their place, for its number of rows.
    """
    present = [name for name in columns if name in part.schema.names] or part.schema.names[:1]
    groups = list(range(first_group, len(part.groups)))
    # From far away, no more row groups are asked for than somebody wants rows of.
    at_once = [groups] if part.source.near else [[group] for group in groups]
    with opened(part.source, unit) as file:
        for some in at_once:
            yield from file.iter_batches(BATCH_ROWS, row_groups=some, columns=present)


def joint_schema(parts: Sequence[ParquetPart]) -> pa.Schema:
    """The one schema of all files: each column in the type that holds the values of all files exactly.

    Columns come in the order in which the files bring them. One that a file does not have is NULL in its
    rows; a column may be NULL if it may be in any file.

    Raises:
        KallaError: SCHEMA_MISMATCH naming the file and the column that differ, and how.
    """
    origins: dict[str, ParquetPart] = {}
    fields: dict[str, pa.Field] = {}
    for part in parts:
        for field in part.schema:
            known = fields.get(field.name)
            if known is None:
                origins[field.name], fields[field.name] = part, field
                continue
            common = common_type(known.type, field.type)
            if common is None:
                raise _differs(part, origins[field.name], known, field)
            fields[field.name] = pa.field(field.name, common, known.nullable or field.nullable)
    return pa.schema(
        [
            field if all(name in part.schema.names for part in parts) else field.with_nullable(True)
            for name, field in fields.items()
        ]
    )


def _differs(part: ParquetPart, origin: ParquetPart, known: pa.Field, found: pa.Field) -> KallaError:
    return KallaError(
        Code.SCHEMA_MISMATCH,
        f"The Parquet file {part.source.name} has the column {found.name!r} as {type_name(found.type)}, but "
        f"{origin.source.name} has it as {type_name(known.type)}, and no type holds both exactly; write both "
        "with one type.",
        column=found.name,
    )


def int96_unit(parts: Sequence[ParquetPart]) -> Unit:
    """The unit in which every 96-bit timestamp is exact: microseconds if possible, else nanoseconds.

    Raises:
        KallaError: INVALID_DATA if some need nanoseconds and others lie beyond the years they reach.
    """
    whole = in_range = True
    for part in parts:
        columns = sorted(part.int96)
        for micro, nano in zip(batches_of(part, columns, "us"), batches_of(part, columns, "ns"), strict=True):
            for name in columns:
                micros = micro.column(name).drop_null().cast(pa.int64()).to_numpy()
                nanos = nano.column(name).drop_null().cast(pa.int64()).to_numpy()
                # Both wrap around at 64 bits in the same way, so only a fraction makes them differ.
                whole = whole and bool((micros * np.int64(1000) == nanos).all())
                in_range = in_range and bool((nanos // 1000 == micros).all())
    if not whole and not in_range:
        raise KallaError(
            Code.INVALID_DATA,
            "The Parquet file has 96-bit timestamps with nanoseconds and others outside the years 1677 to "
            "2262, which no exact type holds together; write it with 64-bit timestamps.",
        )
    return "us" if whole else "ns"


def whole_microseconds(parts: Sequence[ParquetPart], column: str) -> bool:
    """Whether all nanosecond timestamps of a column are whole microseconds."""
    for part in parts:
        if not _has_nanoseconds(part, column):
            continue
        for batch in batches_of(part, [column], "ns"):
            if (batch.column(0).drop_null().cast(pa.int64()).to_numpy() % 1000).any():
                return False
    return True


def _has_nanoseconds(part: ParquetPart, column: str) -> bool:
    found = part.schema.field(column).type if column in part.schema.names else None
    return found is not None and pa.types.is_timestamp(found) and found.unit == "ns"
