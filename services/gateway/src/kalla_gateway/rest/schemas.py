"""JSON that several endpoints share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal

from kalla_common.domain import FilterOp
from pydantic import BaseModel, Field

WORDS: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
"""JSON schema of a text that is not blank. The API checks it itself, with a better sentence."""
TEXT: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*$"}
"""JSON schema of any text that can be stored."""
_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]} | TEXT
_VALUES: Final[dict[str, dict[str, Any]]] = {
    "between": {"type": "array", "items": _SCALAR, "minItems": 2, "maxItems": 2},
    "in": {"type": "array", "items": _SCALAR, "minItems": 1},
}
_CONDITION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["column", "op", "value"],
    "properties": {"column": {"type": "string", "minLength": 1} | TEXT},
    "oneOf": [
        {"properties": {"op": {"const": op.value}, "value": _VALUES.get(op.value, _SCALAR)}}
        for op in FilterOp
    ],
}


MAX_WHOLE: Final = 2**63


def whole(value: Any) -> Any:
    """A number such as 5.0 as the integer it is, as JSON schemas have it; anything else as it is."""
    # Bounded first: 1e99999999 as an integer would take the memory of the process.
    small = isinstance(value, Decimal) and -MAX_WHOLE <= value <= MAX_WHOLE
    return int(value) if small and value == value.to_integral_value() else value


def conditions_schema(schema: dict[str, Any]) -> None:
    """Say in the JSON schema of a field `list[Any] | None` what a FilterCondition is.

    The API checks it itself, with a better sentence.
    """
    for part in schema.get("anyOf", [schema]):
        if part.get("type") == "array":
            part["items"] = _CONDITION


class Saved(BaseModel):
    """Something was stored."""

    success: Literal[True] = True
    message: str


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: str = Field(description="One sentence a person can act on.")
    code: str = Field(description="A stable name of the failure, for programs.")
    details: dict[str, str] = Field(default_factory=dict)
