"""One pass over the CSV files of a source: all lanes, in parallel, under one hypothesis about the types."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from kalla_runner.connectors.csv.bytes_in import is_gzip, open_bytes
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
from kalla_runner.pinned import PinnedBytes

BLOCK_BYTES: Final = 1 << 23
"""Text read and converted at a time; small enough for caches, large enough to drown the overhead."""
_LANE_BYTES: Final = 1 << 23
_MOST_LANE_BYTES: Final = 1 << 26
"""Lanes of a file that is still on its way here end early enough for reading to keep up with it."""
_LANES_A_THREAD: Final = 4
"""More lanes than threads, so that a slow one does not keep the others waiting at the end."""


class StrictNeededError(Exception):
    """Some files failed under the simple rule for quotes: repeat the pass by the strict rules for them.

    Attributes:
        files: their places in the source.
    """

    def __init__(self, files: frozenset[int]) -> None:
        super().__init__(files)
        self.files = files


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A pinned file and how it is read.

    Attributes:
        source: its bytes.
        dialect: how it is written.
        strict: whether its row ends are found by the strict rules, in one lane.
        block_bytes: text read and converted at a time.
    """

    source: PinnedBytes
    dialect: Dialect
    strict: bool = False
    block_bytes: int = BLOCK_BYTES

    def lanes(self, threads: int) -> Iterator[Lane]:
        """The stretches that `threads` threads read; only one where the file must be read in order."""
        size = self.source.size - self.dialect.data_start
        count = min(
            max(threads * _LANES_A_THREAD, size // _MOST_LANE_BYTES),
            size // min(_LANE_BYTES, self.block_bytes),
        )
        if threads < 2 or count < 2 or self.strict or is_gzip(self.source):  # noqa: PLR2004 - nothing to share
            return iter((Lane(self.dialect.data_start, self.source.size),))
        return split_lanes(self.source, self.dialect.data_start, count)

    def block_size(self, lane: Lane) -> int:
        """Bytes to read at a time in a lane: no more than it has, where that is known."""
        if is_gzip(self.source):
            return self.block_bytes
        return min(self.block_bytes, max(lane.end - lane.start, 0) + 1)


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass found: rows, each column's shape, and the IPC files written (none if types were broken)."""

    rows: int
    seen: Sequence[Shape]
    written: tuple[Path, ...]


LaneResult = tuple[int, ColumnReader]


class Pass:
    """Reads all files of a source once.

    Args:
        files: what is read, in order; all with the same columns.
        columns: the types to convert to.
        folder: where the rows go as IPC files; None if only types and count are wanted.
        progress: told the bytes done so far; called from one thread at a time.
    """

    def __init__(
        self,
        files: Sequence[CsvFile],
        columns: ColumnTypes,
        folder: Path | None,
        progress: Callable[[int], None],
    ) -> None:
        self._files = files
        self._columns = columns
        self._folder = folder
        self._progress = progress
        self._parsers = [BlockParser(file.dialect) for file in files]
        fields = zip(files[0].dialect.names, columns.types, strict=True)
        self._schema = pa.schema([pa.field(name, data_type) for name, data_type in fields])
        self._lock = threading.Lock()
        self._done = 0
        self._stop = threading.Event()
        self._useless = threading.Event()

    def run(self, threads: int) -> PassResult:
        """Read all lanes with up to `threads` threads.

        Raises:
            StrictNeededError: the simple rule for quotes did not hold in a file that is not `strict`.
            KallaError: INVALID_DATA, SCHEMA_MISMATCH, SOURCE_CHANGED, STORAGE_FULL, ...
        """
        paths: list[Path] = []
        try:
            results = self._read_lanes(threads, paths)
        except BaseException:
            _remove(paths)
            raise
        if self._useless.is_set():
            _remove(paths)
            paths = []
        seen = join_shapes([reader.seen for _, reader in results])
        return PassResult(sum(rows for rows, _ in results), seen, tuple(paths))

    def _read_lanes(self, threads: int, paths: list[Path]) -> list[LaneResult]:
        futures: list[Future[LaneResult]] = []
        with ThreadPoolExecutor(threads, "kalla-csv") as pool:
            try:
                for number, lane in self._lanes(threads):
                    target = self._folder and self._folder / f"part-{len(futures):05d}.arrow"
                    if target is not None:
                        paths.append(target)
                    futures.append(pool.submit(self._lane, number, lane, target))
                    if self._stop.is_set():
                        break
            except BaseException:
                self._stop.set()
                raise
        errors = [error for future in futures if (error := future.exception()) is not None]
        strict: frozenset[int] = frozenset()
        for error in errors:
            if isinstance(error, StrictNeededError):
                strict |= error.files
            elif not isinstance(error, _StoppedError):
                raise error
        if errors:
            raise StrictNeededError(strict)
        return [future.result() for future in futures]

    def _lanes(self, threads: int) -> Iterator[tuple[int, Lane]]:
        for number, file in enumerate(self._files):
            for lane in file.lanes(threads):
                yield number, lane

    def _lane(self, number: int, lane: Lane, target: Path | None) -> LaneResult:
        try:
            sink = IpcSink(target, self._schema) if target else None
            complete = False
            try:
                result = self._read_lane(number, lane, sink)
                complete = not self._useless.is_set()
            finally:
                if sink is not None:
                    sink.close(complete=complete)
        except BaseException:
            self._stop.set()
            raise
        return result

    def _read_lane(self, number: int, lane: Lane, sink: IpcSink | None) -> LaneResult:
        file, reader = self._files[number], ColumnReader(self._columns)
        rows, told, position, block = 0, 0, lane.start, None
        try:
            with open_bytes(file.source, lane.start, lane.end) as text:
                size, delimiter = file.block_size(lane), file.dialect.delimiter
                for block in read_blocks(text.read_into, lane.start, size, delimiter, strict=file.strict):
                    rows += self._block(self._parsers[number], block, reader, sink)
                    position = block.start + block.size
                    self._report(text.consumed() - told)
                    told = text.consumed()
        except UnprovenError as error:
            raise StrictNeededError(frozenset({number})) from error
        except (MalformedError, BadBlockError, DeclaredMisfitError) as error:
            if not file.strict:
                raise StrictNeededError(frozenset({number})) from error
            file.source.confirm()
            raise self._explain(file, error, block, position, rows) from error
        return rows, reader

    def _block(self, parser: BlockParser, block: Block, reader: ColumnReader, sink: IpcSink | None) -> int:
        if self._stop.is_set():
            raise _StoppedError
        columns = reader.convert(parser.parse(block))
        if reader.broken:
            self._useless.set()
        if sink is not None and not self._useless.is_set():
            sink.write(columns)
        return len(columns[0])

    def _report(self, more: int) -> None:
        with self._lock:
            self._done += more
            self._progress(self._done)

    def _explain(
        self, file: CsvFile, error: Exception, block: Block | None, position: int, rows: int
    ) -> KallaError:
        source, dialect = file.source, file.dialect
        if isinstance(error, MalformedError):
            return diagnose.malformed(source, error, position)
        assert block is not None  # noqa: S101 - the error was raised for a block
        if isinstance(error, DeclaredMisfitError):
            declared = type_name(self._columns.types[error.column])
            return diagnose.declared_misfit(
                source, dialect, block, error, rows_before=rows, type_text=declared
            )
        return diagnose.bad_block(source, dialect, block, str(error))


class _StoppedError(Exception):
    """Another lane failed."""


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
