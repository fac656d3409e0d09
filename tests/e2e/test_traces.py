"""One trace from the REST request through gRPC into the steps of the run, and no secret in it."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.e2e.support import Kalla, recipe, running_kalla

PASSWORD = "only-in-the-uri"
COLLECT_SECONDS = 20.0


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A real OTLP endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.spans: list[tuple[str, Any]] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.raw.append(request.SerializeToString())
        for resource_spans in request.resource_spans:
            names = [
                a.value.string_value for a in resource_spans.resource.attributes if a.key == "service.name"
            ]
            for scope in resource_spans.scope_spans:
                self.spans += [(names[0], span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Generator[tuple[str, Collector]]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    kept = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", kept
    finally:
        server.stop(None)


def test_a_run_is_one_trace_from_rest_into_the_steps(
    collector: tuple[str, Collector], tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, kept = collector
    for service in ("GATEWAY", "RUNNER"):
        monkeypatch.setenv(f"KALLA_{service}_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    source = _source(database_url)
    (tmp_path / "data").mkdir()
    payments = tmp_path / "data" / "payments.csv"
    payments.write_text("id,ref\n1,a\n2,b\n")
    tmp_path.chmod(0o711)
    with running_kalla(tmp_path / "home", tmp_path / "data") as kalla:
        run = _run(kalla, source, payments)
        wanted = {"run.stage", "run.match", "run.publish"}
        trace = _trace_with(kept, wanted)
        logs = "".join(path.read_text() for path in (tmp_path / "home" / "logs").iterdir())
    assert run["status"] == "completed", run
    services = {service for service, _ in trace}
    assert len(services) == 2, "the trace crosses from the gateway into the runner"
    names = {span.name for _, span in trace}
    assert any("/api/runs" in name for name in names), names
    assert any("SubmitJob" in name for name in names), names
    for part in kept.raw:
        assert PASSWORD.encode() not in part
    assert PASSWORD not in logs
    assert run["run_id"] in logs


def _source(database_url: str) -> str:
    """A table, and a user of its own whose password can be told apart."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE invoices (id text PRIMARY KEY)")
        connection.execute("INSERT INTO invoices VALUES ('a'), ('c')")
        connection.execute(f"CREATE ROLE traced LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    server = database_url.split("@", 1)[1]
    return f"postgres://traced:{PASSWORD}@{server}?table=invoices"


def _run(kalla: Kalla, source: str, payments: Path) -> dict[str, Any]:
    sql = "SELECT l.id, r.id FROM invoices l JOIN payments r ON l.id = r.ref"
    body = recipe(sql, ("invoices", source, ["id"]), ("payments", payments, ["id"]))
    # Repeated failures are the likeliest place for a secret to slip into a log.
    broken = recipe(sql, ("invoices", source + "_gone", ["id"]), ("payments", payments, ["id"]))
    kalla.post("/api/runs", {"recipe": broken})
    return kalla.run(body)


def _trace_with(kept: Collector, wanted: set[str]) -> list[tuple[str, Any]]:
    """The spans of a trace that has all the wanted names."""
    end = time.monotonic() + COLLECT_SECONDS
    while time.monotonic() < end:
        by_trace: dict[bytes, list[tuple[str, Any]]] = {}
        for service, span in list(kept.spans):
            by_trace.setdefault(span.trace_id, []).append((service, span))
        for spans in by_trace.values():
            if wanted <= {span.name for _, span in spans}:
                return spans
        time.sleep(0.1)
    msg = f"no trace has {wanted}: {sorted({span.name for _, span in kept.spans})}"
    raise AssertionError(msg)
