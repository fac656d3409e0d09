"""An index of Elasticsearch or OpenSearch as a source.

URI -> address -> server -> point in time -> mapping -> columns -> pages of hits -> exact batches -> files
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.declared import declared_types
from kalla_runner.connectors.filters import TypedFilter, check_filters, filter_batches
from kalla_runner.connectors.parts import Advance, stage_parts
from kalla_runner.connectors.search.address import parse_address
from kalla_runner.connectors.search.clients import path_of
from kalla_runner.connectors.search.columns import (
    Column,
    columns_of,
    inner_columns,
    redeclare,
    same_columns,
)
from kalla_runner.connectors.search.documents import Decoder, Hit
from kalla_runner.connectors.search.pages import MOST_HITS, NOTHING, Index, Pages, Part
from kalla_runner.connectors.search.query import Query, pushed
from kalla_runner.connectors.search.server import PointInTime, Server
from kalla_runner.staging import StagedTable, StageProgress


def _unheard(_: int) -> None:
    """Progress that nobody has asked for."""


class SearchSource(OpenSource):
    """One index, alias, data stream or pattern at one point in time."""

    def __init__(self, spec: SourceSpec, session: ReadSession) -> None:
        address = parse_address(spec.uri)
        self.spec = spec
        self._threads = session.threads
        server = Server(address)
        session.closing.callback(server.close)
        server.check_product()
        self._moment = PointInTime(server, address.index)
        session.closing.callback(self._moment.close)
        opened = datetime.now(UTC)
        # Asked for after the point in time was opened: so it knows every field that a document there has.
        found, _ = server.ask("GET", path_of(address.index), None, None, self._moment.what)
        indices = [_index(name, about) for name, about in found.items()]
        self._narrows = all(_indexes_all(_settings(about)) for about in found.values())
        self._columns = _columns(spec, found, address.index)
        self._decoder = Decoder(self._columns)
        self._pages = Pages(address.product, self._moment, indices, self._decoder)
        self.pin = {
            "server": address.server,
            "cluster": server.cluster,
            "index": ",".join(index.name for index in indices),
            "index_uuid": ",".join(index.uuid for index in indices),
            "point_in_time": self._moment.id,
            "opened_at": opened.isoformat(timespec="milliseconds"),
        }

    @cached_property
    def _filters(self) -> tuple[TypedFilter, ...]:
        return check_filters(self.spec.filters, self._decoder.schema)

    @cached_property
    def _query(self) -> list[Query] | None:
        columns = {column.name: column for column in self._columns}
        found = pushed(self._filters, columns)
        return found if found is None or self._narrows else []

    @cached_property
    def _ordered(self) -> tuple[Part, ...]:
        return () if self._query is None else self._pages.parts(self._query, 1)

    @cached_property
    def _count(self) -> int:
        if not self._filters:
            return sum(part.total for part in self._ordered)
        # The index knows a document only in part, so its own count may be another one.
        return sum(batch.num_rows for part in self._ordered for batch in self._batches(part))

    def schema(self) -> pa.Schema:
        """See OpenSource. From the mapping, and the recipe's own types."""
        return self._decoder.schema

    def count(self) -> int:
        """See OpenSource: the server's count, or that of the rows that pass the filters."""
        return self._count

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[pa.RecordBatch]:
        """See OpenSource: in the order in which documents lie in the index, until it is written to."""
        end = None if limit is None else offset + limit
        place = 0
        for part in self._ordered:
            if end is not None and place >= end:
                return
            # What is left out is not even fetched, where no filter has to look at it.
            skip = 0 if self._filters else min(part.total, max(0, offset - place))
            most = None if self._filters or end is None else end - place - skip
            place += skip
            for batch in self._batches(part, skip=skip, most=most):
                first = max(0, offset - place)
                kept = batch.slice(first) if end is None else batch.slice(first, max(0, end - place - first))
                place += batch.num_rows
                if kept.num_rows:
                    yield kept
                if end is not None and place >= end:
                    return

    def stage(self, folder: Path, progress: StageProgress) -> StagedTable:
        """See OpenSource: one uncompressed Arrow file a part of the index."""
        parts = [NOTHING] if self._query is None else self._pages.parts(self._query, self._threads)
        return stage_parts(
            [(part, part.total) for part in parts],
            self._batches,
            self.schema(),
            folder,
            alias=self.spec.alias,
            progress=progress,
            threads=self._threads,
        )

    def check_unchanged(self) -> None:
        """Nothing to check: all reads see the same point in time."""

    def _batches(
        self, part: Part, advance: Advance = _unheard, *, skip: int = 0, most: int | None = None
    ) -> Generator[pa.RecordBatch]:
        """Rows of a part that pass the filters; callable from any thread."""

        def decoded(pages: Iterator[Sequence[Hit]]) -> Iterator[pa.RecordBatch]:
            for hits in pages:
                yield self._decoder.decode(hits)
                advance(len(hits))

        with closing(self._pages.read(part, skip=skip, most=most)) as pages:
            yield from filter_batches(decoded(pages), self._filters)


class SearchConnector:
    """Opens elasticsearch://, opensearch:// and their +https:// sources."""

    def open(self, spec: SourceSpec, session: ReadSession) -> SearchSource:
        """Pin and open an index.

        Raises:
            KallaError: INVALID_URI, SOURCE_UNREACHABLE, ACCESS_DENIED, DATA_NOT_FOUND, ...
        """
        return SearchSource(spec, session)


def _settings(about: Mapping[str, Any]) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = about.get("settings", {}).get("index", {})
    return settings


def _index(name: str, about: Mapping[str, Any]) -> Index:
    settings = _settings(about)
    source: Any = about.get("mappings", {}).get("_source", {})
    if source.get("enabled") is False or source.get("includes") or source.get("excludes"):
        raise KallaError(
            Code.INVALID_DATA,
            f"The index {name!r} does not keep its documents whole (_source in its mapping), so they cannot "
            "be read back; reindex it with _source.",
        )
    return Index(
        name,
        str(settings.get("uuid", "")),
        int(settings.get("number_of_shards", 1)),
        int(settings.get("max_result_window", MOST_HITS)),
    )


def _indexes_all(settings: Mapping[str, Any]) -> bool:
    """Whether no setting of the index leaves values of documents out of the index."""
    mapping: Any = settings.get("mapping", {})
    left_out = str(mapping.get("ignore_malformed", "false")).lower() == "true" or "ignore_above" in mapping
    return not left_out and settings.get("mode", "standard") == "standard"


def _columns(spec: SourceSpec, found: Mapping[str, Any], asked: str) -> tuple[Column, ...]:
    """The columns, and those fields inside objects that the recipe lists."""
    mappings: dict[str, Any] = {name: about.get("mappings", {}) for name, about in found.items()}
    by_index: Sequence[tuple[str, Sequence[Column]]] = [
        (name, columns_of(mapping)) for name, mapping in mappings.items()
    ]
    same_columns(by_index, repr(asked))
    top = by_index[0][1]
    inner = [(name, inner_columns(mapping)) for name, mapping in mappings.items()]
    known = inner[0][1]
    declared = declared_types(spec, [*(column.name for column in top), *known])
    listed = [name for name in known if name in declared or name in spec.schema]
    same_columns(
        [(name, [columns[key] for key in listed if key in columns]) for name, columns in inner], repr(asked)
    )
    columns = [*top, *(known[name] for name in listed)]
    what = f"index {asked!r}"
    return tuple(
        redeclare(column, declared[column.name], what) if column.name in declared else column
        for column in columns
    )
