"""A job's spans belong to the caller's trace; with certificates nobody gets in without one."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from kalla.runner.v1 import runner_service_pb2, runner_service_pb2_grpc, ticket_pb2
from kalla_common.domain import SourceSpec
from kalla_common.errors import KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.convert import source_to_proto
from kalla_common.rpc.flight import kalla_errors
from kalla_common.settings import TlsSettings
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from pyarrow import flight

from tests.integration.runner.service.harness import Receiver, RunnerProcess, job, wait_for, write_sources


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans over real OTLP."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.spans: list[trace_pb2.Span] = []

    def Export(  # noqa: N802 - the protocol's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self.lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, trace_id: str, name: str) -> list[trace_pb2.Span]:
        with self.lock:
            return [s for s in self.spans if s.trace_id.hex() == trace_id and s.name == name]


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, int]]:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield servicer, port
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key, ca = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return TlsSettings(cert_file=cert, key_file=key, ca_file=ca, require_client_cert=True)


@pytest.fixture(scope="module")
def runner(
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    tls: TlsSettings,
    collector: tuple[Collector, int],
) -> Iterator[RunnerProcess]:
    process = RunnerProcess(postgres_url, tmp_path_factory.mktemp("runner"))
    try:
        process.start(
            max_active="1",
            executor_id=f"tls-{uuid.uuid4()}",
            otlp_endpoint=f"http://127.0.0.1:{collector[1]}",
            tls__cert_file=str(tls.cert_file),
            tls__key_file=str(tls.key_file),
            tls__ca_file=str(tls.ca_file),
            tls__require_client_cert="true",
        )
        yield process
    finally:
        process.destroy()


def test_the_steps_of_a_job_belong_to_the_trace_of_its_request(
    runner: RunnerProcess, receiver: Receiver, collector: tuple[Collector, int]
) -> None:
    trace_id = uuid.uuid4().hex
    body = job(runner, write_sources(runner.data), callback_url=receiver.url)
    headers = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    answer = httpx.post(f"{runner.url}/api/jobs", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200
    (complete,) = wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
    assert complete.headers["traceparent"].split("-")[1] == trace_id
    for name in ("run.stage", "run.match", "run.publish"):
        (span,) = wait_for(lambda: collector[0].named(trace_id, name), name)  # noqa: B023 - used at once
        assert {a.key: a.value.string_value for a in span.attributes}["kalla.run_id"] == body["run_id"]


async def test_grpc_lets_in_only_callers_with_a_certificate(runner: RunnerProcess, tls: TlsSettings) -> None:
    address = f"localhost:{runner.grpc_port}"
    request = runner_service_pb2.GetJobRequest(run_id=str(uuid.uuid4()))
    codes: list[str] = []
    for credentials in (tls, TlsSettings(ca_file=tls.ca_file), None):
        async with make_channel(address, credentials, deadline_seconds=10) as channel:
            with pytest.raises(KallaError) as refused:
                await runner_service_pb2_grpc.RunnerServiceStub(channel).GetJob(request)
            codes.append(refused.value.code.value)
    assert codes == ["RUN_NOT_FOUND", "RUNNER_UNAVAILABLE", "RUNNER_UNAVAILABLE"]


def test_flight_lets_in_only_callers_with_a_certificate(runner: RunnerProcess, tls: TlsSettings) -> None:
    path: Path = write_sources(runner.data)[0]
    message = ticket_pb2.SourceRows(source=source_to_proto(SourceSpec("l", str(path))), limit=2)
    ticket = flight.Ticket(ticket_pb2.FlightTicket(source_rows=message).SerializeToString())
    options = flight.FlightCallOptions(timeout=10)
    location = f"grpc+tls://localhost:{runner.flight_port}"
    root = tls.read(tls.ca_file)
    own = {"cert_chain": tls.read(tls.cert_file), "private_key": tls.read(tls.key_file)}
    with flight.connect(location, tls_root_certs=root, **own) as client:
        assert client.do_get(ticket, options).read_all().num_rows == 2
    with (
        flight.connect(location, tls_root_certs=root) as client,
        pytest.raises(KallaError),
        kalla_errors(),
    ):
        client.do_get(ticket, options).read_all()
