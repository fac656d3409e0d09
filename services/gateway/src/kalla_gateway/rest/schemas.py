"""JSON that several endpoints share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

MAX_WHOLE: Final = 2**63


def whole(value: Any) -> Any:
    """A number such as 5.0 as the integer it is, as JSON schemas have it; anything else as it is."""
    # Bounded first: 1e99999999 as an integer would take the memory of the process.
    small = isinstance(value, Decimal) and -MAX_WHOLE <= value <= MAX_WHOLE
    return int(value) if small and value == value.to_integral_value() else value


class Saved(BaseModel):
    """Something was stored."""

    success: Literal[True] = True
    message: str


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: str = Field(description="One sentence a person can act on.")
    code: str = Field(description="A stable name of the failure, for programs.")
    details: dict[str, str] = Field(default_factory=dict)
