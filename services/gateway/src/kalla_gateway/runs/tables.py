"""The table of runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kalla_gateway.tables import SCHEMA, moment_column, optional_moment_column, sequence_column


class RunRow(SQLModel, table=True):
    """A run with the recipe it was started with, and the latest that was heard of it."""

    __tablename__: ClassVar[Any] = "runs"
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}

    run_id: str = Field(sa_type=Text, primary_key=True)
    seq: int = sequence_column()
    recipe_id: str = Field(sa_type=Text)
    recipe: dict[str, Any] = Field(sa_type=JSONB)
    """Snapshot in REST form, with secrets; every source carries the URI that was read."""
    filters: dict[str, Any] = Field(sa_type=JSONB)
    """The filters of each source, by alias."""
    status: str = Field(sa_type=Text, default="submitted")
    matched_count: int = Field(sa_type=BigInteger, default=0)
    unmatched_left_count: int = Field(sa_type=BigInteger, default=0)
    unmatched_right_count: int = Field(sa_type=BigInteger, default=0)
    output_matched: str | None = Field(sa_type=Text, default=None)
    output_unmatched_left: str | None = Field(sa_type=Text, default=None)
    output_unmatched_right: str | None = Field(sa_type=Text, default=None)
    diagnostics: dict[str, Any] | None = Field(sa_type=JSONB(none_as_null=True), default=None)  # pyright: ignore[reportArgumentType] - a type object serves as well
    error_message: str | None = Field(sa_type=Text, default=None)
    error_code: str | None = Field(sa_type=Text, default=None)
    progress: dict[str, Any] | None = Field(sa_type=JSONB(none_as_null=True), default=None)  # pyright: ignore[reportArgumentType] - a type object serves as well
    progress_sequence: int | None = Field(sa_type=BigInteger, default=None)
    progress_at: datetime | None = optional_moment_column()
    heard_at: datetime | None = optional_moment_column()
    """When the runner last said anything about this run."""
    created_at: datetime = moment_column()
    updated_at: datetime = moment_column()
