"""The runner's rows over Arrow Flight. Blocking calls run in threads of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pyarrow as pa
from kalla.runner.v1 import ticket_pb2
from pyarrow import flight

from kalla_common.arrow_text import text_rows
from kalla_common.domain import ColumnInfo
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.rpc import convert
from kalla_common.rpc.flight import kalla_errors
from kalla_common.runner.ports import Output, OutputRows, Page, RowStream, SourceRows, naming_runner
from kalla_common.settings import TlsSettings
from kalla_common.telemetry import inject_context, log

T = TypeVar("T")

THREADS = 32
"""Streams that may be read at the same moment; further ones wait for a thread."""

_OUTPUTS = {
    Output.MATCHED: ticket_pb2.RUN_OUTPUT_MATCHED,
    Output.UNMATCHED_LEFT: ticket_pb2.RUN_OUTPUT_UNMATCHED_LEFT,
    Output.UNMATCHED_RIGHT: ticket_pb2.RUN_OUTPUT_UNMATCHED_RIGHT,
}


class FlightRows:
    """RunnerRows over one Flight client, which connects at the first call.

    Args:
        address: host:port of the runner's Flight server.
        tls: with a `ca_file` the connection speaks TLS.
        page_seconds: deadline of a page.
        stream_seconds: deadline of a whole stream.
    """

    def __init__(self, address: str, tls: TlsSettings, *, page_seconds: float, stream_seconds: float) -> None:
        self._client = _connect(address, tls)
        self._page_seconds = page_seconds
        self._stream_seconds = stream_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="flight")

    async def page(self, rows: SourceRows | OutputRows) -> Page:
        """See RunnerRows."""
        ticket, options = flight.Ticket(ticket_bytes(rows)), _options(self._page_seconds)

        def read() -> Page:
            with naming_runner(), kalla_errors():
                reader = self._client.do_get(ticket, options)
                columns, total_rows = described(reader.schema)
                texts = [row for chunk in reader for row in text_rows(chunk.data)]
            return Page(columns, texts, total_rows)

        return await self._in_thread(read)

    @asynccontextmanager
    async def stream(self, rows: SourceRows | OutputRows) -> AsyncGenerator[RowStream]:
        """See RunnerRows."""
        ticket, options = flight.Ticket(ticket_bytes(rows)), _options(self._stream_seconds)

        def start() -> tuple[Any, pa.Schema]:
            with naming_runner(), kalla_errors():
                reader = self._client.do_get(ticket, options)
                return reader, reader.schema

        reader, schema = await self._in_thread(start)
        try:
            columns, total_rows = described(schema)
            yield RowStream(schema.remove_metadata(), columns, total_rows, self._batches(reader))
        finally:
            # Also ends a read that a thread is still blocked in.
            reader.cancel()

    async def _batches(self, reader: Any) -> AsyncIterator[pa.RecordBatch]:
        def read() -> pa.RecordBatch | None:
            with naming_runner(), kalla_errors():
                try:
                    return reader.read_chunk().data
                except StopIteration:
                    return None

        while (batch := await self._in_thread(read)) is not None:
            yield batch

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """End the connection; calls under way end with an error."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def ticket_bytes(rows: SourceRows | OutputRows) -> bytes:
    """The Flight ticket that asks for `rows`."""
    if isinstance(rows, SourceRows):
        source = convert.source_to_proto(rows.source)
        asked = ticket_pb2.SourceRows(source=source, limit=rows.limit, offset=rows.offset)
        return ticket_pb2.FlightTicket(source_rows=asked).SerializeToString()
    output = ticket_pb2.RunOutputRows(
        run_id=rows.run_id, output=_OUTPUTS[rows.output], limit=rows.limit, offset=rows.offset
    )
    return ticket_pb2.FlightTicket(run_output_rows=output).SerializeToString()


def described(schema: pa.Schema) -> tuple[tuple[ColumnInfo, ...], int]:
    """Columns and total rows, as the schema's metadata says them."""
    metadata = schema.metadata or {}
    try:
        entries = json.loads(metadata[b"kalla.columns"])
        columns = tuple(ColumnInfo(e["name"], e["data_type"], e["nullable"]) for e in entries)
        return columns, int(metadata[b"kalla.total_rows"])
    except (KeyError, ValueError, TypeError) as error:
        log.error("flight_metadata_missing", keys=[key.decode() for key in metadata])
        raise KallaError(Code.INTERNAL, INTERNAL_MESSAGE) from error


def _options(seconds: float) -> flight.FlightCallOptions:
    headers = [(key.encode(), value.encode()) for key, value in inject_context().items()]
    return flight.FlightCallOptions(timeout=seconds, headers=headers)


def _connect(address: str, tls: TlsSettings) -> flight.FlightClient:
    options: list[tuple[str, int]] = [
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_http_proxy", 0),
    ]
    if not tls.client:
        return flight.FlightClient(f"grpc://{address}", generic_options=options)
    return flight.FlightClient(
        f"grpc+tls://{address}",
        tls_root_certs=tls.read(tls.ca_file),
        cert_chain=tls.read(tls.cert_file),
        private_key=tls.read(tls.key_file),
        generic_options=options,
    )
