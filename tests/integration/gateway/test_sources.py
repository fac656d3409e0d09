"""The endpoints of sources, as far as they need no runner."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.integration.gateway.conftest import Gateway

POSTGRES = "postgres://reader:s3cret@db.internal:5432/sales?table=invoices"
MASKED = "postgres://reader:***@db.internal:5432/sales?table=invoices"


def _source(alias: str, uri: str = POSTGRES, source_type: str = "postgres") -> dict[str, str]:
    return {"alias": alias, "uri": uri, "source_type": source_type}


async def _stored_uri(gateway: Gateway, alias: str) -> str:
    async with gateway.services.database.reading() as session:
        from kalla_gateway.sources.service import require  # noqa: PLC0415

        return (await require(session, alias)).uri


async def _rows(gateway: Gateway, alias: str, path: str) -> httpx.Response:
    if path == "preview":
        return await gateway.get(f"/api/sources/{alias}/preview")
    return await gateway.post(f"/api/sources/{alias}/load-scoped", {})


async def test_a_registered_source_is_listed_with_the_documented_fields(gateway: Gateway) -> None:
    answer = await gateway.post("/api/sources", _source("invoices"))
    # The runner is away, so nobody has looked at it.
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "success": True,
            "message": "Source registered",
            "replaced": False,
            "status": "unknown",
            "error": "The runner cannot be reached; check that it runs and try again.",
            "code": "RUNNER_UNAVAILABLE",
        },
    )
    listed = await gateway.get("/api/sources")
    assert listed.status_code == 200
    assert listed.json() == [
        {"alias": "invoices", "uri": MASKED, "source_type": "postgres", "status": "unknown"}
    ]


async def test_sources_are_listed_newest_first_and_an_update_keeps_the_place(gateway: Gateway) -> None:
    for alias in ("a", "b", "c"):
        await gateway.post("/api/sources", _source(alias))
    await gateway.post("/api/sources", _source("a", "/data/a.csv", "file"))
    listed = (await gateway.get("/api/sources")).json()
    assert [s["alias"] for s in listed] == ["c", "b", "a"]
    assert listed[2]["uri"] == "/data/a.csv"


async def test_trap_18_no_answer_holds_the_password_and_posting_the_masked_form_keeps_it(
    gateway: Gateway,
) -> None:
    await gateway.post("/api/sources", _source("invoices"))
    assert "s3cret" not in (await gateway.get("/api/sources")).text
    again = await gateway.post(
        "/api/sources", _source("invoices", MASKED.replace("invoices", "invoices_2026"))
    )
    assert again.status_code == 200
    assert await _stored_uri(gateway, "invoices") == POSTGRES.replace("invoices", "invoices_2026")


async def test_trap_18_a_masked_password_is_not_sent_to_another_server(gateway: Gateway) -> None:
    await gateway.post("/api/sources", _source("invoices"))
    moved = await gateway.post("/api/sources", _source("invoices", MASKED.replace("db.internal", "evil")))
    assert (moved.status_code, moved.json()["code"]) == (400, "INVALID_URI")
    assert await _stored_uri(gateway, "invoices") == POSTGRES


async def test_trap_18_an_error_about_a_uri_does_not_show_its_password(gateway: Gateway) -> None:
    answer = await gateway.post("/api/sources", _source("x", "postgres://u:s3cret@h/db"))
    assert answer.status_code == 400
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_REQUEST"),
        ({"alias": "a", "uri": "/x.csv"}, "INVALID_REQUEST"),
        ({"alias": "", "uri": "/x.csv", "source_type": "file"}, "INVALID_REQUEST"),
        ({"alias": "  ", "uri": "/x.csv", "source_type": "file"}, "INVALID_REQUEST"),
        ({"alias": 7, "uri": "/x.csv", "source_type": "file"}, "INVALID_REQUEST"),
        ({"alias": "a", "uri": "/x.csv", "source_type": "oracle"}, "INVALID_REQUEST"),
        ({"alias": "a", "uri": "postgres://h/db", "source_type": "postgres"}, "INVALID_URI"),
        ({"alias": "a\x00", "uri": "/x.csv", "source_type": "file"}, "INVALID_REQUEST"),
        ([], "INVALID_REQUEST"),
        ("text", "INVALID_REQUEST"),
        (None, "INVALID_REQUEST"),
    ],
)
async def test_a_wrong_registration_is_a_400_and_stores_nothing(
    gateway: Gateway, body: object, code: str
) -> None:
    answer = await gateway.post("/api/sources", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await gateway.get("/api/sources")).json() == []


async def test_taking_an_alias_that_is_in_use_says_so(gateway: Gateway) -> None:
    first = await gateway.post("/api/sources", _source("a"))
    other = await gateway.post("/api/sources", _source("a", "/data/a.csv", "file"))
    same = await gateway.post("/api/sources", _source("a", "/data/a.csv", "file"))
    assert [answer.json()["replaced"] for answer in (first, other, same)] == [False, True, True]


async def test_of_many_registrations_at_once_one_alone_is_the_first(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(gateway.post("/api/sources", _source("a")) for _ in range(8)))
    assert sorted(answer.json()["replaced"] for answer in answers) == [False] + [True] * 7


async def test_a_strict_registration_while_the_runner_is_away_is_a_502_and_stores_nothing(
    gateway: Gateway,
) -> None:
    answer = await gateway.post("/api/sources?check=true", _source("a"))
    assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")
    assert (await gateway.get("/api/sources")).json() == []


async def test_unknown_fields_are_tolerated(gateway: Gateway) -> None:
    answer = await gateway.post("/api/sources", _source("a") | {"owner": "me", "tags": [1.5]})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["preview", "load-scoped"])
async def test_an_unknown_source_is_a_404(gateway: Gateway, path: str) -> None:
    answer = await _rows(gateway, "nope", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "SOURCE_NOT_FOUND")


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", ""])
async def test_a_preview_limit_below_one_or_no_number_is_a_400(gateway: Gateway, limit: str) -> None:
    await gateway.post("/api/sources", _source("invoices"))
    answer = await gateway.get(f"/api/sources/invoices/preview?limit={limit}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert "limit" in answer.json()["error"]


async def test_a_preview_of_a_uri_without_a_table_is_a_400(gateway: Gateway) -> None:
    async with gateway.services.database.writing() as session:
        from kalla_gateway.sources.repository import save  # noqa: PLC0415

        await save(session, "old", "postgres://h/db", "postgres")
    answer = await gateway.get("/api/sources/old/preview")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_URI")


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 2.5},
        {"limit": "5"},
        {"limit": True},
        {"conditions": {}},
        {"conditions": [{"column": "a", "op": "almost", "value": 1}]},
        {"conditions": [{"column": "a", "op": "between", "value": [1]}]},
        {"conditions": [{"column": "a", "op": "in", "value": []}]},
        {"conditions": [{"op": "eq", "value": 1}]},
        {"conditions": [{"column": "a", "op": "eq"}]},
        {"conditions": ["a = 1"]},
    ],
)
async def test_a_wrong_load_is_a_400(gateway: Gateway, body: object) -> None:
    await gateway.post("/api/sources", _source("invoices"))
    answer = await gateway.post("/api/sources/invoices/load-scoped", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in ("INVALID_REQUEST", "INVALID_FILTER")


@pytest.mark.parametrize("path", ["preview", "load-scoped"])
async def test_rows_are_a_502_while_the_runner_is_away(gateway: Gateway, path: str) -> None:
    await gateway.post("/api/sources", _source("invoices"))
    answer = await _rows(gateway, "invoices", path)
    assert (answer.status_code, answer.json()["code"]) == (502, "RUNNER_UNAVAILABLE")
    # That the runner is away says nothing of the source.
    assert (await gateway.get("/api/sources")).json()[0]["status"] == "unknown"


async def test_an_alias_may_hold_a_slash(gateway: Gateway) -> None:
    await gateway.post("/api/sources", _source("2026/invoices"))
    for path in ("preview", "load-scoped"):
        # Found: the runner is away.
        assert (await _rows(gateway, "2026/invoices", path)).status_code == 502
