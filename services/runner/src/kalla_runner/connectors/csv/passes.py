"""One pass over a CSV file: all lanes, in parallel, under one hypothesis about the types."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from kalla_common.errors import KallaError

from kalla_runner.connectors.csv import diagnose
from kalla_runner.connectors.csv.blocks import (
    Block,
    Lane,
    UnprovenError,
    read_blocks,
    split_lanes,
)
from kalla_runner.connectors.csv.bytes_in import FilePin, check_pin, is_gzip, open_bytes
from kalla_runner.connectors.csv.columns import (
    ColumnReader,
    ColumnTypes,
    DeclaredMisfitError,
    join_shapes,
)
from kalla_runner.connectors.csv.dialect import Dialect
from kalla_runner.connectors.csv.parse import BadBlockError, BlockParser
from kalla_runner.connectors.csv.records import MalformedError
from kalla_runner.connectors.csv.sink import IpcSink
from kalla_runner.connectors.text_types import Shape
from kalla_runner.connectors.type_names import type_name

BLOCK_BYTES: Final = 1 << 23
"""Text read and converted at a time; small enough for caches, large enough to drown the overhead."""
_LANE_BYTES: Final = 1 << 23
_LANES_A_THREAD: Final = 4
"""More lanes than threads, so that a slow one does not keep the others waiting at the end."""


class StrictNeededError(Exception):
    """The pass failed under the simple rule for quotes: repeat it by the strict rules."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A pinned file and how it is read.

    Attributes:
        pin: its state.
        dialect: how it is written.
        strict: whether its row ends are found by the strict rules, in one lane.
        block_bytes: text read and converted at a time.
    """

    pin: FilePin
    dialect: Dialect
    strict: bool = False
    block_bytes: int = BLOCK_BYTES

    def lanes(self, threads: int) -> tuple[Lane, ...]:
        """The stretches that `threads` threads read; only one where the file must be read in order."""
        size = self.pin.size - self.dialect.data_start
        count = min(threads * _LANES_A_THREAD, size // min(_LANE_BYTES, self.block_bytes))
        if threads < 2 or count < 2 or self.strict or is_gzip(self.pin.path):  # noqa: PLR2004 - nothing to share
            return (Lane(self.dialect.data_start, self.pin.size),)
        return split_lanes(self.pin, self.dialect.data_start, count)

    def block_size(self, lane: Lane) -> int:
        """Bytes to read at a time in a lane: no more than it has, where that is known."""
        if is_gzip(self.pin.path):
            return self.block_bytes
        return min(self.block_bytes, max(lane.end - lane.start, 0) + 1)


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass found: rows, each column's shape, and the files written (none if types were broken)."""

    rows: int
    seen: Sequence[Shape]
    files: tuple[Path, ...]


class Pass:
    """Reads the whole file once.

    Args:
        file: what is read.
        columns: the types to convert to.
        folder: where the rows go as IPC files; None if only types and count are wanted.
        progress: told the bytes done so far; called from one thread at a time.
    """

    def __init__(
        self, file: CsvFile, columns: ColumnTypes, folder: Path | None, progress: Callable[[int], None]
    ) -> None:
        self._file = file
        self._columns = columns
        self._folder = folder
        self._progress = progress
        self._parser = BlockParser(file.dialect)
        fields = zip(file.dialect.names, columns.types, strict=True)
        self._schema = pa.schema([pa.field(name, data_type) for name, data_type in fields])
        self._lock = threading.Lock()
        self._done = 0
        self._stop = threading.Event()
        self._useless = threading.Event()

    def run(self, threads: int) -> PassResult:
        """Read all lanes with up to `threads` threads.

        Raises:
            StrictNeededError: the simple rule for quotes did not hold; only if the file is not `strict`.
            KallaError: INVALID_DATA, SCHEMA_MISMATCH, SOURCE_CHANGED, STORAGE_FULL, ...
        """
        lanes = self._file.lanes(threads)
        paths = (
            [self._folder / f"part-{index:05d}.arrow" for index in range(len(lanes))] if self._folder else []
        )
        targets: Sequence[Path | None] = paths or [None] * len(lanes)
        try:
            results = self._read_lanes(lanes, targets, threads)
        except BaseException:
            _remove(paths)
            raise
        if self._useless.is_set():
            _remove(paths)
            paths = []
        seen = join_shapes([reader.seen for _, reader in results])
        return PassResult(sum(rows for rows, _ in results), seen, tuple(paths))

    def _read_lanes(
        self, lanes: Sequence[Lane], targets: Sequence[Path | None], threads: int
    ) -> list[tuple[int, ColumnReader]]:
        if len(lanes) == 1:
            return [self._lane(lanes[0], targets[0])]
        with ThreadPoolExecutor(min(threads, len(lanes)), "kalla-csv") as pool:
            futures = [pool.submit(self._lane, *work) for work in zip(lanes, targets, strict=True)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, _StoppedError | StrictNeededError):
                raise error
        if errors:
            raise StrictNeededError
        return [future.result() for future in futures]

    def _lane(self, lane: Lane, target: Path | None) -> tuple[int, ColumnReader]:
        try:
            sink = IpcSink(target, self._schema) if target else None
            complete = False
            try:
                result = self._read_lane(lane, sink)
                complete = not self._useless.is_set()
            finally:
                if sink is not None:
                    sink.close(complete=complete)
        except BaseException:
            self._stop.set()
            raise
        return result

    def _read_lane(self, lane: Lane, sink: IpcSink | None) -> tuple[int, ColumnReader]:
        file, reader = self._file, ColumnReader(self._columns)
        rows, told, position, block = 0, 0, lane.start, None
        try:
            with open_bytes(file.pin, lane.start, lane.end) as text:
                size, delimiter = file.block_size(lane), file.dialect.delimiter
                for block in read_blocks(text.read_into, lane.start, size, delimiter, strict=file.strict):
                    rows += self._block(block, reader, sink)
                    position = block.start + block.size
                    self._report(text.consumed() - told)
                    told = text.consumed()
        except UnprovenError as error:
            raise StrictNeededError from error
        except (MalformedError, BadBlockError, DeclaredMisfitError) as error:
            if not file.strict:
                raise StrictNeededError from error
            check_pin(file.pin)
            raise self._explain(error, block, position, rows) from error
        return rows, reader

    def _block(self, block: Block, reader: ColumnReader, sink: IpcSink | None) -> int:
        if self._stop.is_set():
            raise _StoppedError
        columns = reader.convert(self._parser.parse(block))
        if reader.broken:
            self._useless.set()
        if sink is not None and not self._useless.is_set():
            sink.write(columns)
        return len(columns[0])

    def _report(self, more: int) -> None:
        with self._lock:
            self._done += more
            self._progress(self._done)

    def _explain(self, error: Exception, block: Block | None, position: int, rows: int) -> KallaError:
        pin, dialect = self._file.pin, self._file.dialect
        if isinstance(error, MalformedError):
            return diagnose.malformed(pin, error, position)
        assert block is not None  # noqa: S101 - the error was raised for a block
        if isinstance(error, DeclaredMisfitError):
            declared = type_name(self._columns.types[error.column])
            return diagnose.declared_misfit(pin, dialect, block, error, rows_before=rows, type_text=declared)
        return diagnose.bad_block(pin, dialect, block, str(error))


class _StoppedError(Exception):
    """Another lane failed."""


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
