"""A gateway on a real, fresh database."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from kalla_common.db import Database
from kalla_common.s3 import S3Settings
from kalla_gateway.migrate import migrate
from kalla_gateway.rest.context import GatewayServices
from kalla_gateway.runs import service as runs
from kalla_gateway.runs.planning import RunRequest, plan_run
from kalla_gateway.runs.repository import add
from kalla_gateway.runs.tables import RunRow
from kalla_gateway.server import create_app, gateway_services
from kalla_gateway.settings import GatewaySettings
from psycopg import sql
from pydantic import SecretStr

from tests.integration.gateway.processes import (
    Api,
    RunnerAddresses,
    Service,
    gateway_process,
    runner_process,
)

NOBODY = "127.0.0.1:1"
"""Nothing listens on port 1: connections are refused at once."""

NO_STORE = S3Settings()

RECIPE: dict[str, Any] = {
    "recipe_id": "invoices-payments",
    "name": "Invoices and payments",
    "description": "By reference",
    "match_sql": "SELECT i.id, p.id FROM invoices i JOIN payments p ON i.ref = p.ref",
    "match_description": "References are equal",
    "sources": {
        "left": {
            "alias": "invoices",
            "type": "postgres",
            "uri": "postgres://reader:s3cret@db.internal:5432/sales?table=invoices",
            "primary_key": ["id"],
        },
        "right": {"alias": "payments", "type": "file", "uri": "/data/payments.csv", "primary_key": ["id"]},
    },
}


@dataclass(frozen=True)
class Gateway:
    """A gateway in this process: its REST client and what is behind it."""

    client: httpx.AsyncClient
    app: FastAPI
    services: GatewayServices

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def run(self, run_id: str) -> dict[str, Any]:
        """The run as REST shows it."""
        answer = await self.get(f"/api/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def submitted(self, run_id: str) -> str:
        """Store a run as it is between its commit and the runner's first report."""
        if (await self.get(f"/api/recipes/{RECIPE['recipe_id']}")).status_code == 404:
            await self.post("/api/recipes", RECIPE)
        async with self.services.database.writing() as session:
            request = RunRequest(recipe_id=RECIPE["recipe_id"])
            plan = await plan_run(session, request, run_id, f"/out/{run_id}", "")
            row = RunRow(run_id=run_id, recipe_id=plan.recipe.recipe_id, recipe=RECIPE, filters={})
            await add(session, row)
        return run_id

    async def stored(self, run_id: str) -> RunRow:
        """The run as it is stored."""
        async with self.services.database.reading() as session:
            return await runs.require(session, run_id)


OpenGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture(scope="session")
def migrated_url(postgres_url: str) -> Iterator[str]:
    """URL of a database with the gateway's tables, shared by the tests, which empty it."""
    name = f"gateway_{secrets.token_hex(6)}"
    url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            asyncio.run(_migrate(url))
            yield url
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def _migrate(url: str) -> None:
    async with Database(url) as database:
        await migrate(database)


@pytest.fixture
def empty_url(migrated_url: str) -> str:
    """URL of a database with the gateway's tables, all empty."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("TRUNCATE kalla.sources, kalla.recipes, kalla.runs, kalla.uploads")
    return migrated_url


@pytest.fixture
def open_gateway(empty_url: str) -> OpenGateway:
    """Opens gateways on the test's database; keyword arguments are settings."""

    @asynccontextmanager
    async def opened(
        caller: str = "127.0.0.1", s3: S3Settings = NO_STORE, **changes: Any
    ) -> AsyncGenerator[Gateway]:
        values: dict[str, Any] = {
            "database_url": SecretStr(empty_url),
            "runner_grpc": NOBODY,
            "runner_flight": NOBODY,
            "submit_seconds": 5.0,
            "rows_seconds": 5.0,
        }
        settings = GatewaySettings.model_validate(values | changes)
        async with gateway_services(settings, s3, "http://127.0.0.1:1/api/worker") as services:
            app = create_app(services)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(caller, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield Gateway(client, app, services)

    return opened


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> AsyncIterator[Gateway]:
    """A gateway whose runner does not answer."""
    async with open_gateway() as opened:
        yield opened


@dataclass(frozen=True)
class Live:
    """A gateway process and a runner process, and the folder they may use."""

    api: Api
    folder: Path
    database_url: str
    addresses: RunnerAddresses
    gateway: Service


@pytest.fixture(scope="session")
def live(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One pair of real processes for all tests that need a real runner."""
    name = f"live_{secrets.token_hex(6)}"
    url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    folder, addresses = tmp_path_factory.mktemp("live"), RunnerAddresses.free()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with (
                runner_process(url, folder, addresses),
                gateway_process(url, folder, addresses) as gateway,
                Api(gateway.url) as api,
            ):
                yield Live(api, folder, url, addresses, gateway)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


LIVE_SQL = "SELECT l.id AS left_id, r.id AS right_id FROM invoices l JOIN payments r ON l.ref = r.ref"


@pytest.fixture(scope="session")
def table(live: Live) -> str:
    """URI of an invoices table of 2500 rows: refs R0..R2499, every tenth amount NULL."""
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE invoices (id bigint PRIMARY KEY, ref text, amount numeric(12,2))",
        )
        connection.execute(
            "INSERT INTO invoices SELECT g, 'R' || g, CASE WHEN g % 10 <> 0 THEN g / 100.0 END"
            " FROM generate_series(0, 2499) g"
        )
    return f"{live.database_url}?table=invoices"


@pytest.fixture(scope="session")
def payments(live: Live) -> Path:
    """A CSV file of 2000 payments: refs R500..R2499, notes that need care."""
    path = live.folder / "payments.csv"
    notes = ["", '""', "=1+1", '"a,""b"""']
    lines = [f"{i},R{i},{i / 100:.2f},{notes[i % 4]}" for i in range(500, 2500)]
    path.write_text("id,ref,paid,note\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def recipe(live: Live, table: str, payments: Path) -> dict[str, Any]:
    """A saved recipe over both, whose sources are registered under their aliases."""
    sources = {"invoices": ("postgres", table), "payments": ("file", str(payments))}
    for alias, (source_type, uri) in sources.items():
        live.api.post("/api/sources", {"alias": alias, "uri": uri, "source_type": source_type})
    sides = [
        {"alias": alias, "type": source_type, "primary_key": ["id"]}
        for alias, (source_type, _) in sources.items()
    ]
    body = {"recipe_id": "live", "name": "Live", "match_sql": LIVE_SQL}
    recipe: dict[str, Any] = body | {"sources": {"left": sides[0], "right": sides[1]}}
    live.api.post("/api/recipes", recipe)
    return recipe


@pytest.fixture(scope="session")
def run(live: Live, recipe: dict[str, Any]) -> dict[str, Any]:
    """A completed run of the recipe."""
    created = live.api.post("/api/runs", {"recipe_id": recipe["recipe_id"]})
    assert created["status"] == "submitted"
    run = live.api.ended(created["run_id"])
    assert run["status"] == "completed", run
    return run
