"""The chat service's parts, wired together, started and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from kalla.chat.v1.chat_service_pb2_grpc import add_ChatServiceServicer_to_server
from kalla_common.db import Database
from kalla_common.errors import Code
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.server import add_health_and_reflection, add_port, make_server
from kalla_common.runner.control import GrpcControl
from kalla_common.runner.rows import FlightRows
from kalla_common.telemetry import log

from kalla_chat.agents.base import Agent
from kalla_chat.agents.guided import GuidedAgent
from kalla_chat.catalog import GrpcCatalog
from kalla_chat.conversation.following import RunFollower
from kalla_chat.conversation.sessions import Sessions
from kalla_chat.conversation.turns import Turns
from kalla_chat.servicer import SERVICE_NAME, ChatServicer
from kalla_chat.settings import ChatSettings
from kalla_chat.store.locks import SessionLocks
from kalla_chat.store.migrate import migrate
from kalla_chat.work.turn import Means


@dataclass(frozen=True, slots=True)
class ChatServices:
    """What the servicer works with."""

    database: Database
    sessions: Sessions
    turns: Turns
    follower: RunFollower


@asynccontextmanager
async def chat_services(settings: ChatSettings) -> AsyncGenerator[ChatServices]:
    """Open what is needed, and close it at the end. Nothing is contacted yet."""
    async with AsyncExitStack() as stack:
        url = settings.database_url.get_secret_value()
        database = await stack.enter_async_context(Database(url, pool_size=settings.database_pool))
        runner = await stack.enter_async_context(make_channel(settings.runner_grpc, settings.tls))
        gateway = await stack.enter_async_context(
            make_channel(settings.catalog_grpc, settings.tls, unavailable=Code.GATEWAY_UNAVAILABLE)
        )
        rows = FlightRows(
            settings.runner_flight,
            settings.tls,
            page_seconds=settings.rows_seconds,
            stream_seconds=settings.rows_seconds,
        )
        stack.callback(rows.close)
        control = GrpcControl(runner, settings.rows_seconds, settings.rows_seconds)
        catalog = GrpcCatalog(gateway)
        locks = SessionLocks(database.asyncpg_dsn(), settings.turn_seconds)
        sessions = Sessions(database, catalog)
        follower = RunFollower(database, catalog, control, locks, settings.follow_seconds)
        agent = make_agent(settings, Means(catalog, control, control, rows, settings.trial_seconds))
        turns = Turns(sessions, locks, agent, follower, settings.turn_seconds)
        yield ChatServices(database, sessions, turns, follower)


def make_agent(settings: ChatSettings, means: Means) -> Agent:
    """The agent that the settings name; the guided one unless a model is set."""
    guided = GuidedAgent(means)
    if settings.model is None:
        return guided
    # Imported late: nobody pays for it who uses no model.
    from kalla_chat.agents.model import ModelAgent  # noqa: PLC0415
    from kalla_chat.agents.provider import make_model  # noqa: PLC0415

    return ModelAgent(settings, make_model(settings), guided, means)


async def serve(settings: ChatSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        KallaError: the database cannot be reached.
        OSError: the port is in use.
        ExceptionGroup: a part of the service failed.
    """
    async with chat_services(settings) as services:
        await migrate(services.database)
        server = make_server()
        add_ChatServiceServicer_to_server(ChatServicer(services.sessions, services.turns), server)
        health = add_health_and_reflection(server, [SERVICE_NAME], with_reflection=settings.grpc_reflection)
        port = add_port(server, f"{settings.host}:{settings.port}", settings.tls)
        await server.start()
        try:
            await health.serving()
            log.info("chat_listening", port=port, model=settings.model or "none")
            await _until_stopped(services.follower, stop)
            log.info("chat_stopping")
            await health.not_serving()
            await services.turns.finish(settings.shutdown_seconds)
            await server.stop(settings.shutdown_seconds)
        finally:
            await server.stop(None)
    log.info("chat_stopped")


async def _until_stopped(follower: RunFollower, stop: asyncio.Event) -> None:
    """Wait for the signal; a follower that ends by itself is a defect that ends the process."""
    following = asyncio.create_task(follower.run(), name="run follower")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    done, pending = await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
    if following in done:
        following.result()
