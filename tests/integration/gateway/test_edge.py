"""What holds for every endpoint: the shape of errors, limits, readiness, documentation."""

from __future__ import annotations

import asyncio
import json
import re
from importlib.metadata import version
from typing import Any

import asyncpg
import httpx
import pytest
from kalla_common.db import Database
from kalla_common.errors import Code, KallaError
from kalla_gateway.migrate import migrate
from sqlalchemy import text
from structlog.testing import capture_logs

from tests.integration.gateway.conftest import NOBODY, Gateway, OpenGateway

JSON_TYPE = {"content-type": "application/json"}
GONE = f"postgresql://kalla:s3cret@{NOBODY}/kalla"


def _assert_error(answer: httpx.Response, status: int, code: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"], set(body)) == (status, code, {"error", "code", "details"})
    assert body["error"].endswith(".")
    assert "\n" not in body["error"]


async def test_unknown_paths_and_methods_have_the_error_shape(gateway: Gateway) -> None:
    _assert_error(await gateway.get("/api/nope"), 404, "INVALID_REQUEST")
    _assert_error(await gateway.client.delete("/api/sources"), 405, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b"1e999999999999",
    ],
)
async def test_wrong_json_is_a_400(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.client.post("/api/sources", content=body, headers=JSON_TYPE)
    _assert_error(answer, 400, "INVALID_REQUEST")


async def test_a_body_that_does_not_say_it_is_json_is_a_400_that_says_so(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/sources", content=b"{}")
    _assert_error(answer, 400, "INVALID_REQUEST")
    assert "application/json" in answer.json()["error"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_a_413(open_gateway: OpenGateway, announced: bool) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 100

    content: Any = b"x" * 10_000 if announced else chunks()
    async with open_gateway(max_body_bytes=1024) as gateway:
        answer = await gateway.client.post("/api/sources", content=content, headers=JSON_TYPE)
        _assert_error(answer, 413, "INVALID_REQUEST")


async def test_a_database_that_is_away_is_a_503_without_its_password(open_gateway: OpenGateway) -> None:
    async with open_gateway(database_url=GONE) as gateway:
        for answer in (
            await gateway.get("/api/sources"),
            await gateway.post("/api/runs", {"recipe_id": "a"}),
            await gateway.post("/api/worker/error", {"run_id": "a", "error": "x"}),
            await gateway.get("/ready"),
        ):
            _assert_error(answer, 503, "DATABASE_UNAVAILABLE")
            assert "s3cret" not in answer.text
        assert (await gateway.get("/health")).status_code == 200


async def test_a_wrong_database_password_is_a_503(open_gateway: OpenGateway, empty_url: str) -> None:
    wrong = empty_url.replace("kalla:", "kalla:wrong", 1)
    async with open_gateway(database_url=wrong) as gateway:
        _assert_error(await gateway.get("/api/sources"), 503, "DATABASE_UNAVAILABLE")


async def test_lost_database_connections_are_replaced(gateway: Gateway, empty_url: str) -> None:
    assert (await gateway.get("/api/sources")).status_code == 200
    killer: Any = await asyncpg.connect(empty_url)
    try:
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await killer.close()
    assert (await gateway.get("/api/sources")).status_code == 200


async def test_ready_says_503_while_the_runner_is_away(gateway: Gateway) -> None:
    _assert_error(await gateway.get("/ready"), 503, "RUNNER_UNAVAILABLE")


async def test_a_defect_is_a_500_without_its_text(gateway: Gateway) -> None:
    async with gateway.services.database.writing() as session:
        await session.execute(text("ALTER TABLE kalla.sources RENAME COLUMN uri TO s3cret"))
    try:
        with capture_logs() as logs:
            answer = await gateway.get("/api/sources")
    finally:
        async with gateway.services.database.writing() as session:
            await session.execute(text("ALTER TABLE kalla.sources RENAME COLUMN s3cret TO uri"))
    _assert_error(answer, 500, "INTERNAL")
    assert "uri" not in answer.text
    assert "does not exist" in str(logs[0]["exc_info"])


async def test_metrics_count_requests_by_route(gateway: Gateway) -> None:
    await gateway.get("/api/runs/a")
    await gateway.get("/api/runs/b")
    metrics = await gateway.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    line = 'kalla_gateway_requests_total{method="GET",route="/api/runs/{run_id}",status="404"} 2.0'
    assert line in metrics.text.splitlines()


async def test_openapi_has_an_example_for_every_body_and_no_422_of_the_framework(gateway: Gateway) -> None:
    schema = (await gateway.get("/openapi.json")).json()
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operations in schema["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    assert len(bodies) == 11
    for name in bodies:
        assert "example" in schema["components"]["schemas"][name], name
    assert "HTTPValidationError" not in json.dumps(schema)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_documentation_loads_nothing_from_elsewhere(gateway: Gateway, path: str) -> None:
    page = await gateway.get(path)
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "http://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    loaded = re.findall(r"(?:src|href|spec-url)=\"([^\"]+)\"|url: '([^']+)'", page.text)
    addresses = [one or other for one, other in loaded if not (one or other).startswith("data:")]
    assert "openapi.json" in addresses
    assert len(addresses) >= 2
    for address in addresses:
        # Relative, so that they also hold where a proxy serves Kalla below a path.
        assert not address.startswith("/")
        answer = await gateway.get(f"/{address}")
        assert answer.status_code == 200
        assert len(answer.content) > 10_000
    script = (await gateway.get("/docs/swagger-ui-bundle.js")).headers["content-type"]
    assert script.startswith("text/javascript")


async def test_only_the_files_of_the_documentation_are_below_it(gateway: Gateway) -> None:
    for name in ("favicon.png", "..%2F__init__.py", "x"):
        _assert_error(await gateway.get(f"/docs/{name}"), 404, "INVALID_REQUEST")


async def test_the_root_says_what_this_is_to_programs_and_to_browsers(gateway: Gateway) -> None:
    answer = await gateway.get("/")
    content = answer.json()
    assert (answer.status_code, content["name"], content["version"]) == (200, "Kalla", version("kalla"))
    # The runner is away in these tests.
    assert content["ready"] is False
    assert "runner" in content["problem"].lower()
    assert answer.text.endswith("}\n")
    for path in content["links"].values():
        assert (await gateway.get(path)).status_code == (503 if path == "/ready" else 200), path
    page = await gateway.client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "Accept"
    assert f"Kalla {version('kalla')}" in page.text
    assert 'href="docs"' in page.text


async def test_every_example_in_openapi_is_valid(gateway: Gateway) -> None:
    schema = (await gateway.get("/openapi.json")).json()["components"]["schemas"]
    assert (await gateway.post("/api/recipes", schema["RecipeBody"]["example"])).status_code == 200
    assert (await gateway.post("/api/sources", schema["RegisterSource"]["example"])).status_code == 200
    # The runner is away: whatever else was wrong would be another status.
    assert (await gateway.post("/api/runs", schema["CreateRun"]["example"])).status_code == 502
    for kind, name in (
        ("progress", "ProgressReport"),
        ("complete", "CompletionReport"),
        ("error", "ErrorReport"),
    ):
        example = schema[name]["example"]
        assert (await gateway.post(f"/api/worker/{kind}", example)).status_code == 404
        await gateway.submitted(example["run_id"])
        assert (await gateway.post(f"/api/worker/{kind}", example)).status_code == 200
        async with gateway.services.database.writing() as session:
            await session.execute(text("TRUNCATE kalla.runs"))


async def test_gateways_that_start_at_once_migrate_once(database_url: str) -> None:
    async def start() -> None:
        async with Database(database_url) as database:
            await migrate(database)

    await asyncio.gather(*(start() for _ in range(4)))
    await start()
    async with Database(database_url) as database, database.reading() as session:
        revisions = (await session.scalars(text("SELECT version_num FROM kalla.alembic_version"))).all()
        assert revisions == ["0002"]


async def test_a_read_session_cannot_write(gateway: Gateway) -> None:
    with pytest.raises(Exception, match="read-only"):
        async with gateway.services.database.reading() as session:
            await session.execute(text("DELETE FROM kalla.runs"))


def test_a_database_url_of_another_database_is_refused_without_its_password() -> None:
    for url in ("mysql://u:s3cret@h/db", "no url"):
        with pytest.raises(KallaError) as caught:
            Database(url)
        assert caught.value.code is Code.INVALID_URI
        assert "s3cret" not in caught.value.message
