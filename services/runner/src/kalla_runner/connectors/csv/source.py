"""CSV files as a source: typed over the whole file, staged as Arrow IPC files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.csv.blocks import UnprovenError, read_blocks
from kalla_runner.connectors.csv.bytes_in import FilePin, changed, check_pin, open_bytes, pin_file, read_head
from kalla_runner.connectors.csv.columns import ColumnReader, ColumnTypes, DeclaredMisfitError
from kalla_runner.connectors.csv.dialect import Dialect, read_dialect
from kalla_runner.connectors.csv.parse import BadBlockError, BlockParser
from kalla_runner.connectors.csv.passes import BLOCK_BYTES, CsvFile
from kalla_runner.connectors.csv.records import MalformedError
from kalla_runner.connectors.csv.sink import even_slices, write_errors
from kalla_runner.connectors.csv.whole import Known, KnownFiles, read_whole
from kalla_runner.connectors.declared import declared_types
from kalla_runner.connectors.filters import check_filters, filter_batches
from kalla_runner.connectors.paths import allowed_path
from kalla_runner.staging import StagedTable, StageProgress

_PREVIEW_BYTES: Final = 1 << 16
_SETTLED_SECONDS: Final = 0.1
"""Within one tick of the file system's clock a second write leaves no trace in the pin."""

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
        dialect = read_dialect(lambda size: read_head(pin, size), pin.path.name)
        return CsvSource(spec, pin, dialect, session.threads)


class CsvSource(OpenSource):
    """One pinned CSV file.

    Args:
        spec: what was asked for.
        pin: the file's state.
        dialect: from its header.
        threads: how many stretches of the file are read at once.
        block_bytes: text read and converted at a time.
    """

    def __init__(
        self, spec: SourceSpec, pin: FilePin, dialect: Dialect, threads: int, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.spec = spec
        self.pin = {
            "path": str(pin.path),
            "size": pin.size,
            "mtime_ns": pin.mtime_ns,
            "inode": pin.inode,
        }
        self._file = CsvFile(pin, dialect, block_bytes=block_bytes)
        self._threads = threads
        self._declared = _declared(spec, dialect.names)
        self._known: Known | None = None

    def schema(self) -> pa.Schema:
        """The exact types, decided on the whole file, which is read once per state of it."""
        return self._look().schema

    def count(self) -> int:
        """Rows after the filters of the spec."""
        known = self._look()
        if not self.spec.filters:
            return known.rows
        filters = check_filters(self.spec.filters, known.schema)
        wanted = list(dict.fromkeys(typed.column for typed in filters))
        batches = self._batches(known, self._file.block_bytes, wanted)
        return sum(batch.num_rows for batch in filter_batches(batches, filters))

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """Rows after the filters, in the file's order; blocks are read as they are asked for."""
        known = self._look()
        filters = check_filters(self.spec.filters, known.schema)
        few = limit is not None and offset == 0 and not filters
        size = min(_PREVIEW_BYTES, self._file.block_bytes) if few else self._file.block_bytes
        left = limit
        if left == 0:
            return
        for batch in filter_batches(self._batches(known, size, known.schema.names), filters):
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
        """Convert the whole file into IPC files below `folder`; nothing remains there on failure."""
        size, most = max(self._file.pin.size, 1), 0.0

        def report(done: int) -> None:
            # A second pass begins again at the first byte; what is told must not fall.
            nonlocal most
            if done / size > most:
                most = min(done / size, 1.0)
                progress(most)

        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        known, files = read_whole(
            self._file,
            self._declared,
            self._threads,
            known=self._remembered(),
            folder=folder,
            progress=report,
        )
        try:
            self.check_unchanged()
            self._remember(known)
            check_filters(self.spec.filters, known.schema)
        except BaseException:
            for path in files:
                path.unlink(missing_ok=True)
            raise
        progress(1.0)
        return StagedTable(self.spec.alias, known.schema, "arrow", files, known.rows, self.spec.filters)

    def check_unchanged(self) -> None:
        """Raise SOURCE_CHANGED if the file was written or replaced since it was opened."""
        check_pin(self._file.pin)

    def _remembered(self) -> Known | None:
        if self._known is None:
            self._known = _KNOWN.get(self._file.pin, self.spec.schema)
        return self._known

    def _remember(self, known: Known) -> None:
        self._known = known
        if time.time() - self._file.pin.mtime_ns / 1e9 > _SETTLED_SECONDS:
            _KNOWN.put(self.spec.schema, known)

    def _look(self) -> Known:
        known = self._remembered()
        if known is None:
            known, _ = read_whole(self._file, self._declared, self._threads)
            self.check_unchanged()
            self._remember(known)
        return known

    def _batches(self, known: Known, block_bytes: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in order, converted to the known types; only the columns `names`."""
        file, schema = known.file, known.schema
        places = [schema.get_field_index(name) for name in names]
        columns = ColumnTypes(
            tuple(known.columns.types[place] for place in places),
            tuple(known.columns.declared[place] for place in places),
        )
        wanted = pa.schema([schema.field(place) for place in places])
        parser, reader = BlockParser(file.dialect, names), ColumnReader(columns, shapes=False)
        start = file.dialect.data_start
        self.check_unchanged()
        try:
            with open_bytes(file.pin, start) as text:
                for block in read_blocks(
                    text.read_into, start, block_bytes, file.dialect.delimiter, strict=file.strict
                ):
                    arrays = reader.convert(parser.parse(block))
                    self.check_unchanged()
                    if reader.broken:
                        raise changed(file.pin)
                    yield from even_slices(pa.RecordBatch.from_arrays(arrays, schema=wanted))
        except (UnprovenError, MalformedError, BadBlockError, DeclaredMisfitError) as error:
            # The whole file was read without such an error, so it is not the same any more.
            raise changed(file.pin) from error


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
