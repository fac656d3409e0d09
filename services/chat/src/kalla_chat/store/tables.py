"""The tables of sessions and messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, FetchedValue, Text
from sqlmodel import Field, SQLModel

SCHEMA: Final = "kalla_chat"
"""The PostgreSQL schema that holds everything of this service."""


def _moment_column() -> Any:
    """A timestamptz that the database sets to the present when a row is added."""
    timestamp: Any = DateTime(timezone=True)
    return Field(default=None, sa_type=timestamp, sa_column_kwargs={"server_default": FetchedValue()})


class SessionRow(SQLModel, table=True):
    """A session; `state` is all that the conversation came to, `version` grows with every change."""

    __tablename__: ClassVar[Any] = "sessions"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    session_id: UUID = Field(primary_key=True)
    phase: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    state: dict[str, Any] = Field(sa_type=JSON)
    version: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = _moment_column()
    updated_at: datetime = _moment_column()


class MessageRow(SQLModel, table=True):
    """A message. A user's may have a `request_id`, an answer names in `answers` what it answers."""

    __tablename__: ClassVar[Any] = "messages"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    session_id: UUID = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    role: str = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    cards: list[dict[str, Any]] = Field(sa_type=JSON)
    request_id: str | None = Field(default=None, sa_type=Text)
    answers: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = _moment_column()
