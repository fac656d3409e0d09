"""Decides a CSV file's types over the whole of it, in one pass wherever the first guess holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.csv.blocks import UnprovenError, read_blocks
from kalla_runner.connectors.csv.bytes_in import FilePin, check_pin, is_gzip, open_bytes
from kalla_runner.connectors.csv.columns import ColumnTypes
from kalla_runner.connectors.csv.parse import BadBlockError, BlockParser
from kalla_runner.connectors.csv.passes import CsvFile, Pass, StrictNeededError
from kalla_runner.connectors.csv.records import MalformedError
from kalla_runner.connectors.text_types import Kind, Shape, shape_of

_FIRST_BYTES: Final = 1 << 16
_SAMPLE_BYTES: Final = 1 << 14
_SAMPLES: Final = 8
_SAMPLED_COLUMNS: Final = 200
_MOST_PASSES: Final = 4
"""Simple rule, strict rules, and again with the types found: a fourth failure means a changing file."""

Declared = dict[str, pa.DataType]


@dataclass(frozen=True, slots=True)
class Known:
    """What one whole look at a file told: how it is read, its types and rows."""

    file: CsvFile
    columns: ColumnTypes
    rows: int

    @property
    def schema(self) -> pa.Schema:
        """Names and types; any field of a text file may be empty, so all are nullable."""
        fields = zip(self.file.dialect.names, self.columns.types, strict=True)
        return pa.schema([pa.field(name, data_type) for name, data_type in fields])


def read_whole(
    file: CsvFile,
    declared: Declared,
    threads: int,
    *,
    known: Known | None = None,
    folder: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Known, tuple[Path, ...]]:
    """Read all rows, into IPC files if a folder is given.

    Args:
        file: what is read.
        declared: types by column name that win over what the values look like.
        threads: how many lanes are read at once.
        known: an earlier result for the same file, which saves guessing.
        folder: where the files go.
        progress: told the bytes done so far in the present pass.

    Raises:
        KallaError: INVALID_DATA, SCHEMA_MISMATCH, SOURCE_CHANGED, STORAGE_FULL, ...
    """
    if known is not None:
        file, columns = known.file, known.columns
    else:
        columns = _column_types(file, declared, _guess(file))
    for _ in range(_MOST_PASSES):
        try:
            result = Pass(file, columns, folder, progress).run(threads)
        except StrictNeededError:
            file = replace(file, strict=True)
            continue
        found = _column_types(file, declared, [shape.data_type for shape in result.seen])
        if found == columns:
            return Known(file, columns, result.rows), result.files
        _remove(result.files)
        columns = found
    check_pin(file.pin)
    raise KallaError(Code.INTERNAL, f"The types of {file.pin.path.name} could not be settled.")


def _remove(files: tuple[Path, ...]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _column_types(file: CsvFile, declared: Declared, found: list[pa.DataType]) -> ColumnTypes:
    names = file.dialect.names
    types = tuple(declared.get(name, data_type) for name, data_type in zip(names, found, strict=True))
    return ColumnTypes(types, tuple(name in declared for name in names))


def _guess(file: CsvFile) -> list[pa.DataType]:
    """Types of a few rows from all over the file. A wrong guess costs a second pass, nothing else."""
    parser = BlockParser(file.dialect)
    shapes = [Shape(Kind.NULL)] * len(file.dialect.names)
    places = [file.dialect.data_start]
    size = file.pin.size - file.dialect.data_start
    if size > 4 * file.block_bytes and len(shapes) <= _SAMPLED_COLUMNS and not is_gzip(file.pin.path):
        places += [file.dialect.data_start + size * part // _SAMPLES for part in range(1, _SAMPLES)]
        places.append(max(file.pin.size - _SAMPLE_BYTES, file.dialect.data_start))
    for number, place in enumerate(places):
        try:
            found = _sample(file, parser, place) if number else _first_rows(file, parser)
        except (UnprovenError, BadBlockError, MalformedError):
            continue
        shapes = [one.join(other) for one, other in zip(shapes, found, strict=True)]
    return [shape.data_type for shape in shapes]


def _first_rows(file: CsvFile, parser: BlockParser) -> list[Shape]:
    start, delimiter = file.dialect.data_start, file.dialect.delimiter
    with open_bytes(file.pin, start) as text:
        for block in read_blocks(text.read_into, start, _FIRST_BYTES, delimiter, strict=file.strict):
            return [shape_of(values) for values in parser.parse(block)]
    return [Shape(Kind.NULL)] * len(file.dialect.names)


def _sample(file: CsvFile, parser: BlockParser, place: int) -> list[Shape]:
    """The shapes of rows in the middle; only a guess, for the place may lie in a quoted field."""
    buffer = bytearray(_SAMPLE_BYTES)
    with open_bytes(file.pin, place) as text:
        filled = text.read_into(memoryview(buffer))
    start = buffer.find(b"\n", 0, filled) + 1
    piece = bytes(buffer[start:filled])
    served = iter([piece])

    def read_into_piece(view: memoryview) -> int:
        part = next(served, b"")
        view[: len(part)] = part
        return len(part)

    blocks = read_blocks(read_into_piece, 0, len(piece), file.dialect.delimiter, strict=False)
    for block in blocks:
        return [shape_of(values) for values in parser.parse(block)]
    return [Shape(Kind.NULL)] * len(file.dialect.names)


class KnownFiles:
    """What was learnt of the files read last, so that a second look at one is fast. Thread-safe."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._lock = Lock()
        self._known: OrderedDict[tuple[FilePin, tuple[str, ...]], Known] = OrderedDict()

    def get(self, pin: FilePin, schema: tuple[str, ...]) -> Known | None:
        """What is known of a file in this state, read with this declared schema."""
        with self._lock:
            known = self._known.get((pin, schema))
            if known is not None:
                self._known.move_to_end((pin, schema))
            return known

    def put(self, schema: tuple[str, ...], known: Known) -> None:
        """Remember; the file looked at longest ago is forgotten."""
        with self._lock:
            self._known[known.file.pin, schema] = known
            self._known.move_to_end((known.file.pin, schema))
            while len(self._known) > self._most:
                self._known.popitem(last=False)
