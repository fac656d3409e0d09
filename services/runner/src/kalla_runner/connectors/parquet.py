"""Parquet files as a source.

Staging points to local files where they lie, and brings others to the disk as they are; the engine
decodes them as it reads. Only what its plain reader does not do (a declared type, 96-bit timestamps)
is decoded into Arrow files first.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Final

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
    int96_unit,
    joint_schema,
    pin_files,
    read_footers,
    whole_microseconds,
)
from kalla_runner.connectors.parquet_types import convert_column, declared_schema
from kalla_runner.connectors.paths import is_text_file
from kalla_runner.connectors.text_types import MisfitError
from kalla_runner.connectors.type_names import type_name
from kalla_runner.pinned import PinnedFiles, pin_file
from kalla_runner.staging import StagedTable, StageProgress
from kalla_runner.storage import storage_errors

_FILES_AT_ONCE: Final = 8


class ParquetSource(OpenSource):
    """Parquet files with the same columns, read one after the other."""

    def __init__(self, spec: SourceSpec, pinned: PinnedFiles) -> None:
        self.spec = spec
        self.pin = pinned.pin
        self._pinned = pinned
        self._parts = read_footers(pinned.parts)
        self._found = joint_schema(self._parts)
        self._declared = declared_types(spec, self._found.names)

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

    @property
    def _alike(self) -> bool:
        """Whether all files have the same columns, in the same order and of the same types."""
        return all(
            part.schema.names == self._found.names and part.schema.types == self._found.types
            for part in self._parts
        )

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
            return sum(
                batch.num_rows for batch in filter_batches(self._read(self._parts, names), self._filters)
            )

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """See OpenSource: in the order of the files and their rows."""
        with self._one_state():
            skipped = 0 if self._filters else offset
            batches = filter_batches(self._read(self._parts, self._schema.names, skipped), self._filters)
            yield from _window(batches, limit, offset - skipped)

    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """See OpenSource. The filters are left to the engine."""
        _ = self._filters  # checked here, so that the engine can rely on them
        progress(0.0)
        total = sum(sum(part.groups) for part in self._parts)
        decode = bool(self._declared) or any(part.int96 for part in self._parts) or not self._alike
        with self._one_state():
            paths = self._to_disk(folder, progress if not decode else lambda share: progress(share / 2))
        format_, files = "parquet", paths
        if decode:
            format_, files = "arrow", (self._decode(folder, paths, total, progress),)
        progress(1.0)
        return StagedTable(self.spec.alias, self._schema, format_, files, total, self.spec.filters)

    def _to_disk(self, folder: Path, progress: StageProgress) -> tuple[Path, ...]:
        size, done, lock = max(1, sum(part.source.size for part in self._parts)), 0, Lock()

        def more(count: int) -> None:
            nonlocal done
            with lock:
                done += count
                progress(done / size)

        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

        def bring(number: int) -> Path:
            return self._parts[number].source.to_disk(folder / f"part-{number:05d}.parquet", more)

        with ThreadPoolExecutor(_FILES_AT_ONCE, "kalla-parquet") as pool:
            return tuple(pool.map(bring, range(len(self._parts))))

    def _decode(self, folder: Path, paths: Sequence[Path], total: int, progress: StageProgress) -> Path:
        target, done = folder / "rows.arrow", 0
        parts = [
            replace(part, source=replace(pin_file(path), called=part.source.name))
            for part, path in zip(self._parts, paths, strict=True)
        ]
        with self._one_state(), storage_errors(target), pa.ipc.new_file(target, self._schema) as writer:
            for batch in self._read(parts, self._schema.names):
                writer.write_batch(batch)
                done += batch.num_rows
                progress(0.5 + done / total / 2)
        for path in paths:
            if path.parent == folder:
                path.unlink()
        return target

    def check_unchanged(self) -> None:
        """Raise SOURCE_CHANGED unless the same files are there, in their pinned state."""
        self._pinned.check_unchanged()

    def _confirm(self) -> None:
        for part in self._parts:
            part.source.confirm()

    @contextmanager
    def _one_state(self) -> Generator[None]:
        """What is read inside is the pinned state, or a change is reported in place of its results."""
        try:
            yield
        except KallaError:
            self._confirm()
            raise
        self._confirm()

    def _read(
        self, parts: Sequence[ParquetPart], names: list[str], skip: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Exactly typed rows of some columns, without the first `skip` ones.

        Args:
            parts: the source's files, or copies of them.
            names: the columns.
            skip: rows to leave out.
        """
        schema = pa.schema([self._schema.field(name) for name in names])
        for part, original in zip(parts, self._parts, strict=True):
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
                    yield self._exact(batch, schema, original.source.name, row)
                row += batch.num_rows

    def _exact(self, batch: pa.RecordBatch, schema: pa.Schema, name: str, row: int) -> pa.RecordBatch:
        arrays: list[pa.Array] = []
        for field in schema:
            if field.name not in batch.schema.names:
                arrays.append(pa.nulls(batch.num_rows, field.type))
                continue
            array = batch.column(field.name)
            try:
                arrays.append(convert_column(array, field.type))
            except MisfitError as error:
                value = str(array[error.position].as_py())[:80]
                raise KallaError(
                    Code.SCHEMA_MISMATCH if field.name in self._declared else Code.INVALID_DATA,
                    f"Column {field.name!r} of {name} holds {value!r} in row "
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
    """Opens local Parquet files, and folders of Parquet or of CSV files."""

    def open(self, spec: SourceSpec, session: ReadSession) -> OpenSource:
        """Pin and open the file or files: a folder of text files is read as CSV.

        Raises:
            KallaError: PATH_NOT_ALLOWED, DATA_NOT_FOUND, INVALID_DATA, SCHEMA_MISMATCH, ...
        """
        pinned = pin_files(spec.uri, session.allowed_roots)
        text = [part.name for part in pinned.parts if is_text_file(part.name)]
        if not text:
            return ParquetSource(spec, pinned)
        if len(text) < len(pinned.parts):
            other = next(part.name for part in pinned.parts if part.name not in text)
            raise KallaError(
                Code.INVALID_DATA,
                f"The folder {spec.uri} has CSV files ({text[0]}) and others ({other}) in it; name a folder "
                "with files of one kind only.",
            )
        from kalla_runner.connectors.csv import CsvSource  # noqa: PLC0415 - Parquet needs none of it

        return CsvSource(spec, pinned, session)
