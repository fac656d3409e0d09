"""The server-sent events of one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from kalla.chat.v1 import chat_service_pb2 as pb
from kalla_common.errors import KallaError
from kalla_common.telemetry import log, redact
from pydantic import BaseModel

from kalla_gateway.chats.schemas import ChatAnswer, run_body
from kalla_gateway.rest.schemas import ErrorBody


class Text(BaseModel):
    """A note or a piece of the answer."""

    text: str


async def answer_events(
    first: pb.SendMessageResponse, rest: AsyncIterator[pb.SendMessageResponse], heartbeat_seconds: float
) -> AsyncIterator[str]:
    """Yield events as text until the answer is complete, or the run that it started has ended.

    `note`: what is being done. `text`: the next piece of the answer. `message`: the whole answer, as
    POST /api/chat gives it. `progress`: the run. `error`: there is no answer. Between them a comment
    shows that the stream lives.
    """
    yield _event_of(first)
    pending = asyncio.ensure_future(anext(rest, None))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=heartbeat_seconds)
            if not done:
                yield ": alive\n\n"
                continue
            event = pending.result()
            if event is None:
                return
            yield _event_of(event)
            pending = asyncio.ensure_future(anext(rest, None))
    except KallaError as error:
        log.info("chat_stream_failed", code=error.code.value)
        body = ErrorBody(error=redact(error.message), code=error.code.value, details=error.details)
        yield _event("error", body)
    finally:
        pending.cancel()


def _event_of(event: pb.SendMessageResponse) -> str:
    match event.WhichOneof("event"):
        case "note":
            return _event("note", Text(text=event.note.text))
        case "text_delta":
            return _event("text", Text(text=event.text_delta.text))
        case "run":
            return _event("progress", run_body(event.run))
        case _:
            return _event("message", ChatAnswer.of(event.answer))


def _event(name: str, body: BaseModel) -> str:
    return f"event: {name}\ndata: {body.model_dump_json()}\n\n"
