"""The worker callbacks: idempotent, in any order, applied once, from the right caller."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import Response
from kalla_common.webhooks import sign

from tests.integration.gateway.conftest import Gateway, OpenGateway

RUN = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
OTHER_RUN = "b2c3d4e5-e5f6-7890-abcd-ef1234567890"
PROGRESS = {"run_id": RUN, "stage": "matching", "progress": 0.75, "matched_count": 3000}
COMPLETE = {
    "run_id": RUN,
    "matched_count": 4500,
    "unmatched_left_count": 500,
    "unmatched_right_count": 300,
    "output_paths": {"matched": "/o/m", "unmatched_left": "/o/l", "unmatched_right": "/o/r"},
}
ERROR = {"run_id": RUN, "error": "The disk is full.", "code": "STORAGE_FULL"}


async def _report(gateway: Gateway, kind: str, body: dict[str, Any]) -> None:
    answer = await gateway.post(f"/api/worker/{kind}", body)
    assert (answer.status_code, answer.json()) == (200, {"ok": True}), answer.text


async def test_progress_makes_a_run_running_and_is_its_latest_progress(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "progress", {"run_id": RUN, "stage": "staging", "progress": 0.5, "source": "l"})
    run = await gateway.run(RUN)
    assert run["status"] == "running"
    await _report(gateway, "progress", PROGRESS | {"total_left": 5000, "total_right": 4800})
    run = await gateway.run(RUN)
    assert run["latest_progress"] == {
        "stage": "matching",
        "progress": 0.75,
        "matched_count": 3000,
        "total_left": 5000,
        "total_right": 4800,
        "updated_at": run["latest_progress"]["updated_at"],
    }
    assert run["updated_at"] >= run["latest_progress"]["updated_at"] > run["created_at"]


async def test_progress_may_lack_everything_but_its_stage(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "progress", {"run_id": RUN, "stage": "staging"})
    progress = (await gateway.run(RUN))["latest_progress"]
    assert {k: v for k, v in progress.items() if k != "updated_at"} == {
        "stage": "staging",
        "progress": None,
        "matched_count": None,
        "total_left": None,
        "total_right": None,
    }


async def test_the_latest_progress_of_a_completed_run_is_the_whole(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "progress", PROGRESS | {"progress": 0.0, "matched_count": 0, "total_left": 5000})
    await _report(gateway, "complete", COMPLETE)
    run = await gateway.run(RUN)
    progress = run["latest_progress"]
    assert (progress["progress"], progress["matched_count"], progress["total_left"]) == (1.0, 4500, 5000)
    assert progress["updated_at"] >= run["created_at"]


async def test_completion_fills_the_documented_fields(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "complete", COMPLETE | {"diagnostics": {"match_path": "one_pass"}})
    run = await gateway.run(RUN)
    expected = {
        "run_id": RUN,
        "recipe_id": "invoices-payments",
        "status": "completed",
        "matched_count": 4500,
        "unmatched_left_count": 500,
        "unmatched_right_count": 300,
        "output_matched": "/o/m",
        "output_unmatched_left": "/o/l",
        "output_unmatched_right": "/o/r",
        "error_message": None,
        "error_code": None,
        # No progress arrived, and what is known of the end is known all the same.
        "latest_progress": {
            "stage": "matching",
            "progress": 1.0,
            "matched_count": 4500,
            "total_left": None,
            "total_right": None,
            "updated_at": run["latest_progress"]["updated_at"],
        },
        "diagnostics": {"match_path": "one_pass"},
        "witness": None,
    }
    assert {k: v for k, v in run.items() if k not in ("created_at", "updated_at")} == expected


async def test_the_latest_progress_of_a_completed_run_has_its_totals(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    diagnostics = {"left": {"total_rows": 5000}, "right": {"total_rows": 4800}, "match_path": "one_pass"}
    await _report(gateway, "progress", {"run_id": RUN, "stage": "staging", "progress": 1.0})
    await _report(gateway, "complete", COMPLETE | {"diagnostics": diagnostics})
    progress = (await gateway.run(RUN))["latest_progress"]
    assert (progress["stage"], progress["total_left"], progress["total_right"]) == ("matching", 5000, 4800)


@pytest.mark.parametrize("side", [None, [], {}, {"total_rows": "many"}, {"total_rows": True}])
async def test_diagnostics_of_another_form_leave_the_totals_unknown(gateway: Gateway, side: Any) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "complete", COMPLETE | {"diagnostics": {"left": side}})
    assert (await gateway.run(RUN))["latest_progress"]["total_left"] is None


async def test_a_witness_is_kept_beside_the_diagnostics(gateway: Gateway) -> None:
    report = {"status": "agreed", "engine": "duckdb 2.0.0", "seconds": 0.1, "matched_count": 4500}
    await gateway.submitted(RUN)
    await _report(
        gateway, "complete", COMPLETE | {"witness": report, "diagnostics": {"match_path": "general"}}
    )
    run = await gateway.run(RUN)
    assert (run["witness"], run["diagnostics"]) == (report, {"match_path": "general"})


async def test_an_error_fails_the_run_and_says_why(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "error", ERROR)
    run = await gateway.run(RUN)
    assert (run["status"], run["error_message"], run["error_code"]) == (
        "failed",
        "The disk is full.",
        "STORAGE_FULL",
    )


async def test_an_error_as_the_reference_documents_it_needs_no_code(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "error", {"run_id": RUN, "error": "Failed to connect"})
    run = await gateway.run(RUN)
    assert (run["status"], run["error_message"], run["error_code"]) == ("failed", "Failed to connect", None)


async def test_an_error_with_the_code_cancelled_cancels_the_run(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "error", {"run_id": RUN, "error": "cancelled", "code": "CANCELLED"})
    assert (await gateway.run(RUN))["status"] == "cancelled"


async def test_trap_18_a_password_in_a_reported_error_is_masked(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    text = "cannot reach postgres://u:s3cret@db/x?table=t"
    await _report(gateway, "error", {"run_id": RUN, "error": text})
    assert (await gateway.stored(RUN)).error_message == text.replace("s3cret", "***")


async def test_trap_13_a_run_that_ends_before_any_progress_is_ended(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "complete", COMPLETE)
    await _report(gateway, "progress", PROGRESS)
    run = await gateway.run(RUN)
    assert (run["status"], run["latest_progress"]["progress"]) == ("completed", 1.0)


@pytest.mark.parametrize("order", list(itertools.permutations(("progress", "complete", "error"))))
async def test_trap_14_in_any_order_the_first_end_stays(gateway: Gateway, order: tuple[str, ...]) -> None:
    bodies: dict[str, dict[str, Any]] = {"progress": PROGRESS, "complete": COMPLETE, "error": ERROR}
    await gateway.submitted(RUN)
    for kind in order:
        await _report(gateway, kind, bodies[kind])
    first_end = next(kind for kind in order if kind != "progress")
    run = await gateway.run(RUN)
    assert run["status"] == ("completed" if first_end == "complete" else "failed")
    assert (run["matched_count"], run["error_message"]) == (
        (4500, None) if first_end == "complete" else (0, "The disk is full.")
    )


async def test_trap_14_a_repeated_end_is_applied_once(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "complete", COMPLETE)
    before = await gateway.run(RUN)
    await asyncio.gather(*(_report(gateway, "complete", COMPLETE) for _ in range(5)))
    await _report(gateway, "complete", COMPLETE | {"matched_count": 1})
    assert await gateway.run(RUN) == before


async def test_trap_14_older_progress_does_not_replace_newer_progress(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    await _report(gateway, "progress", PROGRESS | {"sequence": 7, "matched_count": 700})
    await _report(gateway, "progress", PROGRESS | {"sequence": 3, "matched_count": 300})
    await _report(gateway, "progress", PROGRESS | {"sequence": 7, "matched_count": 701})
    assert (await gateway.run(RUN))["latest_progress"]["matched_count"] == 700
    await _report(gateway, "progress", PROGRESS | {"sequence": 8, "matched_count": 800})
    assert (await gateway.run(RUN))["latest_progress"]["matched_count"] == 800


async def test_trap_14_of_concurrent_progress_the_newest_stays(gateway: Gateway) -> None:
    await gateway.submitted(RUN)
    numbers = [5, 19, 2, 11, 20, 7, 13, 1]
    await asyncio.gather(
        *(_report(gateway, "progress", PROGRESS | {"sequence": n, "matched_count": n}) for n in numbers)
    )
    assert (await gateway.run(RUN))["latest_progress"]["matched_count"] == 20


@pytest.mark.parametrize(("kind", "body"), [("progress", PROGRESS), ("complete", COMPLETE), ("error", ERROR)])
async def test_a_report_about_an_unknown_run_is_a_404(
    gateway: Gateway, kind: str, body: dict[str, Any]
) -> None:
    answer = await gateway.post(f"/api/worker/{kind}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "RUN_NOT_FOUND")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("progress", {"run_id": RUN}),
        ("progress", PROGRESS | {"stage": "dreaming"}),
        ("progress", PROGRESS | {"progress": 1.5}),
        ("progress", PROGRESS | {"progress": -0.1}),
        ("progress", PROGRESS | {"matched_count": -1}),
        ("progress", PROGRESS | {"matched_count": 2**63}),
        ("progress", PROGRESS | {"total_left": 1.5}),
        ("complete", {k: v for k, v in COMPLETE.items() if k != "matched_count"}),
        ("complete", {k: v for k, v in COMPLETE.items() if k != "output_paths"}),
        ("complete", COMPLETE | {"output_paths": {"matched": "/o/m"}}),
        ("error", {"run_id": RUN}),
        ("error", {"error": "x"}),
    ],
)
async def test_a_wrong_report_is_a_400_and_changes_nothing(
    gateway: Gateway, kind: str, body: dict[str, Any]
) -> None:
    await gateway.submitted(RUN)
    answer = await gateway.post(f"/api/worker/{kind}", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert (await gateway.run(RUN))["status"] == "submitted"


async def test_without_a_secret_a_caller_from_elsewhere_is_a_403(open_gateway: OpenGateway) -> None:
    async with open_gateway(caller="10.0.0.9") as gateway:
        await gateway.submitted(RUN)
        answer = await gateway.post("/api/worker/complete", COMPLETE)
        assert (answer.status_code, answer.json()["code"]) == (403, "CALLER_NOT_ALLOWED")
        assert (await gateway.run(RUN))["status"] == "submitted"


async def test_with_a_secret_only_signed_reports_are_taken(open_gateway: OpenGateway) -> None:
    secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    body = json.dumps(COMPLETE).encode()
    async with open_gateway(caller="10.0.0.9", webhook_secret=secret) as gateway:
        await gateway.submitted(RUN)
        json_type = {"content-type": "application/json"}
        refused = [
            json_type,
            json_type | sign(secret, "1", body + b" "),
            json_type | sign(secret, "1", body) | {"webhook-timestamp": "1000000000"},
        ]
        for headers in refused:
            answer = await gateway.client.post("/api/worker/complete", content=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
        assert (await gateway.run(RUN))["status"] == "submitted"
        answer = await gateway.client.post(
            "/api/worker/complete", content=body, headers=json_type | sign(secret, "1", body)
        )
        assert answer.status_code == 200
        assert (await gateway.run(RUN))["status"] == "completed"


@pytest.mark.parametrize(
    ("kind", "report"), [("progress", PROGRESS), ("complete", COMPLETE), ("error", ERROR)]
)
async def test_a_forged_report_is_a_401_and_changes_nothing(
    open_gateway: OpenGateway, kind: str, report: dict[str, Any]
) -> None:
    secret, other = (base64.b64encode(key * 32).decode() for key in (b"a", b"b"))
    body, now = json.dumps(report).encode(), datetime.now(UTC)
    of_another_run = json.dumps(report | {"run_id": OTHER_RUN}).encode()
    signed = sign(secret, "1", body)
    forged = [
        sign(other, "1", body),
        sign(secret, "1", of_another_run),
        sign(secret, "1", body, now - timedelta(minutes=6)),
        sign(secret, "1", body, now + timedelta(minutes=6)),
        signed | {"webhook-id": "2"},
        signed | {"webhook-signature": "v1,"},
        signed | {"webhook-signature": signed["webhook-signature"].replace("v1,", "v2,")},
        {name: text for name, text in signed.items() if name != "webhook-timestamp"},
    ]
    async with open_gateway(caller="127.0.0.1", webhook_secret=secret) as gateway:
        await gateway.submitted(RUN)
        for headers in forged:
            answer = await _send(gateway, kind, body, headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), headers
        assert (await gateway.run(RUN))["status"] == "submitted"


async def test_a_replayed_report_is_taken_and_changes_nothing(open_gateway: OpenGateway) -> None:
    secret = base64.b64encode(b"a" * 32).decode()
    early, late = (json.dumps(PROGRESS | {"sequence": n, "matched_count": n}).encode() for n in (1, 2))
    end, failure = json.dumps(COMPLETE).encode(), json.dumps(ERROR).encode()
    async with open_gateway(caller="127.0.0.1", webhook_secret=secret) as gateway:
        await gateway.submitted(RUN)
        await gateway.submitted(OTHER_RUN)
        replayed = sign(secret, "1", early)
        for body in (early, late):
            assert (await _send(gateway, "progress", body, sign(secret, "1", body))).status_code == 200
        before = await gateway.run(RUN)
        assert (await _send(gateway, "progress", early, replayed)).status_code == 200
        assert await gateway.run(RUN) == before
        assert before["latest_progress"]["matched_count"] == 2
        assert (await _send(gateway, "complete", end, sign(secret, "2", end))).status_code == 200
        ended = await gateway.run(RUN)
        assert ended["status"] == "completed"
        for kind, body in (("complete", end), ("error", failure), ("progress", late)):
            assert (await _send(gateway, kind, body, sign(secret, "3", body))).status_code == 200
        assert await gateway.run(RUN) == ended
        assert (await gateway.run(OTHER_RUN))["status"] == "submitted"


async def _send(gateway: Gateway, kind: str, body: bytes, headers: dict[str, str]) -> Response:
    everything = {"content-type": "application/json"} | headers
    return await gateway.client.post(f"/api/worker/{kind}", content=body, headers=everything)
