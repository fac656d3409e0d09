"""The endpoints of runs, as far as they need no runner, and what its absence does."""

from __future__ import annotations

import asyncio
import copy
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from kalla_common.domain import JobProgress, JobState
from kalla_common.runner.ports import JobView
from kalla_gateway.runs import repository
from kalla_gateway.runs import service as runs
from kalla_gateway.runs.planning import RunRequest, plan_run
from kalla_gateway.runs.reconciler import Reconciler
from kalla_gateway.runs.schemas import CreateRun

from tests.integration.gateway.conftest import RECIPE, Gateway, OpenGateway

URI = RECIPE["sources"]["left"]["uri"]
MASKED = URI.replace("s3cret", "***")


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def _only_run(gateway: Gateway) -> dict[str, Any]:
    (run,) = (await gateway.get("/api/runs")).json()
    return await gateway.run(run["run_id"])


def _reconciler(gateway: Gateway, silence: float = 0.0, submit: float = 0.0) -> Reconciler:
    s = gateway.services
    return Reconciler(s.database, s.control, s.metrics, silence, 0.01, submit)


async def test_runs_are_listed_newest_first_with_the_documented_fields(gateway: Gateway) -> None:
    for run_id in ("a", "b", "c"):
        await gateway.submitted(run_id)
    listed = (await gateway.get("/api/runs")).json()
    assert [run["run_id"] for run in listed] == ["c", "b", "a"]
    assert set(listed[0]) == {
        "run_id",
        "recipe_id",
        "status",
        "matched_count",
        "unmatched_left_count",
        "unmatched_right_count",
        "created_at",
        "updated_at",
    }
    assert listed[0]["created_at"].endswith("Z")


async def test_runs_can_be_listed_in_pages(gateway: Gateway) -> None:
    for run_id in ("a", "b", "c", "d", "e"):
        await gateway.submitted(run_id)
    pages = [(await gateway.get(f"/api/runs?limit=2{x}")).json() for x in ("", "&before=d", "&before=b")]
    assert [[run["run_id"] for run in page] for page in pages] == [["e", "d"], ["c", "b"], ["a"]]
    assert (await gateway.get("/api/runs?before=nope")).status_code == 404
    assert (await gateway.get("/api/runs?limit=0")).status_code == 400


@pytest.mark.parametrize("path", ["", "/events", "/results/matched"])
async def test_an_unknown_run_is_a_404(gateway: Gateway, path: str) -> None:
    answer = await gateway.get(f"/api/runs/nope{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "RUN_NOT_FOUND")
    assert (await gateway.post("/api/runs/nope/cancel", None)).status_code == 404


@pytest.mark.parametrize("body", [{}, {"recipe_id": None, "recipe": None}, {"recipe_id": ""}])
async def test_a_run_of_neither_recipe_id_nor_recipe_is_a_400(gateway: Gateway, body: object) -> None:
    answer = await gateway.post("/api/runs", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert (await gateway.get("/api/runs")).json() == []


async def test_a_run_of_an_unknown_recipe_is_a_404(gateway: Gateway) -> None:
    answer = await gateway.post("/api/runs", {"recipe_id": "nope"})
    assert (answer.status_code, answer.json()["code"]) == (404, "RECIPE_NOT_FOUND")


async def test_two_different_recipes_in_one_request_are_a_400(gateway: Gateway) -> None:
    answer = await gateway.post("/api/runs", {"recipe_id": "other", "recipe": RECIPE})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def test_a_source_without_any_uri_is_a_400_that_names_its_alias(gateway: Gateway) -> None:
    recipe = copy.deepcopy(RECIPE)
    del recipe["sources"]["right"]["uri"]
    answer = await gateway.post("/api/runs", {"recipe": recipe})
    assert (answer.status_code, answer.json()["details"]) == (400, {"alias": "payments"})
    assert "'payments'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        ([{"alias": "nope", "uri": "/x.csv"}], "INVALID_REQUEST"),
        (
            [{"alias": "payments", "uri": "/x.csv"}, {"alias": "right_src", "uri": "/x.csv"}],
            "INVALID_REQUEST",
        ),
        ([{"alias": "payments"}], "INVALID_REQUEST"),
        ([{"alias": "invoices", "uri": "postgres://h/db"}], "INVALID_URI"),
        ([{"alias": "invoices", "uri": MASKED.replace("db.internal", "evil")}], "INVALID_URI"),
        (
            [{"alias": "payments", "uri": "/x", "filters": [{"column": "a", "op": "x", "value": 1}]}],
            "INVALID_FILTER",
        ),
    ],
)
async def test_wrong_resolved_sources_are_a_400_and_make_no_run(
    gateway: Gateway, sources: object, code: str
) -> None:
    answer = await gateway.post("/api/runs", {"recipe": RECIPE, "resolved_sources": sources})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await gateway.get("/api/runs")).json() == []


async def test_a_runner_that_is_away_is_a_502_and_the_run_says_why(gateway: Gateway) -> None:
    answer = await gateway.post("/api/runs", {"recipe": RECIPE})
    assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")
    run = await _only_run(gateway)
    assert run["run_id"] == answer.json()["details"]["run_id"]
    assert (run["status"], run["error_code"]) == ("failed", "RUNNER_UNAVAILABLE")
    assert "runner" in run["error_message"]


async def test_a_runner_that_does_not_answer_is_a_502_and_the_run_is_settled_later(
    open_gateway: OpenGateway, silent_address: str
) -> None:
    async with open_gateway(runner_grpc=silent_address, submit_seconds=0.3) as gateway:
        answer = await gateway.post("/api/runs", {"recipe": RECIPE})
        assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")
        assert answer.json()["details"]["cause"] == "DEADLINE_EXCEEDED"
        # It may have the job: only its word settles the run.
        assert (await _only_run(gateway))["status"] == "submitted"


async def test_trap_18_a_run_stores_the_secret_and_shows_it_nowhere(gateway: Gateway) -> None:
    answer = await gateway.post("/api/runs", {"recipe": RECIPE})
    run_id = answer.json()["details"]["run_id"]
    assert (await gateway.stored(run_id)).recipe["sources"]["left"]["uri"] == URI
    for path in ("/api/runs", f"/api/runs/{run_id}", "/openapi.json", "/metrics"):
        assert "s3cret" not in (await gateway.get(path)).text


async def _planned(gateway: Gateway, body: dict[str, Any]) -> Any:
    request: RunRequest = CreateRun.model_validate(body).domain()
    async with gateway.services.database.writing() as session:
        return await plan_run(session, request, "run", "/out/run", "http://cb")


async def test_a_uri_comes_from_the_override_else_the_recipe_else_the_registered_source(
    gateway: Gateway,
) -> None:
    recipe = copy.deepcopy(RECIPE)
    del recipe["sources"]["right"]["uri"]
    recipe["sources"]["lookups"] = [{"alias": "rates", "type": "file", "uri": "/rates.csv"}]
    source = {"alias": "payments", "uri": "/registered.csv", "source_type": "file"}
    await gateway.post("/api/sources", source)
    plan = await _planned(gateway, {"recipe": recipe})
    assert [s.uri for s in plan.spec.sources] == [URI, "/registered.csv", "/rates.csv"]
    assert plan.spec.primary_keys == {"invoices": ("id",), "payments": ("id",)}
    assert (plan.spec.output_path, plan.spec.callback_url) == ("/out/run", "http://cb")
    override = {
        "alias": "right_src",
        "uri": "/other.csv",
        "filters": [{"column": "amount", "op": "gte", "value": Decimal("0.10")}],
    }
    plan = await _planned(gateway, {"recipe": recipe, "resolved_sources": [override]})
    right = plan.spec.sources[1]
    assert (right.alias, right.uri) == ("payments", "/other.csv")
    assert right.filters[0].values == (Decimal("0.10"),)
    assert plan.recipe.right.uri == "/other.csv"


async def test_trap_18_a_masked_override_takes_the_secret_of_the_recipe(gateway: Gateway) -> None:
    override = {"alias": "invoices", "uri": MASKED.replace("=invoices", "=invoices_old")}
    plan = await _planned(gateway, {"recipe": RECIPE, "resolved_sources": [override]})
    assert plan.spec.sources[0].uri == URI.replace("=invoices", "=invoices_old")


async def test_filter_numbers_are_exact_from_the_body_to_the_stored_run(gateway: Gateway) -> None:
    body = (
        '{"recipe_id": "invoices-payments", "resolved_sources": [{"alias": "payments", "uri": "/p.csv",'
        ' "filters": [{"column": "amount", "op": "in",'
        ' "value": [0.1000000000000000000001, 12345678901234567890]}]}]}'
    )
    await gateway.post("/api/recipes", RECIPE)
    headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/api/runs", content=body, headers=headers)
    row = await gateway.stored(answer.json()["details"]["run_id"])
    assert row.filters["payments"][0]["values"] == [
        {"number": "0.1000000000000000000001"},
        {"number": "12345678901234567890"},
    ]


async def test_cancelling_an_ended_run_changes_nothing(gateway: Gateway) -> None:
    answer = await gateway.post("/api/runs", {"recipe": RECIPE})
    run_id = answer.json()["details"]["run_id"]
    for _ in range(2):
        cancelled = await gateway.post(f"/api/runs/{run_id}/cancel", None)
        assert (cancelled.status_code, cancelled.json()) == (200, {"run_id": run_id, "status": "failed"})


async def test_cancelling_while_the_runner_is_away_is_a_502_and_the_run_goes_on(gateway: Gateway) -> None:
    await gateway.submitted("a")
    answer = await gateway.post("/api/runs/a/cancel", None)
    assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")
    assert (await gateway.run("a"))["status"] == "submitted"


@pytest.mark.parametrize("output", ["matched", "unmatched_left", "unmatched_right"])
async def test_results_of_a_run_that_is_not_completed_are_a_409(gateway: Gateway, output: str) -> None:
    await gateway.submitted("a")
    answer = await gateway.get(f"/api/runs/a/results/{output}")
    assert (answer.status_code, answer.json()["code"]) == (409, "RESULTS_NOT_READY")


@pytest.mark.parametrize("path", ["/results/other", "/results/matched?limit=0", "/results/matched?offset=-1"])
async def test_a_wrong_request_for_results_is_a_400(gateway: Gateway, path: str) -> None:
    await gateway.submitted("a")
    answer = await gateway.get(f"/api/runs/a{path}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


async def test_results_in_an_unknown_format_are_a_406(gateway: Gateway) -> None:
    await gateway.submitted("a")
    answer = await gateway.client.get("/api/runs/a/results/matched", headers={"accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "INVALID_REQUEST")


async def test_a_silent_run_is_left_alone_while_the_runner_is_away(gateway: Gateway) -> None:
    await gateway.submitted("a")
    looking = asyncio.create_task(_reconciler(gateway).run())
    try:
        await asyncio.sleep(0.1)
    finally:
        looking.cancel()
    assert (await gateway.run("a"))["status"] == "submitted"


async def test_only_live_runs_that_went_silent_are_asked_about(gateway: Gateway) -> None:
    for run_id in ("ended", "fresh", "silent"):
        await gateway.submitted(run_id)
    async with gateway.services.database.writing() as session:
        await runs.report_error(session, "ended", "x", None)
    await asyncio.sleep(0.2)
    await gateway.post("/api/worker/progress", {"run_id": "fresh", "stage": "matching"})
    async with gateway.services.database.reading() as session:
        silent = await repository.silent(session, 0.15, 10)
    assert [row.run_id for row in silent] == ["silent"]


async def test_progress_that_was_asked_for_does_not_replace_what_was_reported_meanwhile(
    gateway: Gateway,
) -> None:
    seen = await gateway.stored(await gateway.submitted("a"))
    reported = {"run_id": "a", "stage": "matching", "progress": 0.9, "sequence": 5}
    await gateway.post("/api/worker/progress", reported)
    asked = JobView("a", JobState.RUNNING, JobProgress("staging", 0.1))
    async with gateway.services.database.writing() as session:
        await runs.apply_job(session, seen, asked)
    assert (await gateway.run("a"))["latest_progress"]["stage"] == "matching"
    seen = await gateway.stored("a")
    async with gateway.services.database.writing() as session:
        await runs.apply_job(session, seen, JobView("a", JobState.RUNNING, JobProgress("matching", 1.0)))
    assert (await gateway.run("a"))["latest_progress"]["progress"] == 1.0


async def test_creating_a_run_costs_milliseconds_of_work(gateway: Gateway) -> None:
    await gateway.post("/api/recipes", RECIPE)
    seconds: list[float] = []
    for _ in range(30):
        began = time.process_time()
        answer = await gateway.post("/api/runs", {"recipe_id": RECIPE["recipe_id"]})
        seconds.append(time.process_time() - began)
        assert answer.status_code == 502
    # Processor time, and the least of it: others may use the machine meanwhile. It includes the
    # test's own client, a refused connection and the transaction that says so.
    assert min(seconds) < 0.03, seconds
