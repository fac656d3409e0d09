"""What a recipe's `schema` says of a source: the columns it expects and the types it declares."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import pyarrow as pa
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.type_names import parse_type

_MOST_NAMES = 12


def name_list(names: Sequence[str]) -> str:
    """Column names for an error message; a long list is cut, and says so."""
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def unknown_column(name: str, names: Sequence[str]) -> str:
    """Sentence end that helps the person who named a column that is not there."""
    folded = {known.casefold(): known for known in names}
    close = folded.get(name.casefold().strip())
    if close is None:
        close = next(iter(get_close_matches(name, names, n=1)), None)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"its columns are {name_list(names)}."


def listed_names(spec: SourceSpec) -> frozenset[str]:
    """The names that `spec.schema` lists, with and without what may be a type behind them."""
    return frozenset(spec.schema) | {
        entry.rpartition(":")[0].strip() for entry in spec.schema if ":" in entry
    }


def declared_types(spec: SourceSpec, names: Sequence[str]) -> dict[str, pa.DataType]:
    """The declared types by column name; every column that `spec.schema` lists must be in `names`.

    Args:
        spec: its schema holds "name" or "name:type".
        names: the source's column names.

    Raises:
        KallaError: SCHEMA_MISMATCH for a missing column, an unknown type, or two types for a column.
    """
    types: dict[str, pa.DataType] = {}
    known = set(names)
    for entry in spec.schema:
        if entry in known:
            continue
        name, colon, type_text = entry.rpartition(":")
        declared = parse_type(type_text) if colon else None
        column = name.strip() if colon and name not in known else name
        if not colon or (declared is None and column not in known):
            raise _missing(spec, entry, names)
        if declared is None:
            raise KallaError(
                Code.SCHEMA_MISMATCH,
                f"The schema of source {spec.alias!r} declares {entry!r}, but {type_text!r} is no type: use "
                "integer, decimal(p,s), text, date, timestamp, timestamp with time zone or boolean.",
                column=column,
            )
        if column not in known:
            raise _missing(spec, column, names)
        if types.get(column, declared) != declared:
            raise KallaError(
                Code.SCHEMA_MISMATCH,
                f"The schema of source {spec.alias!r} declares column {column!r} twice with different types.",
                column=column,
            )
        types[column] = declared
    return types


def _missing(spec: SourceSpec, column: str, names: Sequence[str]) -> KallaError:
    return KallaError(
        Code.SCHEMA_MISMATCH,
        f"Source {spec.alias!r} has no column {column!r}, which its schema expects; "
        f"{unknown_column(column, names)}",
        column=column,
    )
