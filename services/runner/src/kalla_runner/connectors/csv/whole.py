"""Decides the types of CSV files over the whole of them, in one pass wherever the first guess holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.csv.blocks import UnprovenError, read_blocks
from kalla_runner.connectors.csv.bytes_in import is_gzip, open_bytes
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
    """What one whole look at a source told: which files are read strictly, its types and rows."""

    names: tuple[str, ...]
    columns: ColumnTypes
    rows: int
    strict: frozenset[int]

    @property
    def schema(self) -> pa.Schema:
        """Names and types; any field of a text file may be empty, so all are nullable."""
        fields = zip(self.names, self.columns.types, strict=True)
        return pa.schema([pa.field(name, data_type) for name, data_type in fields])

    def read_as(self, files: Sequence[CsvFile]) -> tuple[CsvFile, ...]:
        """The files as they must be read."""
        return tuple(
            replace(file, strict=file.strict or number in self.strict) for number, file in enumerate(files)
        )


def read_whole(
    files: Sequence[CsvFile],
    declared: Declared,
    threads: int,
    hypothesis: Known,
    *,
    folder: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Known, tuple[Path, ...]]:
    """Read all rows, into IPC files if a folder is given.

    Args:
        files: what is read, in order; all with the same columns.
        declared: types by column name that win over what the values look like.
        threads: how many lanes are read at once.
        hypothesis: what `guess` says, or an earlier result for the same files in the same state.
        folder: where the IPC files go.
        progress: told the bytes done so far in the present pass.

    Raises:
        KallaError: INVALID_DATA, SCHEMA_MISMATCH, SOURCE_CHANGED, STORAGE_FULL, ...
    """
    # Each failure under the simple rule makes at least one more file strict.
    for _ in range(_MOST_PASSES + len(files)):
        columns = hypothesis.columns
        try:
            result = Pass(hypothesis.read_as(files), columns, folder, progress).run(threads)
        except StrictNeededError as error:
            hypothesis = replace(hypothesis, strict=hypothesis.strict | error.files)
            continue
        types = [shape.data_type for shape in result.seen]
        found = _column_types(hypothesis.names, declared, types)
        if found == columns:
            return replace(hypothesis, rows=result.rows), result.written
        _remove(result.written)
        hypothesis = replace(hypothesis, columns=found)
    for file in files:
        file.source.confirm()
    raise KallaError(Code.INTERNAL, f"The types of {files[0].source.name} could not be settled.")


def _remove(files: tuple[Path, ...]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _column_types(names: Sequence[str], declared: Declared, found: list[pa.DataType]) -> ColumnTypes:
    types = tuple(declared.get(name, data_type) for name, data_type in zip(names, found, strict=True))
    return ColumnTypes(types, tuple(name in declared for name in names))


def guess(files: Sequence[CsvFile], declared: Declared) -> Known:
    """Types of a few rows from all over the source. A wrong guess costs a second pass, nothing else."""
    names = files[0].dialect.names
    shapes = [Shape(Kind.NULL)] * len(names)
    others = files[1 :: max(1, len(files) // _SAMPLES)]
    # Of the other files their first rows do: each lies elsewhere in the source already.
    looks = [*_looks(files[0]), *(partial(_first_rows, file, BlockParser(file.dialect)) for file in others)]
    with ThreadPoolExecutor(len(looks), "kalla-sample") as pool:
        # Where the source lies far away each is a request, and all are asked for at once.
        samples = list(pool.map(_tried, looks))
    for found in samples:
        if found is not None:
            shapes = [one.join(other) for one, other in zip(shapes, found, strict=True)]
    columns = _column_types(names, declared, [shape.data_type for shape in shapes])
    return Known(names, columns, 0, frozenset())


def _looks(file: CsvFile) -> list[Callable[[], list[Shape]]]:
    """Its first rows, and of a large file some from the middle and the end."""
    parser, start = BlockParser(file.dialect), file.dialect.data_start
    size = file.source.size - start
    looks: list[Callable[[], list[Shape]]] = [partial(_first_rows, file, parser)]
    narrow = len(file.dialect.names) <= _SAMPLED_COLUMNS
    if size > 4 * file.block_bytes and narrow and not is_gzip(file.source):
        places = [start + size * part // _SAMPLES for part in range(1, _SAMPLES)]
        if not file.source.near:
            # A request costs more than it saves in second passes, but the end tells most.
            places.clear()
        places.append(max(file.source.size - _SAMPLE_BYTES, start))
        looks += [partial(_sample, file, parser, place) for place in places]
    return looks


def _tried(look: Callable[[], list[Shape]]) -> list[Shape] | None:
    try:
        return look()
    except (UnprovenError, BadBlockError, MalformedError):
        return None


def _first_rows(file: CsvFile, parser: BlockParser) -> list[Shape]:
    start, delimiter = file.dialect.data_start, file.dialect.delimiter
    with open_bytes(file.source, start) as text:
        for block in read_blocks(text.read_into, start, _FIRST_BYTES, delimiter, strict=file.strict):
            return [shape_of(values) for values in parser.parse(block)]
    return [Shape(Kind.NULL)] * len(file.dialect.names)


def _sample(file: CsvFile, parser: BlockParser, place: int) -> list[Shape]:
    """The shapes of rows in the middle; only a guess, for the place may lie in a quoted field."""
    buffer = bytearray(_SAMPLE_BYTES)
    with open_bytes(file.source, place) as text:
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
    """What was learnt of the files read last, so that a second look at them is fast. Thread-safe."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._lock = Lock()
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def get(self, state: Hashable) -> Known | None:
        """What is known of files in this state; the state tells the declared schema as well."""
        with self._lock:
            known = self._known.get(state)
            if known is not None:
                self._known.move_to_end(state)
            return known

    def put(self, state: Hashable, known: Known) -> None:
        """Remember; what was looked at longest ago is forgotten."""
        with self._lock:
            self._known[state] = known
            self._known.move_to_end(state)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
