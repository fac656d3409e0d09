"""A PostgreSQL table, view or the like as a source.

URI -> address -> snapshot -> catalogue -> types -> slices -> ADBC -> exact batches -> files
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.declared import declared_types
from kalla_runner.connectors.filters import check_filters
from kalla_runner.connectors.parts import Advance, stage_parts
from kalla_runner.connectors.postgres import catalog, diagnosis, slices
from kalla_runner.connectors.postgres.address import parse_address
from kalla_runner.connectors.postgres.decode import Decoder, UndecodableError
from kalla_runner.connectors.postgres.errors import reading
from kalla_runner.connectors.postgres.redeclare import redeclare
from kalla_runner.connectors.postgres.slices import Slice
from kalla_runner.connectors.postgres.snapshot import snapshot_of
from kalla_runner.connectors.postgres.types import Column, column, measured_type, measures
from kalla_runner.connectors.postgres.where import where
from kalla_runner.staging import StagedTable, StageProgress


class PostgresSource(OpenSource):
    """One table in the session's snapshot of its database."""

    def __init__(self, spec: SourceSpec, session: ReadSession) -> None:
        address = parse_address(spec.uri)
        self.spec = spec
        self._threads = session.threads
        self._snapshot = snapshot_of(address, session)
        with reading(f"the database {address.database!r}"):
            self._relation = catalog.find_relation(self._snapshot, address.schema, address.table)
        self._what = f"table {self._relation.shown}"
        with reading(self._what):
            catalog.hold(self._snapshot, self._relation)
            entries = catalog.columns_of(self._snapshot, self._relation)
        if not entries:
            raise KallaError(Code.INVALID_DATA, f"The {self._what} has no columns; name another table.")
        declared = declared_types(spec, [entry.name for entry in entries])
        version = self._snapshot.version
        columns = [column(entry, address.nan_as_null, version) for entry in entries]
        self._unmeasured = tuple(
            redeclare(col, declared[col.name], version, self._what) if col.name in declared else col
            for col in columns
        )
        self.pin = {**self._snapshot.pin, "relation": self._relation.oid, "table": self._relation.shown}

    @cached_property
    def _columns(self) -> tuple[Column, ...]:
        """The columns with all their types; asks the server for scales that no type sets."""
        columns = self._unmeasured
        open_ones = [col for col in columns if col.arrow is None]
        if not open_ones:
            return columns
        asked = sql.SQL(", ").join(measures(open_ones, self._snapshot.version))
        with reading(self._what):
            found = self._snapshot.query_data(
                sql.SQL("SELECT {} FROM {}").format(asked, self._relation.identifier)
            )[0]
        measured = {
            col.name: measured_type(col, *found[3 * place : 3 * place + 3], what=self._what)
            for place, col in enumerate(open_ones)
        }
        return tuple(col.typed(measured[col.name]) if col.name in measured else col for col in columns)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self._columns)

    @cached_property
    def _filter(self) -> sql.Composable:
        values = {col.name: col.value for col in self._columns}
        return where(check_filters(self.spec.filters, self.schema()), values, self._snapshot.encoding)

    @cached_property
    def _key(self) -> tuple[str, ...]:
        with reading(self._what):
            return catalog.key_of(self._snapshot, self._relation)

    def schema(self) -> pa.Schema:
        """See OpenSource. From the catalogue; a NUMERIC without scale costs one aggregate query."""
        return self._decoder.schema

    def count(self) -> int:
        """See OpenSource: an exact count in the snapshot."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(self._relation.identifier, self._filter)
        with reading(self._what):
            return int(self._snapshot.query_data(query)[0][0])

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """See OpenSource: by primary key, else as they lie in the table, else as they come."""
        part, order = Slice(self._relation.identifier, sql.SQL("true"), 1), sql.SQL("")
        if self._key:
            names = sql.SQL(", ").join(sql.Identifier(name) for name in self._key)
            order = sql.SQL(" ORDER BY {}").format(names)
        elif slices.has_row_order(self._snapshot, self._relation):
            part = slices.first_page(self._relation)
        query = sql.SQL("{}{}").format(self._query(part), order)
        if limit is not None:
            query = sql.SQL("{} LIMIT {}").format(query, sql.Literal(limit))
        if offset:
            query = sql.SQL("{} OFFSET {}").format(query, sql.Literal(offset))
        yield from self._batches(query)

    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """See OpenSource: one uncompressed Arrow file a slice, in the order of the table's pages."""
        with reading(self._what):
            parts = slices.slices_of(self._snapshot, self._relation, self._threads)
        queries = [(self._query(part), part.weight) for part in parts]

        def read(query: sql.Composed, _: Advance) -> Generator[pa.RecordBatch]:
            return self._batches(query)

        return stage_parts(
            queries,
            read,
            self.schema(),
            folder,
            alias=self.spec.alias,
            progress=progress,
            threads=self._threads,
        )

    def check_unchanged(self) -> None:
        """Nothing to check: all reads see the same snapshot, and a lock keeps the table's shape."""

    def _query(self, part: Slice) -> sql.Composed:
        wires = [sql.SQL("{} AS {}").format(col.wire, sql.Identifier(col.name)) for col in self._columns]
        # The decoder checks the dimensions of arrays, which ADBC drops.
        wires += [
            sql.SQL("array_ndims({})").format(sql.Identifier(col.name))
            for col in self._columns
            if col.is_list
        ]
        return sql.SQL("SELECT {} FROM {} WHERE {} AND {}").format(
            sql.SQL(", ").join(wires), part.table, part.condition, self._filter
        )

    def _batches(self, query: sql.Composed) -> Generator[pa.RecordBatch]:
        """Exactly typed rows of a query; callable from any thread."""
        try:
            with reading(self._what), closing(self._snapshot.batches(query)) as batches:
                for batch in batches:
                    yield self._decoder.decode(batch)
        except UndecodableError as error:
            with reading(self._what):
                raise diagnosis.explain(
                    error,
                    self._snapshot,
                    self._relation,
                    self._columns[error.column],
                    key=self._key,
                    condition=self._filter,
                ) from error


class PostgresConnector:
    """Opens postgres:// and postgresql:// sources."""

    def open(self, spec: SourceSpec, session: ReadSession) -> PostgresSource:
        """Pin and open a table.

        Raises:
            KallaError: INVALID_URI, SOURCE_UNREACHABLE, ACCESS_DENIED, DATA_NOT_FOUND, ...
        """
        return PostgresSource(spec, session)
