"""The table of registered sources."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from kalla_gateway.tables import SCHEMA, moment_column, sequence_column


class SourceRow(SQLModel, table=True):
    """A registered source; `uri` holds its secret and leaves only through `mask_uri`."""

    __tablename__: ClassVar[Any] = "sources"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    alias: str = Field(sa_type=Text, primary_key=True)
    seq: int = sequence_column()
    uri: str = Field(sa_type=Text)
    source_type: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text, default="unknown")
    """connected, unreachable or unknown."""
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()
