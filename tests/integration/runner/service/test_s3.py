"""A runner whose sources and outputs lie in a real S3 store: kill -9 around publishing, pages, refusals."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from kalla.runner.v1 import ticket_pb2
from kalla_common.errors import Code
from kalla_runner.outputs.manifest import Manifest
from pyarrow import flight

from tests.conftest import S3Bucket
from tests.integration.runner.service.harness import (
    Receiver,
    RunnerProcess,
    job,
    running,
    wait_for,
    write_sources,
)

OUTPUTS = ["manifest.json", "matched.parquet", "unmatched_left.parquet", "unmatched_right.parquet"]


@pytest.fixture
def runner(database_url: str, tmp_path: Path, s3_bucket: S3Bucket) -> Iterator[RunnerProcess]:
    """A runner that is not started yet and knows the store."""
    process = RunnerProcess(database_url, tmp_path, environment=s3_bucket.settings.environment())
    try:
        yield process
    finally:
        process.destroy()


def s3_job(runner: RunnerProcess, bucket: S3Bucket, receiver: Receiver) -> dict[str, Any]:
    """The job of `write_sources`, with a CSV object, a Parquet prefix, and outputs in the store."""
    left, right = write_sources(runner.data)
    text = io.BytesIO()
    pa_csv.write_csv(pq.read_table(left), text)
    obstore.put(bucket.store, "in/left.csv", text.getvalue())
    obstore.put(bucket.store, "in/right/part-0.parquet", right.read_bytes())
    body = job(runner, (left, right), callback_url=receiver.url)
    body["sources"][0]["uri"] = f"s3://{bucket.name}/in/left.csv"
    body["sources"][1]["uri"] = f"s3://{bucket.name}/in/right/"
    return {**body, "output_path": f"s3://{bucket.name}/runs/{body['run_id']}"}


def names(bucket: S3Bucket, body: dict[str, Any]) -> list[str]:
    listed = obstore.list(bucket.store, f"runs/{body['run_id']}")
    return sorted(entry["path"].rsplit("/", 1)[1] for page in listed for entry in page)


def check_outputs(bucket: S3Bucket, body: dict[str, Any]) -> Manifest:
    assert names(bucket, body) == OUTPUTS
    at = f"runs/{body['run_id']}"
    manifest = Manifest.from_json(bytes(obstore.get(bucket.store, f"{at}/manifest.json").bytes()))
    assert [entry.rows for entry in manifest.files] == [900, 100, 100]
    for entry in manifest.files:
        data = bytes(obstore.get(bucket.store, f"{at}/{entry.name}").bytes())
        assert pq.read_metadata(pa.BufferReader(data)).num_rows == entry.rows
    return manifest


def page(runner: RunnerProcess, run_id: str, limit: int, offset: int) -> pa.Table:
    rows = ticket_pb2.RunOutputRows(
        run_id=run_id, output=ticket_pb2.RUN_OUTPUT_MATCHED, limit=limit, offset=offset
    )
    ticket = ticket_pb2.FlightTicket(run_output_rows=rows)
    with flight.FlightClient(f"grpc://127.0.0.1:{runner.flight_port}") as client:
        return client.do_get(flight.Ticket(ticket.SerializeToString())).read_all()


async def test_trap_27_a_runner_killed_around_publishing_to_s3_publishes_once(
    runner: RunnerProcess, receiver: Receiver, s3_bucket: S3Bucket
) -> None:
    body = s3_job(runner, s3_bucket, receiver)
    for boundary in ("publish", "publish-done"):
        with running(runner, max_active="1", pause_at=boundary):
            assert runner.submit(body).status_code == 200
            wait_for(lambda: f'"pause_at": "{boundary}"' in runner.log, f"the pause at {boundary}")  # noqa: B023
            assert names(s3_bucket, body) == (OUTPUTS if boundary == "publish-done" else [])
            runner.kill()
    with running(runner, max_active="1"):
        (message,) = wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
        paths = message.body["output_paths"]
        assert paths["matched"] == f"s3://{s3_bucket.name}/runs/{body['run_id']}/matched.parquet"
        manifest = check_outputs(s3_bucket, body)
        pins = manifest.identity.pins
        assert pins["invoices"]["etag"] == obstore.head(s3_bucket.store, "in/left.csv")["e_tag"]
        assert pins["payments"]["objects"] == 1
        assert page(runner, body["run_id"], 5, 10).num_rows == 5
        assert page(runner, body["run_id"], 10, 895).num_rows == 5
        assert [entry.name for entry in runner.work.iterdir() if entry.is_dir()] == []
        runner.stop()


async def test_what_is_wrong_with_the_store_is_said_in_the_error_of_the_run(
    runner: RunnerProcess, receiver: Receiver, s3_bucket: S3Bucket
) -> None:
    body = s3_job(runner, s3_bucket, receiver)
    with running(runner, max_active="1"):
        for number, (change, code) in enumerate(
            (
                ({"output_path": "s3://no-such-bucket-here/runs/1"}, Code.OUTPUT_NOT_WRITABLE),
                ({"output_path": f"s3://{s3_bucket.name}/in"}, Code.OUTPUT_NOT_WRITABLE),
            )
        ):
            wrong = {**body, **change, "run_id": f"{number:08d}-0000-4000-8000-000000000000"}
            assert runner.submit(wrong).status_code == 200
            (message,) = wait_for(lambda: receiver.of(wrong["run_id"], "error"), "error")  # noqa: B023
            assert code.value in json.dumps(message.body), message.body
        runner.stop()
