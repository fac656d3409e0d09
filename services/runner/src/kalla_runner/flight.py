"""The Flight face of the runner: rows of sources and of outputs, asked for with a ticket.

Handlers run in Flight's own threads, so a large file blocks no event loop. `serve()` is never
called: the server listens from its construction on, and serve() would take the signals.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa
from kalla.runner.v1 import ticket_pb2
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.convert import source_from_proto
from kalla_common.rpc.flight import flight_errors, wrap_stream
from kalla_common.settings import TlsSettings
from pyarrow import flight

from kalla_runner.board import Job
from kalla_runner.children.reader_process import Watch
from kalla_runner.jobs import Jobs
from kalla_runner.reads import Page, Reads

LOOKUP_SECONDS: Final = 10.0
_PATHS: Final = {
    ticket_pb2.RUN_OUTPUT_MATCHED: "matched",
    ticket_pb2.RUN_OUTPUT_UNMATCHED_LEFT: "unmatched_left",
    ticket_pb2.RUN_OUTPUT_UNMATCHED_RIGHT: "unmatched_right",
}


class RunnerFlight(flight.FlightServerBase):  # pyright: ignore[reportUntypedBaseClass] - pyarrow has no types
    """Serves DoGet for `FlightTicket`.

    Args:
        address: host and port; port 0 takes any free one, see `port`.
        jobs: the jobs, used in `loop`.
        reads: reads rows, in Flight's threads.
        loop: the runner's event loop.
        tls: certificate and key; absent: plain text.
        read_seconds: how long a source may keep its reader waiting.
    """

    def __init__(
        self,
        address: tuple[str, int],
        jobs: Jobs,
        reads: Reads,
        loop: asyncio.AbstractEventLoop,
        tls: TlsSettings,
        *,
        read_seconds: float,
    ) -> None:
        host, port = address
        super().__init__(f"{'grpc+tls' if tls.server else 'grpc'}://{host}:{port}", **_tls(tls))
        self._jobs = jobs
        self._reads = reads
        self._loop = loop
        self._read_seconds = read_seconds
        self._open = True

    def refuse(self) -> None:
        """Answer UNAVAILABLE from now on; streams that run go on."""
        self._open = False

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Stream the rows that the ticket asks for."""
        with flight_errors():
            if not self._open:
                raise KallaError(Code.RUNNER_UNAVAILABLE, "The runner is stopping: try again in a moment.")
            watch = Watch(context.is_cancelled, self._read_seconds)
            page = self._page(ticket_pb2.FlightTicket.FromString(ticket.ticket), watch)
            schema = page.schema.with_metadata(_metadata(page))
            return flight.GeneratorStream(schema, wrap_stream(_with_schema(page.batches, schema)))

    def list_flights(self, _context: flight.ServerCallContext, _criteria: bytes) -> Any:
        """Refused: rows are found by ticket alone."""
        with flight_errors():
            raise KallaError(Code.INVALID_REQUEST, "Ask for rows by a ticket; flights are not listed.")

    def get_flight_info(
        self, _context: flight.ServerCallContext, _descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """Refused: rows are found by ticket alone."""
        with flight_errors():
            raise KallaError(Code.INVALID_REQUEST, "Ask for rows by a ticket.")

    def do_put(self, *_arguments: Any) -> None:
        """Refused: the runner takes no rows."""
        with flight_errors():
            raise KallaError(Code.INVALID_REQUEST, "The runner takes no rows.")

    def _page(self, ticket: ticket_pb2.FlightTicket, watch: Watch) -> Page:
        match ticket.WhichOneof("kind"):
            case "source_rows":
                rows = ticket.source_rows
                limit = rows.limit if rows.HasField("limit") else None
                return self._reads.source_rows(source_from_proto(rows.source), limit, rows.offset, watch)
            case "run_output_rows":
                rows = ticket.run_output_rows
                limit = rows.limit if rows.HasField("limit") else None
                return self._reads.output_rows(self._path(rows.run_id, rows.output), limit, rows.offset)
            case _:
                raise KallaError(Code.INVALID_REQUEST, "The Flight ticket asks for nothing.")

    def _path(self, run_id: str, output: ticket_pb2.RunOutput.ValueType) -> str:
        if output not in _PATHS:
            raise KallaError(Code.INVALID_REQUEST, "The Flight ticket names no output.")
        asked = asyncio.run_coroutine_threadsafe(self._jobs.get(run_id), self._loop)
        job: Job = asked.result(LOOKUP_SECONDS)
        if job.result is None:
            raise KallaError(
                Code.RESULTS_NOT_READY, f"The run {run_id} has no results: it is {job.state.value}."
            )
        path: str = getattr(job.result.output_paths, _PATHS[output])
        return path


def _tls(tls: TlsSettings) -> dict[str, Any]:
    if not tls.server:
        return {}
    key, certificate = tls.read(tls.key_file), tls.read(tls.cert_file)
    arguments: dict[str, Any] = {"tls_certificates": [flight.CertKeyPair(certificate, key)]}
    if tls.require_client_cert:
        arguments |= {"verify_client": True, "root_certificates": tls.read(tls.ca_file)}
    return arguments


def _metadata(page: Page) -> dict[str, str]:
    columns = [asdict(column) for column in page.columns]
    return {
        "kalla.total_rows": str(page.total_rows),
        "kalla.columns": json.dumps(columns, ensure_ascii=False),
    }


def _with_schema(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    # Only the metadata differ, and Flight insists on the very same schema.
    for batch in batches:
        yield (
            batch.replace_schema_metadata(schema.metadata)
            if batch.schema.equals(schema)
            else batch.cast(schema)
        )
