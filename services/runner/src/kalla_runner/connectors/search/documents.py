"""Hits of a search as exact record batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.column_hits import ColumnHits, PageParser
from kalla_runner.connectors.search.columns import ID, Column, Kind
from kalla_runner.connectors.search.json_text import dumps
from kalla_runner.connectors.search.single_values import UnreadableValueError
from kalla_runner.connectors.search.values import Values, to_arrow

Hit = Mapping[str, Any]


class Decoder:
    """Turns hits into batches of one schema.

    Args:
        columns: what to read, the id among them.

    Attributes:
        schema: of the batches.
        asked: what a search must ask for beside the documents: dates that the server reads.
        parse: how a page of hits is parsed.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self.parse = PageParser(columns)
        self._gathers = any(column.kind is Kind.JSON for column in columns)
        self.schema = pa.schema(
            [pa.field(column.name, column.arrow, nullable=column.name != ID) for column in columns]
        )
        formatted = [
            {"field": column.path, "format": "strict_date_optional_time_nanos"}
            for column in columns
            if column.by_server
        ]
        self.asked: dict[str, Any] = {"fields": formatted} if formatted else {}

    def decode(self, hits: Sequence[Hit]) -> pa.RecordBatch:
        """The hits as one batch.

        Raises:
            KallaError: INVALID_DATA naming field and document of a value that does not fit.
        """
        if isinstance(hits, ColumnHits):
            return self._batch(hits, hits.values)
        documents: list[dict[str, Any]] = [hit["_source"] for hit in hits]
        spread = self._gathers and any("." in name for document in documents for name in document)
        return self._batch(hits, lambda column: self._values(column, hits, documents, spread=spread))

    def _batch(self, hits: Sequence[Hit], values_of: Callable[[Column], Values]) -> pa.RecordBatch:
        arrays: list[pa.Array] = []
        for column in self._columns:
            try:
                arrays.append(to_arrow(values_of(column), column))
            except UnreadableValueError as error:
                raise _unreadable(error, column, hits[error.position]) from None
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    @staticmethod
    def _values(
        column: Column, hits: Sequence[Hit], documents: Sequence[dict[str, Any]], *, spread: bool
    ) -> Sequence[Any]:
        path = column.path
        if path == ID:
            return [hit[ID] for hit in hits]
        if "." in path:
            values = [_at(document, path) for document in documents]
        elif spread and column.kind in (Kind.JSON, Kind.DECLARED_TEXT):
            values = [_gathered(document, path) for document in documents]
        else:
            values = [document.get(path) for document in documents]
        if column.by_server:
            return [_by_server(hits, place, column, value) for place, value in enumerate(values)]
        return values


def _by_server(hits: Sequence[Hit], place: int, column: Column, value: Any) -> Any:
    """The date as the server reads it."""
    if value is None or value == []:
        return None
    found: Any = hits[place].get("fields", {}).get(column.path)
    if found is None:
        written = column.properties.get("format")
        problem = f"holds {dumps(value)[:80]}, which is not written as its format {written} says"
        raise UnreadableValueError(place, problem)
    return found


def _at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a full name, its dots objects or part of a name; a list if there are several."""
    found: list[Any] = []
    _collect(document, path, found)
    return found if len(found) > 1 else next(iter(found), None)


def _collect(node: Any, path: str, found: list[Any]) -> None:
    if isinstance(node, list):
        for item in cast("list[Any]", node):
            _collect(item, path, found)
        return
    if not isinstance(node, dict):
        return
    for name, value in cast("dict[str, Any]", node).items():
        if name == path:
            found.append(value)
        elif path.startswith(f"{name}."):
            _collect(value, path[len(name) + 1 :], found)


def _gathered(document: Mapping[str, Any], name: str) -> Any:
    """An object of which a document holds members under names with dots: {"a.b": 1} is {"a": {"b": 1}}."""
    value = document.get(name)
    apart = {key[len(name) + 1 :]: member for key, member in document.items() if key.startswith(f"{name}.")}
    if not apart:
        return value
    gathered: dict[str, Any] = dict(cast("dict[str, Any]", value)) if isinstance(value, dict) else {}
    for path, member in apart.items():
        node = gathered
        *outer, last = path.split(".")
        for step in outer:
            inner = node.get(step)
            node[step] = dict(cast("dict[str, Any]", inner)) if isinstance(inner, dict) else {}
            node = node[step]
        node[last] = member if last not in node else [node[last], member]
    return gathered


def _unreadable(error: UnreadableValueError, column: Column, hit: Hit) -> KallaError:
    document = str(hit[ID])
    return KallaError(
        Code.INVALID_DATA,
        f"Field {column.path!r} of document {document!r} in index {hit['_index']!r} {error.problem}.",
        field=column.path,
        document=document,
    )
