"""Timestamps of microseconds where the engine would take nanoseconds, which end in the year 2262.

`valid_to = TIMESTAMP '9999-12-31 00:00:00'` is what many a table means by "for ever".
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import Typer

_MICROSECONDS: Final = 6
_MOMENTS: Final = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ)
_FRACTION: Final = re.compile(r"\.(\d+)")


def widen_literals(query: exp.Query) -> None:
    """Read literal moments as microseconds, in place; those with more digits stay nanoseconds."""
    for cast in query.find_all(exp.Cast):
        text = cast.this
        if _is_open(cast) and isinstance(text, exp.Literal) and text.is_string:
            fraction = _FRACTION.search(text.name)
            if fraction is None or len(fraction[1]) <= _MICROSECONDS:
                _set_precision(cast)


def widen_dates(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Turn days into microseconds where a SELECT casts them to timestamps, in place."""
    casts = [node for node in own_parts(scope) if isinstance(node, exp.Cast) and _is_open(node)]
    types = typer.types([cast.this for cast in casts], found, quiet=True)
    for cast, data_type in zip(casts, types, strict=True):
        if data_type is not None and pa.types.is_date(data_type):
            _set_precision(cast)


def _is_open(cast: exp.Cast) -> bool:
    """Whether a cast is to a timestamp of no certain precision."""
    return cast.to.this in _MOMENTS and not cast.to.expressions


def _set_precision(cast: exp.Cast) -> None:
    cast.to.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(_MICROSECONDS))])
