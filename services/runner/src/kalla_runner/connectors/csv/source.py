"""CSV files as a source: typed over all of them, staged as Arrow IPC files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.csv.blocks import UnprovenError, read_blocks
from kalla_runner.connectors.csv.bytes_in import open_bytes, read_head
from kalla_runner.connectors.csv.columns import ColumnReader, ColumnTypes, DeclaredMisfitError
from kalla_runner.connectors.csv.dialect import read_dialect
from kalla_runner.connectors.csv.parse import BadBlockError, BlockParser
from kalla_runner.connectors.csv.passes import BLOCK_BYTES, CsvFile
from kalla_runner.connectors.csv.records import MalformedError
from kalla_runner.connectors.csv.sink import even_slices, write_errors
from kalla_runner.connectors.csv.whole import Known, KnownFiles, guess, read_whole
from kalla_runner.connectors.declared import declared_types, listed_names, name_list
from kalla_runner.connectors.filters import check_filters, filter_batches
from kalla_runner.connectors.paths import allowed_path
from kalla_runner.pinned import PinnedBytes, PinnedFiles, pin_file
from kalla_runner.staging import StagedTable, StageProgress

_PREVIEW_BYTES: Final = 1 << 16
_HEADERS_AT_ONCE: Final = 8

_KNOWN: Final = KnownFiles()


class CsvConnector:
    """Opens local `.csv`, `.tsv` and gzip-compressed files."""

    def open(self, spec: SourceSpec, session: ReadSession) -> OpenSource:
        """Pin the file and read its header.

        Raises:
            KallaError: PATH_NOT_ALLOWED, DATA_NOT_FOUND, ACCESS_DENIED, INVALID_DATA (no usable
                header), SCHEMA_MISMATCH (a column that the schema lists is missing).
        """
        pin = pin_file(allowed_path(spec.uri, session.allowed_roots))
        return CsvSource(spec, PinnedFiles.one(pin), session)


class CsvSource(OpenSource):
    """Pinned CSV files with the same columns, read one after the other.

    Args:
        spec: what was asked for.
        pinned: the files.
        session: the frame in which they are read.
        block_bytes: text read and converted at a time.

    Raises:
        KallaError: INVALID_DATA (no usable header), SCHEMA_MISMATCH (a column that the schema lists
            is missing, or the files differ in their columns), or what reading raises.
    """

    def __init__(
        self, spec: SourceSpec, pinned: PinnedFiles, session: ReadSession, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.spec = spec
        self.pin = pinned.pin
        self._pinned = pinned
        self._files = _read_headers(pinned.parts, block_bytes, listed_names(spec))
        self._nearby: tuple[CsvFile, ...] | None = None
        self._closing = session.closing.enter_context(ExitStack())
        self._threads = session.threads
        self._declared = _declared(spec, self._files[0].dialect.names)
        self._known: Known | None = None

    def schema(self) -> pa.Schema:
        """The exact types, decided on the whole source, which is read once per state of it."""
        return self._look().schema

    def count(self) -> int:
        """Rows after the filters of the spec."""
        known = self._look()
        if not self.spec.filters:
            return known.rows
        filters = check_filters(self.spec.filters, known.schema)
        wanted = list(dict.fromkeys(typed.column for typed in filters))
        batches = self._batches(known, self._near(), wanted)
        return sum(batch.num_rows for batch in filter_batches(batches, filters))

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """Rows after the filters, in the files' order; blocks are read as they are asked for."""
        known = self._look()
        filters = check_filters(self.spec.filters, known.schema)
        if limit == 0:
            return
        if limit is not None and offset == 0 and not filters:
            few = [replace(file, block_bytes=min(_PREVIEW_BYTES, file.block_bytes)) for file in self._files]
            batches = self._batches(known, few, known.schema.names)
        else:
            batches = self._batches(known, self._near(), known.schema.names)
        left = limit
        for batch in filter_batches(batches, filters):
            if offset >= batch.num_rows:
                offset -= batch.num_rows
                continue
            part = batch.slice(offset, left)
            offset = 0
            yield part
            if left is not None:
                left -= part.num_rows
                if left == 0:
                    return

    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """Convert all files into IPC files below `folder`; nothing remains there on failure."""
        size, most = max(sum(file.source.size for file in self._files), 1), 0.0

        def report(done: int) -> None:
            # A second pass begins again at the first byte; what is told must not fall.
            nonlocal most
            if done / size > most:
                most = min(done / size, 1.0)
                progress(most)

        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            known, written = self._read_whole(folder, report)
        finally:
            self._let_go()
        try:
            self._confirm()
            self._remember(known)
            check_filters(self.spec.filters, known.schema)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        progress(1.0)
        return StagedTable(self.spec.alias, known.schema, "arrow", written, known.rows, self.spec.filters)

    def check_unchanged(self) -> None:
        """Raise SOURCE_CHANGED if a file was written, replaced, added or removed since it was opened."""
        self._pinned.check_unchanged()

    def _read_whole(
        self, folder: Path | None = None, progress: Callable[[int], None] = lambda _: None
    ) -> tuple[Known, tuple[Path, ...]]:
        # The guess comes before what it is about is on its way here, which would keep it waiting.
        hypothesis = self._remembered() or guess(self._nearby or self._files, self._declared)
        return read_whole(
            self._near(), self._declared, self._threads, hypothesis, folder=folder, progress=progress
        )

    def _near(self) -> tuple[CsvFile, ...]:
        """The files where all of them are read: what lies far away is brought here once."""
        if self._nearby is None:
            self._nearby = tuple(
                replace(file, source=self._closing.enter_context(file.source.nearby()))
                for file in self._files
            )
        return self._nearby

    def _let_go(self) -> None:
        self._closing.close()
        self._nearby = None

    def _confirm(self) -> None:
        for file in self._nearby or self._files:
            file.source.confirm()

    def _state(self) -> Hashable:
        return (*(file.source.identity for file in self._files), self.spec.schema)

    def _remembered(self) -> Known | None:
        if self._known is None:
            self._known = _KNOWN.get(self._state())
        return self._known

    def _remember(self, known: Known) -> None:
        self._known = known
        if all(file.source.settled for file in self._files):
            _KNOWN.put(self._state(), known)

    def _look(self) -> Known:
        known = self._remembered()
        if known is None:
            known, _ = self._read_whole()
            self._confirm()
            self._remember(known)
        return known

    def _batches(
        self, known: Known, files: Sequence[CsvFile], names: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """All rows in order, converted to the known types; only the columns `names`."""
        schema = known.schema
        places = [schema.get_field_index(name) for name in names]
        columns = ColumnTypes(
            tuple(known.columns.types[place] for place in places),
            tuple(known.columns.declared[place] for place in places),
        )
        wanted = pa.schema([schema.field(place) for place in places])
        reader = ColumnReader(columns, shapes=False)
        for file in known.read_as(files):
            for arrays in _converted(file, reader, names):
                yield from even_slices(pa.RecordBatch.from_arrays(arrays, schema=wanted))


def _converted(file: CsvFile, reader: ColumnReader, names: Sequence[str]) -> Iterator[list[pa.Array]]:
    """The columns `names` of one file, block by block."""
    parser, start, source = BlockParser(file.dialect, names), file.dialect.data_start, file.source
    delimiter = file.dialect.delimiter
    source.confirm()
    try:
        with open_bytes(source, start) as text:
            for block in read_blocks(text.read_into, start, file.block_bytes, delimiter, strict=file.strict):
                arrays = reader.convert(parser.parse(block))
                source.confirm()
                if reader.broken:
                    raise source.changed()
                yield arrays
    except (UnprovenError, MalformedError, BadBlockError, DeclaredMisfitError) as error:
        # The whole file was read without such an error, so it is not the same any more.
        raise source.changed() from error


def _read_headers(
    parts: Sequence[PinnedBytes], block_bytes: int, vouched: Collection[str]
) -> tuple[CsvFile, ...]:
    def header(part: PinnedBytes) -> CsvFile:
        dialect = read_dialect(lambda size: read_head(part, size), part.name, vouched)
        return CsvFile(part, dialect, block_bytes=block_bytes)

    if len(parts) == 1:
        return (header(parts[0]),)
    with ThreadPoolExecutor(_HEADERS_AT_ONCE, "kalla-csv-header") as pool:
        files = tuple(pool.map(header, parts))
    first = files[0]
    for file in files[1:]:
        if file.dialect.names != first.dialect.names:
            raise KallaError(
                Code.SCHEMA_MISMATCH,
                f"All files of a source need the same columns in the same order, but {file.source.name} has "
                f"{name_list(file.dialect.names)} and {first.source.name} has "
                f"{name_list(first.dialect.names)}.",
            )
    return files


def _declared(spec: SourceSpec, names: Sequence[str]) -> dict[str, pa.DataType]:
    declared = declared_types(spec, names)
    for column, data_type in declared.items():
        if pa.types.is_floating(data_type):
            raise KallaError(
                Code.SCHEMA_MISMATCH,
                f"Column {column!r} is declared float, but text becomes a float only by rounding; "
                "declare it decimal(p,s).",
                column=column,
            )
    return declared
