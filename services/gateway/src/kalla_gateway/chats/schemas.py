"""The JSON of chats."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from kalla.chat.v1 import chat_service_pb2 as pb
from kalla.chat.v1 import session_pb2
from kalla_common.errors import Code, KallaError
from kalla_common.filters_json import condition_to_json, load_json
from kalla_common.openapi import MAX_COUNT, WORDS
from kalla_common.rpc import convert
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    model_serializer,
)

from kalla_gateway.recipes.schemas import EXAMPLE as RECIPE
from kalla_gateway.recipes.schemas import recipe_json

_SESSION_ID = "0b0f1f4e-5d1c-4c38-9d0a-7a4f5f1d2c3b"
_CARD: dict[str, Any] = {
    "card_id": "5b6f0c7e-3a53-4a0e-9a7f-3c1e9b7b7f10",
    "type": "confirm",
    "title": "Work with these rows?",
    "actions": [{"action": "confirm", "label": "Yes"}, {"action": "reject", "label": "No, change it"}],
}
_MESSAGE: dict[str, Any] = {"role": "assistant", "content": "Shall I work with these rows?", "cards": [_CARD]}


class CardResponse(BaseModel):
    """A pressed button of a card."""

    action: Annotated[str, Field(min_length=1, description="One of the card's actions.")]
    card_id: Annotated[str, Field(min_length=1)]
    value: Any = Field(default=None, description="What the action needs, if it needs anything.")


class FileAttachment(BaseModel):
    """A file that was uploaded and confirmed before."""

    filename: Annotated[str, Field(min_length=1)]
    s3_uri: Annotated[str, Field(min_length=1)]
    columns: list[str] | None = None
    row_count: Annotated[StrictInt, Field(ge=0, le=MAX_COUNT)] | None = None


class ChatRequest(BaseModel):
    """A message, a pressed button, or both."""

    session_id: str | None = Field(default=None, description="Absent: begin a session.")
    message: str | None = None
    card_response: CardResponse | None = None
    files: list[FileAttachment] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["message"], "properties": {"message": {"type": "string"} | WORDS}},
                {"required": ["card_response"], "properties": {"card_response": {"type": "object"}}},
            ],
            "example": {
                "session_id": _SESSION_ID,
                "message": "match invoices to payments on reference and amount within 2 cents, only USD",
            },
        }
    )

    def request(self, request_id: str) -> pb.SendMessageRequest:
        """The same as a message; raises INVALID_REQUEST if nothing is said."""
        if not (self.message or "").strip() and self.card_response is None:
            raise KallaError(
                Code.INVALID_REQUEST, "A chat needs a message or a card_response; give one of them."
            )
        return pb.SendMessageRequest(
            session_id=self.session_id or "",
            message=self.message or "",
            card_response=None if self.card_response is None else _card_response(self.card_response),
            files=[
                pb.FileAttachment(
                    filename=f.filename, s3_uri=f.s3_uri, columns=f.columns or (), row_count=f.row_count
                )
                for f in self.files or ()
            ],
            request_id=request_id,
        )


class MessageBody(BaseModel):
    """A message; `cards` is there if it has any."""

    role: str = Field(description="user or assistant")
    content: str
    cards: list[dict[str, Any]] | None = Field(
        default=None,
        description="card_id, type (select, confirm, sample_table, match_proposal, rule_summary, progress,"
        " result_summary, upload_request), title, actions, and what the type holds",
    )

    @model_serializer(mode="wrap")
    def _without_empty(self, inner: SerializerFunctionWrapHandler):  # noqa: ANN202 - its type is the schema's
        body = inner(self)
        return body if self.cards is not None else {k: v for k, v in body.items() if k != "cards"}


class ChatAnswer(BaseModel):
    """The answer to a message, and where the session stands with it."""

    session_id: str
    phase: str = Field(
        description="initial, source-selection, scoping, demonstration, inference, validation or execution"
    )
    status: str = Field(description="active, recipe_ready, running or completed")
    message: MessageBody
    recipe_draft: dict[str, Any] | None = Field(
        default=None, description="A Recipe, once one was checked and run in a trial."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "session_id": _SESSION_ID,
                "phase": "scoping",
                "status": "active",
                "message": _MESSAGE,
                "recipe_draft": None,
            }
        }
    )

    @classmethod
    def of(cls, answer: pb.Answer) -> ChatAnswer:
        """The public form."""
        session = answer.session
        return cls(
            session_id=session.session_id,
            phase=session.phase,
            status=session.status,
            message=message_body(answer.message),
            recipe_draft=draft(session),
        )


class SessionCreated(BaseModel):
    """A new session."""

    session_id: str
    phase: str
    status: str

    model_config = ConfigDict(
        json_schema_extra={"example": {"session_id": _SESSION_ID, "phase": "initial", "status": "active"}}
    )


class StoredMessage(MessageBody):
    """A message of the history."""

    created_at: datetime


class ScopedSource(BaseModel):
    """A chosen source with its filters; `row_count` is after them."""

    alias: str
    filters: list[dict[str, Any]] = Field(description="FilterCondition[]")
    row_count: int | None


class SessionRun(BaseModel):
    """The full run."""

    run_id: str
    status: str
    stage: str | None
    progress: float | None


class ModelUsage(BaseModel):
    """What requests to a model took; `cost_usd` is null where the price is not known."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None


class ChatSession(BaseModel):
    """A whole session."""

    session_id: str
    phase: str
    status: str
    messages: list[StoredMessage]
    left: ScopedSource | None
    right: ScopedSource | None
    recipe_draft: dict[str, Any] | None
    run: SessionRun | None
    model_usage: ModelUsage
    created_at: datetime
    updated_at: datetime

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "session_id": _SESSION_ID,
                "phase": "validation",
                "status": "recipe_ready",
                "messages": [{**_MESSAGE, "created_at": "2026-02-21T10:00:00Z"}],
                "left": {
                    "alias": "invoices",
                    "filters": [{"column": "currency", "op": "eq", "value": "USD"}],
                    "row_count": 5000,
                },
                "right": {"alias": "payments", "filters": [], "row_count": 4800},
                "recipe_draft": RECIPE,
                "run": None,
                "model_usage": {"requests": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": None},
                "created_at": "2026-02-21T10:00:00Z",
                "updated_at": "2026-02-21T10:05:00Z",
            }
        }
    )

    @classmethod
    def of(cls, session: session_pb2.Session) -> ChatSession:
        """The public form."""
        usage = session.model_usage
        return cls(
            session_id=session.session_id,
            phase=session.phase,
            status=session.status,
            messages=[
                StoredMessage(**message_body(m).model_dump(), created_at=convert.moment(m.created_at))
                for m in session.messages
            ],
            left=_side(session.left) if session.HasField("left") else None,
            right=_side(session.right) if session.HasField("right") else None,
            recipe_draft=draft(session),
            run=run_body(session.run) if session.HasField("run") else None,
            model_usage=ModelUsage(
                requests=usage.requests,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_usd=usage.cost_usd if usage.HasField("cost_usd") else None,
            ),
            created_at=convert.moment(session.created_at),
            updated_at=convert.moment(session.updated_at),
        )


def message_body(message: session_pb2.Message) -> MessageBody:
    """The public form."""
    cards: list[dict[str, Any]] = [
        {"card_id": card.card_id, "type": card.type} | load_json(card.content_json) for card in message.cards
    ]
    return MessageBody(role=message.role, content=message.content, cards=cards or None)


def run_body(run: session_pb2.SessionRun) -> SessionRun:
    """The public form."""
    known = bool(run.stage)
    return SessionRun(
        run_id=run.run_id,
        status=run.status,
        stage=run.stage if known else None,
        progress=run.progress if known else None,
    )


def draft(session: session_pb2.Session) -> dict[str, Any] | None:
    """The recipe in REST form."""
    if not session.HasField("recipe_draft"):
        return None
    return recipe_json(convert.recipe_from_proto(session.recipe_draft))


def _side(side: session_pb2.SessionSource) -> ScopedSource:
    filters = [condition_to_json(convert.filter_from_proto(f)) for f in side.filters]
    return ScopedSource(
        alias=side.alias, filters=filters, row_count=side.row_count if side.HasField("row_count") else None
    )


def _card_response(response: CardResponse) -> pb.CardResponse:
    value = "" if response.value is None else json.dumps(response.value, ensure_ascii=False, default=str)
    return pb.CardResponse(card_id=response.card_id, action=response.action, value_json=value)
