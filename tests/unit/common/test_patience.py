"""A request head that does not come in time ends its connection; an idle connection is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from kalla_common.patience import IDLE_SECONDS, PatientProtocol

ASKED = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Impatient(PatientProtocol):
    """Waits less, for the tests."""

    header_seconds = 0.3


async def _app(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def _connection() -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(
        _app, http=Impatient, lifespan="off", log_config=None, timeout_keep_alive=IDLE_SECONDS
    )
    config.load()
    state = uvicorn.Server(config).server_state
    server = await asyncio.get_running_loop().create_server(
        lambda: Impatient(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def test_half_a_head_ends_the_connection() -> None:
    for sent in (b"", ASKED[:20]):
        async with _connection() as (reader, writer):
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_half_a_second_head_ends_the_connection_too() -> None:
    async with _connection() as (reader, writer):
        writer.write(ASKED)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(ASKED[:20])
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_an_idle_connection_is_kept_after_an_answer() -> None:
    async with _connection() as (reader, writer):
        for _ in range(2):
            writer.write(ASKED)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.6)
