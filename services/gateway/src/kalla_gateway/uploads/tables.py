"""The table of uploads."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kalla_gateway.tables import SCHEMA, moment_column, optional_moment_column, sequence_column


class UploadRow(SQLModel, table=True):
    """An upload from its signed address on; what was read of its file belongs to one `e_tag`."""

    __tablename__: ClassVar[Any] = "uploads"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    upload_id: str = Field(sa_type=Text, primary_key=True)
    seq: int = sequence_column()
    session_id: str = Field(sa_type=Text)
    filename: str = Field(sa_type=Text)
    s3_uri: str = Field(sa_type=Text)
    e_tag: str | None = Field(sa_type=Text, default=None)
    size_bytes: int | None = Field(sa_type=BigInteger, default=None)
    columns: list[str] | None = Field(sa_type=JSONB(none_as_null=True), default=None)  # pyright: ignore[reportArgumentType] - a type object serves as well
    row_count: int | None = Field(sa_type=BigInteger, default=None)
    confirmed_at: datetime | None = optional_moment_column()
    """When it was confirmed first."""
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()
