"""The documents of a point in time, page by page, each exactly once.

A part of an index is read in the order in which its documents lie, every page from where the last
one ended. The next page is fetched while the last one is decoded.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.address import Product
from kalla_runner.connectors.search.documents import Decoder, Hit
from kalla_runner.connectors.search.json_text import loads
from kalla_runner.connectors.search.query import Query
from kalla_runner.connectors.search.server import PointInTime

_FIRST_PAGE: Final = 25
"""Few, as nothing is known yet of how long the documents are."""
_GROWTH: Final = 8
MOST_HITS: Final = 10_000
"""Hits of a page, unless the index allows fewer."""
_PAGE_BYTES: Final = 8 << 20
"""What a page aims at. Memory while staging is a few of these a thread."""
_WORK_A_SLICE: Final = 2

# OpenSearch before 3.3 has no order over all shards of an index: _doc counts in each of them anew.
_ORDER: Final = {Product.ELASTICSEARCH: "_shard_doc", Product.OPENSEARCH: "_doc"}


@dataclass(frozen=True, slots=True)
class Index:
    """One concrete index.

    Attributes:
        name: its own name, where an alias or a pattern was asked for.
        uuid: which index of that name it is.
        shards: of how many parts it is made.
        window: how many hits a search may give.
    """

    name: str
    uuid: str
    shards: int
    window: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the documents of a query, in one order.

    Attributes:
        query: which documents.
        slice: which of them: number and count, None for all.
        total: how many documents it has.
    """

    query: Query
    slice: tuple[int, int] | None
    total: int


NOTHING: Final = Part({"match_none": {}}, None, 0)
"""No documents at all."""


class Pages:
    """Reads documents of one point in time; from several threads at once.

    Args:
        product: whose rules of slicing and order hold.
        moment: the point in time.
        indices: what it holds.
        decoder: what is asked for beside the documents, and how answers are parsed.
    """

    def __init__(
        self, product: Product, moment: PointInTime, indices: Sequence[Index], decoder: Decoder
    ) -> None:
        self._product = product
        self._moment = moment
        self._indices = indices
        self._decoder = decoder
        self._window = min([MOST_HITS, *(index.window for index in indices)])

    def parts(self, must: Sequence[Query], threads: int) -> tuple[Part, ...]:
        """All documents that satisfy `must`, split for so many threads; 1 keeps them together if it can.

        Elasticsearch slices an index anywhere. OpenSearch does it by looking at every id for every
        page, except along its shards; and within a shard alone is its order one without ties.
        """
        if self._product is Product.ELASTICSEARCH:
            count = threads * _WORK_A_SLICE if threads > 1 else 1
            slices = [(_all_of(must), number, count) for number in range(count)]
        else:
            slices = [
                (_all_of([*must, {"term": {"_index": index.name}}]), number, index.shards)
                for index in self._indices
                for number in range(index.shards)
            ]
        return tuple(
            self._part(query, None if count == 1 else (number, count)) for query, number, count in slices
        )

    def _part(self, query: Query, slice_: tuple[int, int] | None) -> Part:
        body = {"query": query, "size": 0, "track_total_hits": True, **_slice(slice_)}
        total = self._moment.search(body)["hits"]["total"]
        return Part(query, slice_, int(total["value"]))

    def read(self, part: Part, *, skip: int = 0, most: int | None = None) -> Generator[Sequence[Hit]]:
        """The hits of a part, the first `skip` of them left out, at most `most`.

        Raises:
            KallaError: SOURCE_CHANGED if the server gives another number of them than it counted.
        """
        end = part.total if most is None else min(part.total, skip + most)
        seen, after, size = 0, None, _FIRST_PAGE
        with ThreadPoolExecutor(1, "search-page") as ahead:
            page = ahead.submit(
                self._page, part, after, self._size(size, seen, skip, end), documents=seen >= skip
            )
            while seen < end:
                hits, length = page.result()
                if not hits:
                    self._lost(part, seen)
                documents = seen >= skip
                seen += len(hits)
                after = hits[-1]["sort"]
                if seen < end:
                    if documents:
                        size = _next_size(size, len(hits), length)
                    wanted = self._size(size, seen, skip, end)
                    page = ahead.submit(self._page, part, after, wanted, documents=seen >= skip)
                if documents:
                    yield hits
            if seen > end:
                self._lost(part, seen)

    def _size(self, size: int, seen: int, skip: int, end: int) -> int:
        # A page lies either before `skip`, where its documents are not fetched, or behind it.
        return min(self._window, skip - seen) if seen < skip else min(self._window, size, end - seen)

    def _page(
        self, part: Part, after: Sequence[Any] | None, size: int, *, documents: bool
    ) -> tuple[Sequence[Hit], int]:
        body: dict[str, Any] = {
            "query": part.query,
            "size": size,
            # The whole document: the server writes a selection of its fields anew, numbers as floats.
            "_source": documents,
            "sort": [{_ORDER[self._product]: "asc"}],
            "track_total_hits": False,
            **_slice(part.slice),
            **(self._decoder.asked if documents else {}),
        }
        if after is not None:
            body["search_after"] = after
        return self._moment.page(body, self._decoder.parse if documents else loads)

    def _lost(self, part: Part, seen: int) -> NoReturn:
        raise KallaError(
            Code.SOURCE_CHANGED,
            f"The server counted {part.total} documents of {self._moment.what} and gave {seen}: start again.",
        )


def _all_of(must: Sequence[Query]) -> Query:
    return {"bool": {"filter": list(must)}} if must else {"match_all": {}}


def _slice(slice_: tuple[int, int] | None) -> dict[str, Any]:
    return {} if slice_ is None else {"slice": {"id": slice_[0], "max": slice_[1]}}


def _next_size(size: int, hits: int, length: int) -> int:
    fitting = max(1, _PAGE_BYTES * hits // max(1, length))
    return min(size * _GROWTH, fitting)
