"""JSON with its numbers as they are written, and back to one canonical text.

A number with a fraction or an exponent stays its own letters (`Digits`): neither a float nor the
engine's idea of one stands between a document and its value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, NoReturn, cast

Parse = Callable[[str | bytes], Any]
"""Turns JSON into Python; raises ValueError if it is none."""


class Digits(str):
    """A JSON number that is no plain integer, letter by letter."""

    __slots__ = ()


def loads(text: str | bytes) -> Any:
    """Parse JSON; integers are int of any size, other numbers Digits.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(text, parse_float=Digits, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)


def dumps(value: Any) -> str:
    """One text for a value: names in order of their code points, no spaces, digits as they were written."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return (
            "{" + ",".join(f"{encode_basestring(key)}:{dumps(members[key])}" for key in sorted(members)) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, cast("list[Any]", value))) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
