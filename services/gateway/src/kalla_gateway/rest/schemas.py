"""JSON that several endpoints share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Saved(BaseModel):
    """Something was stored."""

    success: Literal[True] = True
    message: str


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: str = Field(description="One sentence a person can act on.")
    code: str = Field(description="A stable name of the failure, for programs.")
    details: dict[str, str] = Field(default_factory=dict)
