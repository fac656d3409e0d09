"""Rows over real Flight connections whose server misbehaves: late, broken, or without end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trustme
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.flight import flight_errors, wrap_stream
from kalla_common.runner.ports import SourceRows
from kalla_common.runner.rows import FlightRows
from kalla_common.settings import TlsSettings
from pyarrow import flight

ROWS = SourceRows(SourceSpec("a", "/a.csv"))
COLUMNS = json.dumps([{"name": "id", "data_type": "integer", "nullable": True}])
METADATA = {"kalla.columns": COLUMNS, "kalla.total_rows": "7"}
SCHEMA = pa.schema({"id": pa.int64()}, metadata=METADATA)
BATCH = pa.RecordBatch.from_pydict({"id": list(range(100_000))}, schema=SCHEMA)


class Server(flight.FlightServerBase):  # pyright: ignore[reportUntypedBaseClass] - Arrow ships no types
    """Streams what `batches` yields; remembers whether the stream was ended."""

    def __init__(
        self, batches: Callable[[], Iterator[pa.RecordBatch]], schema: pa.Schema = SCHEMA, **tls: Any
    ) -> None:
        super().__init__(f"{'grpc+tls' if tls else 'grpc'}://127.0.0.1:0", **tls)
        self._batches = batches
        self._schema = schema
        self.ended = threading.Event()

    def do_get(self, _context: Any, _ticket: flight.Ticket) -> flight.FlightDataStream:
        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from wrap_stream(self._batches())
            finally:
                self.ended.set()

        with flight_errors():
            return flight.GeneratorStream(self._schema, watched())


def _two_rows() -> Iterator[pa.RecordBatch]:
    yield BATCH.slice(0, 2)


def _endless() -> Iterator[pa.RecordBatch]:
    while True:
        yield BATCH


def _broken() -> Iterator[pa.RecordBatch]:
    yield BATCH
    raise KallaError(Code.INVALID_DATA, "Line 7 has two columns, not one.")


def _late() -> Iterator[pa.RecordBatch]:
    time.sleep(1.0)
    yield BATCH


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., FlightRows]]:
    """Serves batches and returns rows connected to them."""
    opened: list[tuple[Server, FlightRows]] = []

    def connected(server: Server, seconds: float = 20.0, tls: TlsSettings | None = None) -> FlightRows:
        address = f"127.0.0.1:{server.port}"
        rows = FlightRows(address, tls or TlsSettings(), page_seconds=seconds, stream_seconds=seconds)
        opened.append((server, rows))
        return rows

    try:
        yield connected
    finally:
        for server, rows in opened:
            rows.close()
            await asyncio.to_thread(server.shutdown)


async def test_a_page_has_columns_texts_and_total(connect: Callable[..., FlightRows]) -> None:
    page = await connect(Server(_two_rows)).page(ROWS)
    assert (page.rows, page.total_rows) == ([["0"], ["1"]], 7)
    assert [(c.name, c.data_type, c.nullable) for c in page.columns] == [("id", "integer", True)]


async def test_leaving_a_stream_early_ends_it_on_the_server(connect: Callable[..., FlightRows]) -> None:
    server = Server(_endless)
    async with connect(server).stream(ROWS) as stream:
        batch = await anext(stream.batches)
        assert batch.num_rows == 100_000
    assert await asyncio.to_thread(server.ended.wait, 10)


async def test_a_cancelled_reader_ends_the_stream_on_the_server(connect: Callable[..., FlightRows]) -> None:
    server = Server(_endless)
    rows = connect(server)

    async def read() -> None:
        async with rows.stream(ROWS) as stream:
            async for _ in stream.batches:
                pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.3)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await asyncio.to_thread(server.ended.wait, 10)


async def test_an_error_in_mid_stream_is_the_runners_error(connect: Callable[..., FlightRows]) -> None:
    async with connect(Server(_broken)).stream(ROWS) as stream:
        assert (await anext(stream.batches)).num_rows == 100_000
        with pytest.raises(KallaError) as caught:
            await anext(stream.batches)
    assert caught.value.code is Code.INVALID_DATA


async def test_rows_that_come_too_late_are_a_deadline_exceeded(connect: Callable[..., FlightRows]) -> None:
    with pytest.raises(KallaError) as caught:
        await connect(Server(_late), seconds=0.2).page(ROWS)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert "runner" in caught.value.message


async def test_a_stream_without_its_description_is_a_defect(connect: Callable[..., FlightRows]) -> None:
    server = Server(_two_rows, SCHEMA.remove_metadata())
    with pytest.raises(KallaError) as caught:
        await connect(server).page(ROWS)
    assert caught.value.code is Code.INTERNAL


async def test_a_server_that_is_away_is_runner_unavailable() -> None:
    rows = FlightRows("127.0.0.1:1", TlsSettings(), page_seconds=5, stream_seconds=5)
    try:
        with pytest.raises(KallaError) as caught:
            await rows.page(ROWS)
    finally:
        rows.close()
    assert caught.value.code is Code.RUNNER_UNAVAILABLE


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    """A certificate for this machine, and the authority that issued it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return TlsSettings(cert_file=cert, key_file=key, ca_file=ca, require_client_cert=True)


async def test_rows_come_over_mutual_tls_and_not_without_a_certificate(
    connect: Callable[..., FlightRows], tls: TlsSettings
) -> None:
    server = Server(
        _two_rows,
        tls_certificates=[(tls.read(tls.cert_file), tls.read(tls.key_file))],
        verify_client=True,
        root_certificates=tls.read(tls.ca_file),
    )
    assert len((await connect(server, tls=tls).page(ROWS)).rows) == 2
    for other in (TlsSettings(ca_file=tls.ca_file), TlsSettings()):
        with pytest.raises(KallaError) as caught:
            await connect(server, seconds=5.0, tls=other).page(ROWS)
        assert caught.value.code in (Code.RUNNER_UNAVAILABLE, Code.DEADLINE_EXCEEDED)
