"""Sessions on a real PostgreSQL: order, names of messages, what a broken answer leaves, runs that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest
from kalla_chat.catalog import GrpcCatalog
from kalla_chat.conversation.events import Answer, Note
from kalla_chat.conversation.following import RunFollower
from kalla_chat.conversation.sessions import Sessions
from kalla_chat.conversation.state import Run
from kalla_chat.conversation.turns import Incoming, Turns
from kalla_chat.store.locks import SessionLocks
from kalla_chat.store.migrate import migrate
from kalla_chat.work.turn import Asked, Turn
from kalla_common.db import Database
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.runner.control import GrpcControl

NOBODY = "127.0.0.1:1"

Behaviour = Callable[[Turn], object]


class Recorder:
    """An agent that says what it is told to; `first` holds up its first answer."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing = False

    async def answer(self, turn: Turn) -> None:
        self.heard.append(turn.asked.text)
        turn.note("working")
        await self.gate.wait()
        if self.failing:
            raise KallaError(Code.DATABASE_UNAVAILABLE, "gone")
        turn.state.drafts += 1
        turn.say(f"{turn.asked.text}!")


class Service:
    """A chat process without its servers; several may share a database."""

    def __init__(self, database: Database, catalog: GrpcCatalog, control: GrpcControl) -> None:
        self.agent = Recorder()
        self.locks = SessionLocks(database.asyncpg_dsn(), 30.0)
        self.sessions = Sessions(database, catalog)
        self.follower = RunFollower(database, catalog, control, self.locks, 0.05)
        self.turns = Turns(self.sessions, self.locks, self.agent, self.follower, 30.0)

    async def send(self, text: str, session_id: UUID, request_id: str = "") -> str:
        incoming = Incoming(str(session_id), Asked(text), request_id)
        events = [event async for event in self.turns.send(incoming)]
        (answer,) = [event for event in events if isinstance(event, Answer)]
        return answer.message.content


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        # Both processes of a deployment migrate at once, and again at the next start.
        await asyncio.gather(migrate(opened), migrate(opened))
        await migrate(opened)
        yield opened


@pytest.fixture
async def services(database: Database) -> AsyncIterator[tuple[Service, Service]]:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(make_channel(NOBODY, unavailable=Code.GATEWAY_UNAVAILABLE))
        catalog, control = GrpcCatalog(channel), GrpcControl(channel, 1.0, 1.0)
        yield Service(database, catalog, control), Service(database, catalog, control)


async def contents(service: Service, session_id: UUID) -> list[str]:
    return [message.content for message in (await service.sessions.show(session_id)).messages]


async def test_messages_are_answered_in_the_order_of_their_arrival_over_two_processes(
    services: tuple[Service, Service],
) -> None:
    one, two = services
    session_id = await one.sessions.create()
    one.agent.gate.clear()
    tasks: list[asyncio.Task[str]] = []
    for number in range(6):
        service = (one, two)[number % 2]
        tasks.append(asyncio.create_task(service.send(str(number), session_id)))
        # Far longer than a message needs to get to the lock.
        await asyncio.sleep(0.3)
    assert (one.agent.heard, two.agent.heard) == (["0"], [])
    one.agent.gate.set()
    await asyncio.gather(*tasks)
    expected = [text for number in range(6) for text in (str(number), f"{number}!")]
    assert await contents(one, session_id) == expected
    assert (await two.sessions.show(session_id)).state.drafts == 6


async def test_a_caller_that_goes_away_finds_its_answer_under_the_same_name(
    services: tuple[Service, Service],
) -> None:
    one, two = services
    session_id = await one.sessions.create()
    one.agent.gate.clear()
    leaving = one.turns.send(Incoming(str(session_id), Asked("hello"), "message-0001"))
    assert isinstance(await anext(leaving), Note)
    await leaving.aclose()
    again = asyncio.create_task(two.send("hello", session_id, "message-0001"))
    one.agent.gate.set()
    assert await again == "hello!"
    assert two.agent.heard == []
    assert await contents(one, session_id) == ["hello", "hello!"]


async def test_a_broken_answer_leaves_the_question_and_is_made_up_for(
    services: tuple[Service, Service],
) -> None:
    one, two = services
    session_id = await one.sessions.create()
    one.agent.failing = True
    with pytest.raises(KallaError, match="gone"):
        await one.send("hello", session_id, "message-0001")
    assert await contents(two, session_id) == ["hello"]
    assert (await two.sessions.show(session_id)).state.drafts == 0
    assert await two.send("hello", session_id, "message-0001") == "hello!"
    assert await contents(two, session_id) == ["hello", "hello!"]


async def test_the_same_name_without_a_session_begins_one_session(services: tuple[Service, Service]) -> None:
    ids = {await service.sessions.create("a-name-0001") for service in services}
    assert len(ids) == 1
    assert await services[0].sessions.create() not in ids


async def test_a_session_stays_readable_while_the_gateway_is_away(
    services: tuple[Service, Service], database: Database
) -> None:
    one, _ = services
    session_id = await one.sessions.create()

    class Starts(Recorder):
        async def answer(self, turn: Turn) -> None:
            turn.state.run = Run(run_id=str(uuid4()), status="submitted")
            turn.say("started")

    turns = Turns(one.sessions, one.locks, Starts(), one.follower, 30.0)
    events = turns.send(Incoming(str(session_id), Asked("run it")))
    assert isinstance(await anext(events), object)
    with pytest.raises(KallaError) as caught:
        async for _ in events:
            pass
    assert caught.value.code is Code.GATEWAY_UNAVAILABLE
    shown = await one.sessions.show(session_id)
    assert (shown.status, shown.run is not None) == ("running", True)
    # The follower does not fall over it either: it looks again.
    following = asyncio.create_task(one.follower.run())
    await asyncio.sleep(0.3)
    assert not following.done()
    following.cancel()


@pytest.mark.parametrize("session_id", ["5f0c2b1e-7d3a-4c7e-9b1f-2a4d6e8f0a1c", "no-uuid", "'; DROP TABLE x"])
async def test_an_unknown_session_is_said_so(services: tuple[Service, Service], session_id: str) -> None:
    with pytest.raises(KallaError) as caught:
        async for _ in services[0].turns.send(Incoming(session_id, Asked("hello"))):
            pass
    assert caught.value.code is Code.SESSION_NOT_FOUND
