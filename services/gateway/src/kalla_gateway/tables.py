"""Column helpers that all tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, DateTime, FetchedValue
from sqlmodel import Field

SCHEMA = "kalla"
"""The PostgreSQL schema that holds everything of the gateway."""


def moment_column() -> Any:
    """A timestamptz that the database sets to the present when a row is added."""
    timestamp: Any = DateTime(timezone=True)
    return Field(default=None, sa_type=timestamp, sa_column_kwargs={"server_default": FetchedValue()})


def sequence_column() -> Any:
    """A number that grows with every row: it orders rows of one moment."""
    return Field(default=None, sa_type=BigInteger, sa_column_kwargs={"server_default": FetchedValue()})


def optional_moment_column() -> Any:
    """A timestamptz that may be NULL."""
    timestamp: Any = DateTime(timezone=True)
    return Field(default=None, sa_type=timestamp, nullable=True)
