"""What the OpenAPI documents say of requests, where the checks themselves give a better sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from kalla_common.domain import FilterOp

WORDS: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
"""JSON schema of a text that is not blank."""
TEXT: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*$"}
"""JSON schema of any text that can be stored."""
MAX_COUNT: Final = 2**53 - 1
"""Every JSON reader holds integers up to here exactly."""
_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]} | TEXT
_VALUES: Final[dict[str, dict[str, Any]]] = {
    "between": {"type": "array", "items": _SCALAR, "minItems": 2, "maxItems": 2},
    "in": {"type": "array", "items": _SCALAR, "minItems": 1},
}
CONDITION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["column", "op", "value"],
    "properties": {"column": {"type": "string", "minLength": 1} | TEXT},
    "oneOf": [
        {"properties": {"op": {"const": op.value}, "value": _VALUES.get(op.value, _SCALAR)}}
        for op in FilterOp
    ],
}
"""JSON schema of a FilterCondition."""
_STORABLE: Final = "Storable"
_ANY_STORABLE: Final[dict[str, Any]] = {"$ref": f"#/components/schemas/{_STORABLE}"}


def conditions_schema(schema: dict[str, Any]) -> None:
    """Say in the JSON schema of a field `list[Any] | None` what a FilterCondition is."""
    for part in schema.get("anyOf", [schema]):
        if part.get("type") == "array":
            part["items"] = CONDITION


def forbid_nul(document: dict[str, Any]) -> dict[str, Any]:
    """Say at every text of every request that it holds no NUL, also in members that nobody reads.

    Args:
        document: an OpenAPI 3.1 document; it is changed.

    Returns:
        The same document.
    """
    schemas: dict[str, Any] = document["components"]["schemas"]
    seen: set[str] = set()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                _forbid(parameter["schema"], schemas, seen)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                _forbid(content["schema"], schemas, seen)
    schemas[_STORABLE] = {
        "description": "Any JSON value without the character NUL.",
        "anyOf": [
            {"type": ["null", "boolean", "number"]},
            {"type": "string"} | TEXT,
            {"type": "array", "items": _ANY_STORABLE},
            {"type": "object", "propertyNames": TEXT, "additionalProperties": _ANY_STORABLE},
        ],
    }
    return document


def _forbid(schema: dict[str, Any], schemas: dict[str, Any], seen: set[str]) -> None:
    reference = schema.get("$ref", "").rpartition("/")[2]
    if reference and reference != _STORABLE and reference not in seen:
        seen.add(reference)
        _forbid(schemas[reference], schemas, seen)
    kinds = schema.get("type", ())
    if "string" in kinds and not schema.keys() & {"pattern", "enum", "const"}:
        schema |= TEXT
    if "object" in kinds:
        schema.setdefault("propertyNames", TEXT)
        if schema.get("additionalProperties", True) is True:
            schema["additionalProperties"] = _ANY_STORABLE
    if "array" in kinds and not schema.get("items"):
        schema["items"] = _ANY_STORABLE
    for part in _parts(schema):
        _forbid(part, schemas, seen)


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas within a schema."""
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield cast("dict[str, Any]", schema[name])
    for name in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(name, ())
    yield from schema.get("properties", {}).values()
