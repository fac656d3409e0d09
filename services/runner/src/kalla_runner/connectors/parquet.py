"""Local Parquet files, or a folder of them, as a source.

Staging points to the files where they lie; the engine decodes them as it reads. Only what its
plain reader does not do (a declared type, 96-bit timestamps) is decoded into Arrow files first.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.declared import declared_types
from kalla_runner.connectors.filters import TypedFilter, check_filters, filter_batches
from kalla_runner.connectors.parquet_files import (
    ParquetPart,
    Unit,
    batches_of,
    files_of,
    int96_unit,
    joint_schema,
    read_footer,
    whole_microseconds,
)
from kalla_runner.connectors.parquet_types import convert_column, declared_schema
from kalla_runner.connectors.text_types import MisfitError
from kalla_runner.connectors.type_names import type_name
from kalla_runner.staging import StagedTable, StageProgress
from kalla_runner.storage import storage_errors


class ParquetSource(OpenSource):
    """A Parquet file, or the files of a folder in the order of their names."""

    def __init__(self, spec: SourceSpec, session: ReadSession) -> None:
        self.spec = spec
        self._roots = session.allowed_roots
        self._parts = tuple(read_footer(path) for path in files_of(spec.uri, self._roots))
        self._found = joint_schema(self._parts)
        self._declared = declared_types(spec, self._found.names)
        self.pin = {
            "path": spec.uri,
            "files": len(self._parts),
            "size": sum(part.size for part in self._parts),
            "mtime_ns": max(part.mtime_ns for part in self._parts),
            **{f"file {part.path}": f"{part.size} bytes at {part.mtime_ns} ns" for part in self._parts},
        }

    @cached_property
    def _unit(self) -> Unit:
        return int96_unit(self._parts) if any(part.int96 for part in self._parts) else "ns"

    @cached_property
    def _natural(self) -> pa.Schema:
        """The types before any declaration. Nanoseconds cost a look at all values of their column."""
        fields: list[pa.Field] = []
        int96 = frozenset[str]().union(*(part.int96 for part in self._parts))
        for field in self._found:
            kind = field.type
            if pa.types.is_timestamp(kind) and kind.unit == "ns":
                whole = (
                    self._unit == "us" if field.name in int96 else whole_microseconds(self._parts, field.name)
                )
                kind = pa.timestamp("us" if whole else "ns", kind.tz)
            fields.append(field.with_type(kind))
        return pa.schema(fields)

    @cached_property
    def _schema(self) -> pa.Schema:
        with self._one_state():
            return declared_schema(self._natural, self._declared, f"the Parquet file {self.spec.uri}")

    @cached_property
    def _filters(self) -> tuple[TypedFilter, ...]:
        return check_filters(self.spec.filters, self._schema)

    def schema(self) -> pa.Schema:
        """See OpenSource."""
        return self._schema

    def count(self) -> int:
        """See OpenSource. Without filters the footers say it."""
        if not self._filters:
            return sum(sum(part.groups) for part in self._parts)
        names = list(dict.fromkeys(typed.column for typed in self._filters))
        with self._one_state():
            return sum(batch.num_rows for batch in filter_batches(self._read(names), self._filters))

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """See OpenSource: in the order of the files and their rows."""
        with self._one_state():
            skipped = 0 if self._filters else offset
            batches = filter_batches(self._read(self._schema.names, skipped), self._filters)
            yield from _window(batches, limit, offset - skipped)

    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """See OpenSource. The filters are left to the engine."""
        _ = self._filters  # checked here, so that the engine can rely on them
        progress(0.0)
        total = sum(sum(part.groups) for part in self._parts)
        format_, files = "parquet", tuple(part.path for part in self._parts)
        if self._declared or any(part.int96 for part in self._parts):
            format_, files = "arrow", (self._decode(folder, total, progress),)
        self.check_unchanged()
        progress(1.0)
        return StagedTable(self.spec.alias, self._schema, format_, files, total, self.spec.filters)

    def _decode(self, folder: Path, total: int, progress: StageProgress) -> Path:
        path, done = folder / "rows.arrow", 0
        with self._one_state(), storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            with pa.ipc.new_file(path, self._schema) as writer:
                for batch in self._read(self._schema.names):
                    writer.write_batch(batch)
                    done += batch.num_rows
                    progress(done / total)
        return path

    def check_unchanged(self) -> None:
        """See OpenSource: the same files with the same sizes and times."""
        for part in self._parts:
            part.check_unchanged()
        if files_of(self.spec.uri, self._roots) != tuple(part.path for part in self._parts):
            raise KallaError(
                Code.SOURCE_CHANGED, f"The folder {self.spec.uri} has other files than before; start again."
            )

    @contextmanager
    def _one_state(self) -> Generator[None]:
        """What is read inside is the pinned state, or a change is reported in place of its results."""
        try:
            yield
        except KallaError:
            self.check_unchanged()
            raise
        self.check_unchanged()

    def _read(self, names: list[str], skip: int = 0) -> Iterator[pa.RecordBatch]:
        """Exactly typed rows of some columns, without the first `skip` ones."""
        schema = pa.schema([self._schema.field(name) for name in names])
        for part in self._parts:
            group = row = 0
            while group < len(part.groups) and part.groups[group] <= skip:
                skip -= part.groups[group]
                row += part.groups[group]
                group += 1
            if group == len(part.groups):
                continue
            for raw in batches_of(part, names, self._unit, group):
                batch = raw.slice(min(skip, raw.num_rows))
                skip -= raw.num_rows - batch.num_rows
                row += raw.num_rows - batch.num_rows
                if batch.num_rows:
                    yield self._exact(batch, schema, part, row)
                row += batch.num_rows

    def _exact(self, batch: pa.RecordBatch, schema: pa.Schema, part: ParquetPart, row: int) -> pa.RecordBatch:
        arrays: list[pa.Array] = []
        for field in schema:
            array = batch.column(field.name)
            try:
                arrays.append(convert_column(array, field.type))
            except MisfitError as error:
                value = str(array[error.position].as_py())[:80]
                raise KallaError(
                    Code.SCHEMA_MISMATCH if field.name in self._declared else Code.INVALID_DATA,
                    f"Column {field.name!r} of {part.path.name} holds {value!r} in row "
                    f"{row + error.position + 1}, which is no exact {type_name(field.type)}.",
                    column=field.name,
                ) from error
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _window(batches: Iterator[pa.RecordBatch], limit: int | None, offset: int) -> Iterator[pa.RecordBatch]:
    """Rows `offset` to `offset + limit` of a stream."""
    for batch in batches:
        if limit == 0:
            return
        part = batch.slice(min(offset, batch.num_rows), limit)
        offset -= min(offset, batch.num_rows)
        if limit is not None:
            limit -= part.num_rows
        if part.num_rows:
            yield part


class ParquetConnector:
    """Opens local Parquet files and folders of them."""

    def open(self, spec: SourceSpec, session: ReadSession) -> ParquetSource:
        """Pin and open the file or files.

        Raises:
            KallaError: PATH_NOT_ALLOWED, DATA_NOT_FOUND, INVALID_DATA, SCHEMA_MISMATCH, ...
        """
        return ParquetSource(spec, session)
