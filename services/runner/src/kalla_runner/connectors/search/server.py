"""A search engine's server, and points in time on it.

A point in time keeps the index as it is at one moment, however much is written meanwhile. The
server drops it when nobody has asked for a while, so that a reader that was killed leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final, NoReturn

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.address import Product, SearchAddress
from kalla_runner.connectors.search.clients import (
    FIRST_SECONDS,
    Answer,
    Client,
    UnansweredError,
    connect,
    path_of,
)
from kalla_runner.connectors.search.errors import BUSY, refused, unanswered
from kalla_runner.connectors.search.json_text import Parse, loads

KEEP_ALIVE: Final = "2m"
_RENEW_SECONDS: Final = 40.0
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries while the server is busy."""
_MOST_SILENCES: Final = 2
"""Tries that may stay without any answer before the server counts as gone."""
_FORBIDDEN: Final = 403
_COPY: Final = "kalla"
"""Any fixed word: the same copies of the shards are read every time, so rows keep their order."""


class Server:
    """One server, known to be what the URI says."""

    def __init__(self, address: SearchAddress) -> None:
        self.address = address
        self.cluster = ""
        self._client: Client = connect(address)

    def check_product(self) -> None:
        """Ask what the server is.

        Raises:
            KallaError: INVALID_URI for the other product, SOURCE_UNREACHABLE, ACCESS_DENIED.
        """
        try:
            answer = self._client.ask("GET", "/", seconds=FIRST_SECONDS)
        except UnansweredError as error:
            raise unanswered(error, self.address) from error
        if answer.status == _FORBIDDEN:
            return  # a user who may read the index and nothing else
        body = self._parsed(answer, f"the server {self.address.server}")
        version: Any = body.get("version")
        if not isinstance(version, dict) or "number" not in version:
            self._no_engine()
        self.cluster = str(body.get("cluster_uuid", ""))
        found = Product.OPENSEARCH if version.get("distribution") == "opensearch" else Product.ELASTICSEARCH
        if found is not self.address.product:
            tls = "+https" if self.address.tls else ""
            raise KallaError(
                Code.INVALID_URI,
                f"The server {self.address.server} is {found.label} {version['number']}: begin the URI with "
                f"{found}{tls}:// instead of {self.address.product}{tls}://.",
            )

    def ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        body: Any,
        what: str,
        *,
        parse: Parse = loads,
    ) -> tuple[dict[str, Any], int]:
        """The parsed answer and its length; a busy server is asked again, for fewer rows each time.

        Raises:
            KallaError: the server refused, failed or did not answer.
        """
        silences = 0
        for pause in (*_PAUSES, None):
            try:
                answer = self._client.ask(method, path, parameters, body)
            except UnansweredError as error:
                silences += 1
                if error.tls or silences > _MOST_SILENCES or pause is None:
                    raise unanswered(error, self.address) from error
            else:
                if answer.status not in BUSY or pause is None:
                    return self._parsed(answer, what, parse), len(answer.text)
                if isinstance(body, dict) and body.get("size", 0) > 1:
                    body = {**body, "size": body["size"] // 2}
            time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _parsed(self, answer: Answer, what: str, parse: Parse = loads) -> dict[str, Any]:
        if answer.status != 200:  # noqa: PLR2004 - the one status of a good answer
            raise refused(answer, self.address, what)
        try:
            body = parse(answer.text)
        except ValueError as error:
            # A number of thousands of digits is no error to JSON, but to Python.
            if str(error).startswith("Exceeds the limit"):
                raise KallaError(
                    Code.INVALID_DATA, f"A document of {what} holds an integer of more than 4300 digits."
                ) from error
            self._no_engine()
        if not isinstance(body, dict):
            self._no_engine()
        return body

    def _no_engine(self) -> NoReturn:
        raise KallaError(
            Code.SOURCE_UNREACHABLE,
            f"The server {self.address.server} does not answer like {self.address.product.label}; check "
            "host, port and the path before the index.",
        )


@dataclass(frozen=True, slots=True)
class _Calls:
    """How one product opens and closes a point in time."""

    open_path: tuple[str, ...]
    open_parameters: Mapping[str, str]
    id_name: str
    close_path: str


_CALLS: Final = {
    Product.ELASTICSEARCH: _Calls(("_pit",), {}, "id", "/_pit"),
    # Without the second parameter a shard that is down would be left out in silence.
    Product.OPENSEARCH: _Calls(
        ("_search", "point_in_time"),
        {"allow_partial_pit_creation": "false"},
        "pit_id",
        "/_search/point_in_time",
    ),
}


class PointInTime:
    """The state of an index at one moment; kept until `close`.

    Attributes:
        id: the server's own name for it.
        what: the index, as errors name it.
    """

    def __init__(self, server: Server, index: str) -> None:
        self._server = server
        self._calls = _CALLS[server.address.product]
        self.what = f"index {index!r}"
        parameters = {"keep_alive": KEEP_ALIVE, "preference": _COPY, **self._calls.open_parameters}
        path = path_of(index, *self._calls.open_path)
        try:
            opened, _ = server.ask("POST", path, parameters, None, self.what)
        except KallaError:
            # OpenSearch has no better words than "invalid id" for a pattern that fits nothing.
            if "*" in index and not server.ask("GET", path_of(index), None, None, self.what)[0]:
                raise self._nothing_fits(index) from None
            raise
        if opened["_shards"]["total"] == 0:
            raise self._nothing_fits(index)
        self.id = str(opened[self._calls.id_name])
        self._stopped = Event()
        Thread(target=self._renew, name="search-point-in-time", daemon=True).start()
        self._check_shards(opened)

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a search in this point in time, complete or an error.

        Raises:
            KallaError: SOURCE_CHANGED if the server gave it up, SOURCE_UNREACHABLE, ...
        """
        return self._asked(body)[0]

    def page(self, body: Mapping[str, Any], parse: Parse) -> tuple[Sequence[Mapping[str, Any]], int]:
        """As `search`: the hits, and how long the whole answer was."""
        found, length = self._asked(body, parse)
        return found["hits"]["hits"], length

    def _asked(self, body: Mapping[str, Any], parse: Parse = loads) -> tuple[dict[str, Any], int]:
        asked = {**body, "pit": {"id": self.id, "keep_alive": KEEP_ALIVE}}
        # Else the hits of shards that fail would be missing in silence.
        parameters = {"allow_partial_search_results": "false"}
        found, length = self._server.ask("POST", "/_search", parameters, asked, self.what, parse=parse)
        self._check_shards(found)
        self.id = str(found.get("pit_id", self.id))
        return found, length

    def close(self) -> None:
        """Give it up. A server that does not answer now will do so by itself."""
        self._stopped.set()
        ids: str | Sequence[str] = self.id if self._calls.id_name == "id" else [self.id]
        with suppress(KallaError):
            self._server.ask("DELETE", self._calls.close_path, None, {self._calls.id_name: ids}, self.what)

    def _nothing_fits(self, index: str) -> KallaError:
        server = self._server.address.server
        return KallaError(Code.DATA_NOT_FOUND, f"No open index of {server} fits {index!r}.")

    def _check_shards(self, found: Mapping[str, Any]) -> None:
        failed: Any = found.get("_shards", {})
        if failed.get("failed", 0) or found.get("timed_out") or found.get("terminated_early"):
            raise KallaError(
                Code.SOURCE_UNREACHABLE,
                f"Reading {self.what} failed because a part of it (a shard) did not answer; try again later.",
            )

    def _renew(self) -> None:
        while not self._stopped.wait(_RENEW_SECONDS):
            # Whatever fails here fails again, and is told, at the next page.
            with suppress(KallaError):
                self.search({"size": 0, "track_total_hits": False})
