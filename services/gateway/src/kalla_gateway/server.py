"""Wires the gateway: REST, CatalogService and what works beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from grpc import aio
from kalla.catalog.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from kalla_common.db import Database
from kalla_common.errors import Code
from kalla_common.openapi import forbid_nul
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.server import HealthControl, add_health_and_reflection, make_server
from kalla_common.runner.control import GrpcControl
from kalla_common.runner.rows import FlightRows
from kalla_common.s3 import S3Settings
from kalla_common.sites import SiteGuard, Sites

from kalla_gateway.chats.client import ChatClient
from kalla_gateway.chats.endpoints import router as chats_router
from kalla_gateway.metrics import Metrics
from kalla_gateway.recipes.checking import RecipeCheck
from kalla_gateway.recipes.endpoints import router as recipes_router
from kalla_gateway.rest.body_limit import BodyLimit
from kalla_gateway.rest.context import GatewayServices
from kalla_gateway.rest.documentation import router as documentation_router
from kalla_gateway.rest.errors import documented, install_error_handlers
from kalla_gateway.rest.metrics import MetricsMiddleware
from kalla_gateway.rest.operations import router as operations_router
from kalla_gateway.results.endpoints import router as results_router
from kalla_gateway.runs.dispatch import RunDispatcher
from kalla_gateway.runs.endpoints import router as runs_router
from kalla_gateway.runs.events import RunEvents
from kalla_gateway.runs.reconciler import Reconciler
from kalla_gateway.servicer import SERVICE_NAME, CatalogServicer
from kalla_gateway.settings import GatewaySettings
from kalla_gateway.sources.contact import SourceContact
from kalla_gateway.sources.endpoints import router as sources_router
from kalla_gateway.sources.service import SourceReader
from kalla_gateway.uploads.endpoints import router as uploads_router
from kalla_gateway.uploads.service import Uploads
from kalla_gateway.uploads.store import UploadStore
from kalla_gateway.worker.endpoints import router as worker_router

API_VERSION = "1"


@asynccontextmanager
async def gateway_services(
    settings: GatewaySettings, s3: S3Settings, callback_url: str
) -> AsyncGenerator[GatewayServices]:
    """Open what the endpoints work with, and close it at the end. Nothing is contacted yet."""
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        database = await stack.enter_async_context(Database(url, pool_size=settings.database_pool))
        channel = await stack.enter_async_context(make_channel(settings.runner_grpc, settings.tls))
        control = GrpcControl(channel, settings.submit_seconds, settings.rows_seconds)
        chat = await stack.enter_async_context(
            make_channel(settings.chat_grpc, settings.tls, unavailable=Code.CHAT_UNAVAILABLE)
        )
        rows = FlightRows(
            settings.runner_flight,
            settings.tls,
            page_seconds=settings.rows_seconds,
            stream_seconds=settings.download_seconds,
        )
        stack.callback(rows.close)
        store = await stack.enter_async_context(UploadStore(s3, settings.upload_endpoint))
        contact = SourceContact(database, control, settings.look_seconds)
        stack.push_async_callback(contact.close)
        yield GatewayServices(
            settings=settings,
            database=database,
            control=control,
            rows=rows,
            source_reader=SourceReader(database, rows),
            contact=contact,
            recipe_check=RecipeCheck(database, control, settings.look_seconds),
            dispatcher=RunDispatcher(database, control, settings.output_root, callback_url),
            events=RunEvents(database.asyncpg_dsn()),
            uploads=Uploads(settings, database, store, rows),
            chats=ChatClient(chat, settings.chat_seconds),
            metrics=Metrics(),
        )


def create_app(services: GatewayServices) -> FastAPI:
    """Make the REST application."""
    app = FastAPI(
        title="Kalla",
        version=API_VERSION,
        description="Reconcile two data sources exactly, with proof that no row was lost.",
        redirect_slashes=False,
        # FastAPI's own pages load scripts from the internet.
        docs_url=None,
        redoc_url=None,
        # What comes before every endpoint may answer: hosts and sites, the limits of a body.
        responses=documented(400, 403, 408, 413, 421),
    )
    app.state.services = services
    for router in (
        sources_router,
        recipes_router,
        runs_router,
        results_router,
        uploads_router,
        chats_router,
        worker_router,
        operations_router,
        documentation_router,
    ):
        app.include_router(router)
    install_error_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(MetricsMiddleware, metrics=services.metrics)
    # Last: it comes before everything else.
    app.add_middleware(SiteGuard, sites=_sites(services.settings))
    _document(app)
    if services.settings.otlp_endpoint is not None:
        # Imported late: nobody pays for it who does not trace.
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415

        FastAPIInstrumentor.instrument_app(
            app, excluded_urls="health,ready,metrics", exclude_spans=["send", "receive"]
        )
    return app


def _sites(settings: GatewaySettings) -> Sites:
    advertised = urlsplit(settings.callback_url).hostname if settings.callback_url else None
    return Sites.of(
        "KALLA_GATEWAY", (settings.host, advertised), settings.allowed_hosts, settings.allowed_origins
    )


def make_catalog_server(services: GatewayServices) -> tuple[aio.Server, HealthControl]:
    """Make the CatalogService server; the caller binds, starts and stops it."""
    server = make_server()
    servicer = CatalogServicer(services.database, services.dispatcher, services.contact)
    add_CatalogServiceServicer_to_server(servicer, server)
    health = add_health_and_reflection(
        server, [SERVICE_NAME], with_reflection=services.settings.grpc_reflection
    )
    return server, health


async def run_background(services: GatewayServices) -> None:
    """Everything that works beside the requests; ends only by cancellation or a defect."""
    settings = services.settings
    reconciler = Reconciler(
        services.database,
        services.control,
        services.metrics,
        silence_seconds=settings.silence_seconds,
        pause_seconds=settings.reconcile_seconds,
        submit_seconds=settings.submit_seconds,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(services.events.run(), name="run events")
        group.create_task(reconciler.run(), name="reconciler")


def _document(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            app.openapi_schema = forbid_nul(_without_default_422(schema))
        return app.openapi_schema

    app.openapi = openapi


def _without_default_422(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI documents its own validation answer, which never leaves here: ours is a 400."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            ours = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(ours):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema
