"""The documented HTTP API, gRPC and Flight of a real runner process."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kalla.runner.v1 import job_pb2, runner_service_pb2, runner_service_pb2_grpc, ticket_pb2
from kalla_common.domain import FilterCondition, FilterOp, JobSpec, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.convert import job_spec_to_proto, source_to_proto
from kalla_common.rpc.flight import kalla_errors
from pyarrow import flight

from tests.integration.runner.service.harness import (
    MATCH_SQL,
    Receiver,
    RunnerProcess,
    job,
    wait_for,
    write_sources,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner")


@pytest.fixture(scope="module")
def runner(postgres_url: str, home: Path) -> Iterator[RunnerProcess]:
    """One runner for all tests of this file; it stops cleanly at the end."""
    process = RunnerProcess(postgres_url, home, {"KALLA_RUNNER_EXECUTOR_ID": f"faces-{uuid.uuid4()}"})
    try:
        process.start()
        yield process
        process.stop()
    finally:
        process.destroy()


@pytest.fixture(scope="module")
def sources(runner: RunnerProcess) -> tuple[Path, Path]:
    return write_sources(runner.data)


@pytest.fixture
async def stub(runner: RunnerProcess) -> AsyncIterator[runner_service_pb2_grpc.RunnerServiceAsyncStub]:
    channel = make_channel(f"127.0.0.1:{runner.grpc_port}")
    try:
        yield runner_service_pb2_grpc.RunnerServiceStub(channel)
    finally:
        await channel.close()


@pytest.fixture
def rows(runner: RunnerProcess) -> Iterator[flight.FlightClient]:
    with flight.connect(f"grpc://127.0.0.1:{runner.flight_port}") as client:
        yield client


def spec_of(runner: RunnerProcess, sources: tuple[Path, Path], **changes: object) -> JobSpec:
    run_id = str(uuid.uuid4())
    values: dict[str, object] = {
        "run_id": run_id,
        "match_sql": MATCH_SQL,
        "sources": (SourceSpec("invoices", str(sources[0])), SourceSpec("payments", str(sources[1]))),
        "output_path": str(runner.data / "runs" / run_id),
        "primary_keys": {"invoices": ("id",), "payments": ("id",)},
        **changes,
    }
    return JobSpec(**values)  # pyright: ignore[reportArgumentType] - a test's shorthand


def read(client: flight.FlightClient, ticket: ticket_pb2.FlightTicket) -> pa.Table:
    options = flight.FlightCallOptions(timeout=20)
    with kalla_errors():
        return client.do_get(flight.Ticket(ticket.SerializeToString()), options).read_all()


def output_ticket(
    run_id: str, output: ticket_pb2.RunOutput.ValueType, **page: int
) -> ticket_pb2.FlightTicket:
    rows = ticket_pb2.RunOutputRows(run_id=run_id, output=output, **page)  # pyright: ignore[reportArgumentType]
    return ticket_pb2.FlightTicket(run_output_rows=rows)


def test_health_and_ready_answer_200(runner: RunnerProcess) -> None:
    assert httpx.get(f"{runner.url}/health").status_code == 200
    assert httpx.get(f"{runner.url}/ready").status_code == 200


def test_the_root_names_the_paths_that_there_are(runner: RunnerProcess) -> None:
    content = httpx.get(runner.url).json()
    assert (content["name"], content["ready"]) == ("Kalla runner", True)
    links = set(content["links"].values())
    assert {"/api/jobs", "/health", "/openapi.json"} <= links
    for path in links - {"/api/jobs"}:
        assert httpx.get(f"{runner.url}{path}").status_code == 200, path


def test_a_job_over_http_ends_with_a_complete_callback_and_its_files(
    runner: RunnerProcess, sources: tuple[Path, Path], receiver: Receiver
) -> None:
    before = runner.figure("kalla_runner_jobs_completed")
    body = job(runner, sources, callback_url=receiver.url)
    answer = runner.submit(body)
    assert (answer.status_code, answer.json()) == (200, {"run_id": body["run_id"], "status": "accepted"})
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
    complete = message.body
    assert complete["matched_count"] == 900
    assert complete["unmatched_left_count"] == complete["unmatched_right_count"] == 100
    for name, path in complete["output_paths"].items():
        assert Path(path).is_file(), name
    assert complete["diagnostics"]["left"]["total_rows"] == 1000
    assert complete["diagnostics"]["match_path"] == "one_pass"
    assert message.headers["webhook-id"] == f"{body['run_id']}:complete"
    assert runner.figure("kalla_runner_jobs_completed") == before + 1
    assert not list(runner.work.glob("*-*-*")), "staged data were left"
    assert [entry.name for entry in (runner.data / "runs").glob(".*")] == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"run_id": "no-uuid"}, 400, "INVALID_REQUEST"),
        ({"sources": []}, 400, "INVALID_REQUEST"),
        ({"primary_keys": {}}, 400, "INVALID_PRIMARY_KEY"),
        ({"callback_url": "nowhere"}, 400, "INVALID_REQUEST"),
    ],
)
def test_a_wrong_job_over_http_is_a_400_with_its_code(
    runner: RunnerProcess, sources: tuple[Path, Path], changes: dict[str, object], status: int, code: str
) -> None:
    answer = runner.submit(job(runner, sources, **changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code", "details"}


def test_the_same_job_again_is_the_same_job_and_another_is_refused(
    runner: RunnerProcess, sources: tuple[Path, Path]
) -> None:
    body = job(runner, sources)
    assert [runner.submit(body).status_code for _ in range(3)] == [200, 200, 200]
    again = runner.submit({**body, "match_sql": MATCH_SQL + " WHERE l.id > 5"})
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"output_path": "/etc/kalla-out"}, "PATH_NOT_ALLOWED"),
        ({"match_sql": "SELECT l.id FROM left_src l JOIN"}, "INVALID_SQL"),
        ({"match_sql": "DROP TABLE left_src"}, "FORBIDDEN_SQL"),
        ({"primary_keys": {"invoices": ["nix"], "payments": ["id"]}}, "INVALID_PRIMARY_KEY"),
    ],
)
def test_a_job_that_cannot_run_fails_with_its_code_over_callback_and_grpc(
    runner: RunnerProcess,
    sources: tuple[Path, Path],
    receiver: Receiver,
    changes: dict[str, object],
    code: str,
) -> None:
    body = job(runner, sources, callback_url=receiver.url, **changes)
    assert runner.submit(body).status_code == 200
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    assert message.body["code"] == code
    assert message.body["error"]
    assert not Path(body["output_path"]).exists()


async def test_a_watched_job_is_seen_to_its_end_and_get_agrees(
    runner: RunnerProcess,
    sources: tuple[Path, Path],
    stub: runner_service_pb2_grpc.RunnerServiceAsyncStub,
) -> None:
    spec = spec_of(runner, sources)
    submitted = await stub.SubmitJob(runner_service_pb2.SubmitJobRequest(spec=job_spec_to_proto(spec)))
    assert submitted.job.run_id == spec.run_id
    states = [
        answer.job
        async for answer in stub.WatchJob(runner_service_pb2.WatchJobRequest(run_id=spec.run_id), timeout=30)
    ]
    assert states[-1].state == job_pb2.JOB_STATE_COMPLETED
    assert states[-1].result.matched_count == 900
    got = await stub.GetJob(runner_service_pb2.GetJobRequest(run_id=spec.run_id))
    assert got.job == states[-1]
    assert got.job.created_at.ToDatetime() <= got.job.updated_at.ToDatetime()


async def test_an_unknown_run_is_not_found_in_every_call(
    stub: runner_service_pb2_grpc.RunnerServiceAsyncStub,
) -> None:
    nobody = str(uuid.uuid4())
    with pytest.raises(KallaError) as got:
        await stub.GetJob(runner_service_pb2.GetJobRequest(run_id=nobody))
    with pytest.raises(KallaError) as cancelled:
        await stub.CancelJob(runner_service_pb2.CancelJobRequest(run_id=nobody))
    with pytest.raises(KallaError) as watched:
        async for _ in stub.WatchJob(runner_service_pb2.WatchJobRequest(run_id=nobody), timeout=10):
            pass
    assert {e.value.code for e in (got, cancelled, watched)} == {Code.RUN_NOT_FOUND}


async def test_describe_and_check_know_the_real_schemas(
    sources: tuple[Path, Path], stub: runner_service_pb2_grpc.RunnerServiceAsyncStub
) -> None:
    specs = [SourceSpec("invoices", str(sources[0])), SourceSpec("payments", str(sources[1]))]
    described = await stub.DescribeSource(
        runner_service_pb2.DescribeSourceRequest(source=source_to_proto(specs[0]), count_rows=True)
    )
    assert [(c.name, c.data_type) for c in described.columns] == [("id", "integer"), ("ref", "text")]
    assert described.row_count == 1000
    keys = {name: job_pb2.PrimaryKey(columns=["id"]) for name in ("invoices", "payments")}
    messages = [source_to_proto(spec) for spec in specs]
    good = await stub.CheckMatchSql(
        runner_service_pb2.CheckMatchSqlRequest(match_sql=MATCH_SQL, sources=messages, primary_keys=keys)
    )
    assert good.ok
    assert [c.name for c in good.output_columns] == ["left_id", "right_id"]
    bad = await stub.CheckMatchSql(
        runner_service_pb2.CheckMatchSqlRequest(
            match_sql="SELECT l.nix FROM left_src l JOIN right_src r ON l.ref = r.ref",
            sources=messages,
            primary_keys=keys,
        )
    )
    assert not bad.ok
    assert bad.problems


async def test_health_service_says_serving(runner: RunnerProcess) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{runner.grpc_port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "kalla.runner.v1.RunnerService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_rows_of_a_source_come_filtered_and_paged_with_their_total(
    runner: RunnerProcess, rows: flight.FlightClient
) -> None:
    path = runner.data / "amounts.csv"
    table = pa.table({"id": list(range(100)), "amount": [f"{n}.50" for n in range(100)]})
    pa_csv.write_csv(table, path)
    spec = SourceSpec("a", str(path), (FilterCondition("id", FilterOp.GTE, (10,)),))
    message = ticket_pb2.SourceRows(source=source_to_proto(spec), limit=3, offset=2)
    table = read(rows, ticket_pb2.FlightTicket(source_rows=message))
    assert [row["id"] for row in table.to_pylist()] == [12, 13, 14]
    metadata = table.schema.metadata
    assert metadata is not None
    assert metadata[b"kalla.total_rows"] == b"90"
    assert [column["name"] for column in json.loads(metadata[b"kalla.columns"])] == ["id", "amount"]
    assert json.loads(metadata[b"kalla.columns"])[1]["data_type"].startswith("decimal")


def test_trap_26_rows_of_an_output_are_utf8_and_paged(
    runner: RunnerProcess, sources: tuple[Path, Path], rows: flight.FlightClient, receiver: Receiver
) -> None:
    body = job(runner, sources, callback_url=receiver.url)
    runner.submit(body)
    wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
    table = read(rows, output_ticket(body["run_id"], ticket_pb2.RUN_OUTPUT_UNMATCHED_LEFT, limit=5, offset=1))
    assert table.schema.field("ref").type == pa.string()
    assert table.column("ref").to_pylist() == ["R10", "R20", "R30", "R40", "R50"]
    assert table.schema.metadata is not None
    assert table.schema.metadata[b"kalla.total_rows"] == b"100"
    whole = read(rows, output_ticket(body["run_id"], ticket_pb2.RUN_OUTPUT_MATCHED))
    assert whole.num_rows == 900


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        (ticket_pb2.FlightTicket(), Code.INVALID_REQUEST),
        (output_ticket(str(uuid.UUID(int=7)), ticket_pb2.RUN_OUTPUT_MATCHED), Code.RUN_NOT_FOUND),
        (output_ticket(str(uuid.UUID(int=7)), ticket_pb2.RUN_OUTPUT_UNSPECIFIED), Code.INVALID_REQUEST),
    ],
)
def test_a_ticket_that_asks_for_nothing_real_is_refused_with_its_code(
    rows: flight.FlightClient, ticket: ticket_pb2.FlightTicket, code: Code
) -> None:
    with pytest.raises(KallaError) as refused:
        read(rows, ticket)
    assert refused.value.code is code


def test_bytes_that_are_no_ticket_bring_no_traceback(rows: flight.FlightClient) -> None:
    with pytest.raises(KallaError) as refused, kalla_errors():
        rows.do_get(flight.Ticket(b"\xff\xff\xff"), flight.FlightCallOptions(timeout=10)).read_all()
    assert refused.value.code is Code.INVALID_REQUEST
    with pytest.raises(flight.FlightError) as raw:
        list(rows.list_flights())
    assert "Traceback" not in str(raw.value)


def test_results_of_a_failed_run_are_not_ready(
    runner: RunnerProcess, sources: tuple[Path, Path], rows: flight.FlightClient, receiver: Receiver
) -> None:
    body = job(runner, sources, callback_url=receiver.url, match_sql="SELECT l.nix FROM left_src l")
    runner.submit(body)
    wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    with pytest.raises(KallaError) as refused:
        read(rows, output_ticket(body["run_id"], ticket_pb2.RUN_OUTPUT_MATCHED))
    assert refused.value.code is Code.RESULTS_NOT_READY


def test_trap_18_no_password_reaches_the_log(
    runner: RunnerProcess, sources: tuple[Path, Path], receiver: Receiver
) -> None:
    secret = "hunter2-very-secret"
    body = job(
        runner,
        sources,
        callback_url=receiver.url,
        sources=[
            {"alias": "invoices", "uri": f"postgres://kalla:{secret}@127.0.0.1:1/db?table=t"},
            {"alias": "payments", "uri": str(sources[1])},
        ],
    )
    assert runner.submit(body).status_code == 200
    (message,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    assert message.body["code"] == "SOURCE_UNREACHABLE"
    assert secret not in message.raw.decode()
    assert secret not in runner.log


def test_the_children_are_warm_and_stay(runner: RunnerProcess) -> None:
    names = [" ".join(child.cmdline()) for child in runner.children()]
    assert sum("kalla_runner.children.child" in name for name in names) == 2
    assert all(psutil.Process(child.pid).ppid() for child in runner.children())
