"""Pages of hits whose documents Arrow itself can read: without Python objects, and without the GIL.

Arrow's JSON reader is exact and strict: a number that is no number of its column's type, text in place
of a number, a list, more digits than a scale are errors to it. Any error sends the page the other way,
where each value may be looked at.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, overload

import pyarrow as pa
from pyarrow import json as arrow_json

from kalla_runner.connectors.search.columns import ID, Column, Kind
from kalla_runner.connectors.search.json_text import loads

_KINDS: Final = frozenset({Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.BOOLEAN, Kind.DATE})
_MOST_REFUSALS: Final = 2
"""Pages that Arrow may refuse before it is asked no more."""


class ColumnHits(Sequence[Mapping[str, Any]]):
    """Hits of one page; as mappings without their documents, and the documents as columns.

    Args:
        hits: one struct a hit.
    """

    def __init__(self, hits: pa.StructArray) -> None:
        self._hits = hits
        self._documents: Any = hits.field("_source")

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index if index >= 0 else len(self) + index
        if not 0 <= place < len(self):
            raise IndexError(index)
        return {name: self._hits.field(name)[place].as_py() for name in ("_index", ID, "sort")}

    def values(self, column: Column) -> pa.Array:
        """The column's values; dates as their text."""
        found: pa.Array = self._hits.field(ID) if column.path == ID else self._documents.field(column.path)
        return found


class PageParser:
    """Parses answers that are pages of hits.

    Args:
        columns: of the source.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._left = _MOST_REFUSALS if all(map(_is_plain, columns)) else 0
        fields = {column.path: _written(column) for column in columns if column.path != ID}
        hit = pa.struct(
            [
                ("_index", pa.string()),
                (ID, pa.string()),
                ("_source", pa.struct(list(fields.items()))),
                ("sort", pa.list_(pa.int64())),
            ]
        )
        schema = pa.schema(
            [
                ("pit_id", pa.string()),
                ("timed_out", pa.bool_()),
                ("terminated_early", pa.bool_()),
                ("_shards", pa.struct([("failed", pa.int64())])),
                ("hits", pa.struct([("hits", pa.list_(hit))])),
            ]
        )
        self._options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")

    def __call__(self, text: str | bytes) -> Any:
        """The answer as JSON, its hits as ColumnHits where all of them can be.

        Raises:
            ValueError: it is no JSON.
        """
        if self._left > 0:
            try:
                return self._columnar(text.encode() if isinstance(text, str) else text)
            except (pa.ArrowInvalid, UnicodeEncodeError):
                self._left -= 1
        return loads(text)

    def _columnar(self, content: bytes) -> dict[str, Any]:
        # One block: the answer is one JSON value, and a value does not go over the border of a block.
        reading = arrow_json.ReadOptions(use_threads=False, block_size=len(content) + 1)
        table = arrow_json.read_json(io.BytesIO(content), reading, self._options)
        (batch,) = table.to_batches()
        found: dict[str, Any] = {
            name: batch.column(name)[0].as_py()
            for name in ("pit_id", "timed_out", "terminated_early", "_shards")
        }
        hits: Any = batch.column("hits").field("hits")
        return {
            **{name: value for name, value in found.items() if value is not None},
            "hits": {"hits": ColumnHits(hits.flatten())},
        }


def _is_plain(column: Column) -> bool:
    return column.kind in _KINDS and "." not in column.path and not column.by_server


def _written(column: Column) -> pa.DataType:
    return pa.string() if column.kind is Kind.DATE else column.arrow
