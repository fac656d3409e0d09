"""Callbacks: at least once, numbered, signed; a dead URL fails no run."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

import pytest
from kalla_cli.ports import free_port
from kalla_common.errors import KallaError
from kalla_common.webhooks import verify

from tests.integration.runner.service.harness import (
    Receiver,
    RunnerProcess,
    job,
    slow_job,
    wait_for,
    write_sources,
)

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cw=="


@pytest.fixture(scope="module")
def runner(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerProcess]:
    """One signing runner with one slot for all tests of this file."""
    process = RunnerProcess(postgres_url, tmp_path_factory.mktemp("runner"))
    try:
        process.start(max_active="1", webhook_secret=SECRET, executor_id=f"callbacks-{uuid.uuid4()}")
        yield process
    finally:
        process.destroy()


def test_trap_14_a_callback_answered_500_is_sent_again_in_the_same_words(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    receiver.status = 500
    body = job(runner, write_sources(runner.data), callback_url=receiver.url)
    runner.submit(body)
    wait_for(lambda: len(receiver.of(body["run_id"], "complete")) >= 2, "two tries")
    receiver.status = 200
    tries = len(receiver.of(body["run_id"], "complete"))
    wait_for(lambda: len(receiver.of(body["run_id"], "complete")) > tries, "the next try")
    messages = receiver.of(body["run_id"], "complete")
    assert len({(m.raw, m.headers["webhook-id"]) for m in messages}) == 1


def test_a_redirect_is_not_followed_and_the_message_stays_with_its_receiver(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    elsewhere = Receiver()
    try:
        receiver.status, receiver.location = 307, elsewhere.url
        body = job(runner, write_sources(runner.data), callback_url=receiver.url)
        runner.submit(body)
        wait_for(lambda: len(receiver.of(body["run_id"], "complete")) >= 2, "two tries")
        receiver.status, receiver.location = 200, None
        assert elsewhere.messages == []
    finally:
        elsewhere.close()


def test_a_dead_callback_url_fails_no_run_and_holds_up_no_other(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    files = write_sources(runner.data)
    dead = [job(runner, files, callback_url=f"http://127.0.0.1:{free_port()}/x") for _ in range(3)]
    for body in dead:
        runner.submit(body)
    living = job(runner, files, callback_url=receiver.url)
    runner.submit(living)
    wait_for(lambda: receiver.of(living["run_id"], "complete"), "complete")
    assert runner.figure("kalla_runner_jobs_completed") >= 4


def test_a_job_that_takes_no_time_tells_of_staging_and_of_matching_before_its_end(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    for rows in (0, 10, 1000):
        body = job(runner, write_sources(runner.data, rows), callback_url=receiver.url)
        runner.submit(body)
        (end,) = wait_for(lambda run=body["run_id"]: receiver.of(run, "complete"), "complete")
        mine = [m for m in receiver.messages if m.body["run_id"] == body["run_id"]]
        assert mine[-1] is end
        staging = [m.body for m in mine if m.body.get("stage") == "staging"]
        matching = [m.body for m in mine if m.body.get("stage") == "matching"]
        assert staging
        assert all(step["source"] in ("invoices", "payments") for step in staging)
        assert staging[-1]["progress"] == 1.0
        assert mine[: len(staging)] == [m for m in mine if m.body.get("stage") == "staging"]
        assert matching[-1]["progress"] == 1.0
        assert matching[-1]["matched_count"] == end.body["matched_count"]
        assert matching[-1]["total_left"] == matching[-1]["total_right"] == rows
        numbers = [m.body["sequence"] for m in mine]
        assert numbers == sorted(set(numbers))


def test_a_job_that_fails_while_it_matches_tells_of_staging_before_its_error(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    body = job(runner, write_sources(runner.data), callback_url=receiver.url, match_sql="SELECT 1")
    runner.submit(body)
    (end,) = wait_for(lambda: receiver.of(body["run_id"], "error"), "error")
    progress = receiver.of(body["run_id"], "progress")
    assert {m.body["stage"] for m in progress} == {"staging"}
    assert all(m.body["sequence"] < end.body["sequence"] for m in progress)


def test_trap_13_progress_is_numbered_in_the_order_in_which_it_happened_and_before_the_end(
    runner: RunnerProcess, receiver: Receiver
) -> None:
    body = slow_job(runner, callback_url=receiver.url)
    runner.submit(body)
    (end,) = wait_for(lambda: receiver.of(body["run_id"], "complete"), "complete", 60)
    progress = [message.body for message in receiver.of(body["run_id"], "progress")]
    assert progress, "a run of seconds tells how far it is"
    numbers = [step["sequence"] for step in progress]
    assert all(one < other for one, other in itertools.pairwise(numbers))
    assert numbers[-1] < end.body["sequence"]
    matching = [step for step in progress if step["stage"] == "matching"]
    assert matching
    assert all(0.0 <= step["progress"] <= 1.0 for step in matching)
    assert matching[-1]["total_left"] == matching[-1]["total_right"] == 30_000
    for message in receiver.messages:
        verify(SECRET, message.headers, message.raw)
    with pytest.raises(KallaError):
        verify(SECRET, end.headers, end.raw + b" ")
