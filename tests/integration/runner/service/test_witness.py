"""The server's default for the witness, in jobs over HTTP and in callbacks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.integration.runner.service.harness import Receiver, RunnerProcess, job, wait_for, write_sources


@pytest.fixture(scope="module")
def runner(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """A runner that is set to have a witness."""
    process = RunnerProcess(postgres_url, tmp_path_factory.mktemp("runner"))
    try:
        process.start(max_active="1", witness="true", executor_id=f"witness-{uuid.uuid4()}")
        yield process
    finally:
        process.destroy()


@pytest.mark.parametrize(
    ("asked", "status"), [({}, "agreed"), ({"witness": True}, "agreed"), ({"witness": False}, None)]
)
def test_a_job_that_leaves_it_open_gets_what_the_server_is_set_to(
    asked: dict[str, bool], status: str | None, runner: RunnerProcess, receiver: Receiver
) -> None:
    body = job(runner, write_sources(runner.data), callback_url=receiver.url, **asked)
    runner.submit(body)
    wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete")
    report = receiver.of(body["run_id"], "complete")[0].body.get("witness")
    assert (None if report is None else report["status"]) == status
