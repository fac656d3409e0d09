"""The REST endpoints of chats."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from kalla_common.errors import Code, KallaError

from kalla_gateway.chats.schemas import ChatAnswer, ChatRequest, ChatSession, SessionCreated
from kalla_gateway.chats.stream import answer_events
from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute
from kalla_gateway.rest.streams import Stream

router = APIRouter(prefix="/api/chat", tags=["Chat"], route_class=ExactJsonRoute)

EVENT_STREAM = "text/event-stream"
IdempotencyKey = Annotated[
    str,
    Header(
        description="A fresh name, such as a UUID, for each message: sent again under it, the message is"
        " answered once."
    ),
]


@router.post("/sessions", responses=documented(502, 503, 504))
async def create_chat_session(services: Services) -> SessionCreated:
    """Begin an empty session."""
    session = await services.chats.create()
    return SessionCreated(session_id=session.session_id, phase=session.phase, status=session.status)


@router.get("/sessions/{session_id}", responses=documented(404, 502, 503, 504))
async def get_chat_session(session_id: str, services: Services) -> ChatSession:
    """Return a session with all its messages."""
    return ChatSession.of(await services.chats.session(session_id))


@router.post(
    "",
    response_model=ChatAnswer,
    responses={
        200: {
            "content": {EVENT_STREAM: {}},
            "description": "The answer; with Accept: text/event-stream the events note, text, message,"
            " progress and error as they come, to the end of a run that the answer started.",
        },
        **documented(400, 404, 409, 502, 503, 504),
    },
)
async def send_chat_message(
    body: ChatRequest,
    services: Services,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    idempotency_key: IdempotencyKey = "",
) -> Response | ChatAnswer:
    """Send a message or press a button of a card; without session_id a session begins."""
    request = body.request(idempotency_key)
    if EVENT_STREAM not in accept.lower():
        return ChatAnswer.of(await services.chats.answer(request))
    events = services.chats.events(request)
    # What is wrong with the request comes before the first event, and still has a status of its own.
    first = await anext(events, None)
    if first is None:
        raise KallaError(Code.CHAT_UNAVAILABLE, "The chat service gave no answer; send the message again.")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    stream = answer_events(first, events, services.settings.heartbeat_seconds)
    return Stream(stream, media_type=EVENT_STREAM, headers=headers)
