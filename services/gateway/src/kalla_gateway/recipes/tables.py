"""The table of recipes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kalla_gateway.tables import SCHEMA, moment_column, sequence_column


class RecipeRow(SQLModel, table=True):
    """A recipe; `body` is the whole of it in REST form, with its secrets."""

    __tablename__: ClassVar[Any] = "recipes"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    recipe_id: str = Field(sa_type=Text, primary_key=True)
    seq: int = sequence_column()
    body: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()
