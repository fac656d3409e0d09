"""Messages of kalla.chat.v1 to and from the words of the domain."""

from __future__ import annotations

import json
from typing import Any

from kalla.chat.v1 import chat_service_pb2 as pb
from kalla.chat.v1 import session_pb2
from kalla_common.filters_json import load_json
from kalla_common.rpc import convert

from kalla_chat.conversation.events import Answer, Event, Message, Note, RunView, Session, TextDelta
from kalla_chat.conversation.state import Side, Usage
from kalla_chat.conversation.turns import Incoming
from kalla_chat.work.ports import Upload
from kalla_chat.work.turn import Asked, Pressed


def incoming_from_proto(message: pb.SendMessageRequest) -> Incoming:
    """Unpack a message; raises INVALID_REQUEST for a value that is no JSON."""
    pressed = None
    if message.HasField("card_response"):
        card = message.card_response
        value: Any = load_json(card.value_json) if card.value_json else None
        pressed = Pressed(card.card_id, card.action, value)
    uploads = tuple(
        Upload(f.filename, f.s3_uri, tuple(f.columns), f.row_count if f.HasField("row_count") else None)
        for f in message.files
    )
    return Incoming(message.session_id, Asked(message.message, pressed, uploads), message.request_id)


def event_to_proto(event: Event) -> pb.SendMessageResponse:
    """Pack an event."""
    match event:
        case Note():
            return pb.SendMessageResponse(note=pb.Note(text=event.text))
        case TextDelta():
            return pb.SendMessageResponse(text_delta=pb.TextDelta(text=event.text))
        case RunView():
            return pb.SendMessageResponse(run=_run(event))
        case Answer():
            answer = pb.Answer(message=_message(event.message), session=session_to_proto(event.session))
            return pb.SendMessageResponse(answer=answer)


def session_to_proto(session: Session) -> session_pb2.Session:
    """Pack a session."""
    state = session.state
    return session_pb2.Session(
        session_id=session.session_id,
        phase=session.phase,
        status=session.status,
        messages=[_message(message) for message in session.messages],
        left=None if state.left is None else _side(state.left),
        right=None if state.right is None else _side(state.right),
        recipe_draft=None if session.recipe is None else convert.recipe_to_proto(session.recipe),
        run=None if session.run is None else _run(session.run),
        model_usage=_usage(state.usage),
        created_at=convert.timestamp(session.created_at),
        updated_at=convert.timestamp(session.updated_at),
    )


def _message(message: Message) -> session_pb2.Message:
    return session_pb2.Message(
        role=message.role,
        content=message.content,
        cards=[_card(card) for card in message.cards],
        created_at=convert.timestamp(message.created_at),
    )


def _card(card: dict[str, Any]) -> session_pb2.Card:
    content = {name: value for name, value in card.items() if name not in ("card_id", "type")}
    return session_pb2.Card(
        card_id=card["card_id"], type=card["type"], content_json=json.dumps(content, ensure_ascii=False)
    )


def _side(side: Side) -> session_pb2.SessionSource:
    filters = [convert.filter_to_proto(condition) for condition in side.conditions()]
    return session_pb2.SessionSource(alias=side.alias, filters=filters, row_count=side.row_count)


def _run(run: RunView) -> session_pb2.SessionRun:
    return session_pb2.SessionRun(
        run_id=run.run_id, status=run.status, stage=run.stage, progress=run.progress
    )


def _usage(usage: Usage) -> session_pb2.ModelUsage:
    return session_pb2.ModelUsage(
        requests=usage.requests,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=None if usage.cost_usd is None else f"{usage.cost_usd:f}",
    )
