"""Columns that a recipe declares with another type than the server has them in.

Only what loses nothing is done: wider numbers, decimals of another scale (value by value, an error
where one does not fit), days as timestamps, anything as text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_runner.connectors.postgres.types import Column, Kind
from kalla_runner.connectors.type_names import type_name


def redeclare(column: Column, wanted: pa.DataType, version: int, what: str) -> Column:
    """The column read as `wanted`.

    Args:
        column: as the server has it.
        wanted: the declared type.
        version: the server's version number.
        what: the table's name, for the error.

    Raises:
        KallaError: SCHEMA_MISMATCH if that could lose something.
    """
    if column.arrow == wanted:
        return column
    changed = None if column.is_list else _changed(column, wanted, version)
    if changed is None:
        found = "numeric" if column.arrow is None else type_name(column.arrow)
        raise KallaError(
            Code.SCHEMA_MISMATCH,
            f"Column {column.name!r} of {what} is {found}, which cannot be read as the declared "
            f"{type_name(wanted)} without loss; declare its own type, or read a view that casts it.",
            column=column.name,
        )
    return changed


def _changed(column: Column, wanted: pa.DataType, version: int) -> Column | None:
    types = pa.types
    number = column.kind is Kind.DECIMAL or (column.arrow is not None and types.is_integer(column.arrow))
    if types.is_string(wanted) and column.arrow != pa.binary():
        text = sql.SQL("({}::text)").format(column.value)
        return replace(column, value=text, wire=text, kind=Kind.TEXT, arrow=wanted)
    if types.is_decimal(wanted) and number:
        return _as_number(column, wanted, version)
    if wanted == pa.int64() and column.kind is Kind.DECIMAL:
        return _as_number(column, wanted, version)
    for arrow, names in ((pa.int64(), ("int16", "int32")), (pa.float64(), ("float",))):
        if wanted == arrow and str(column.arrow) in names:
            name = sql.SQL("int8" if arrow == pa.int64() else "float8")
            value = sql.SQL("({}::{})").format(column.value, name)
            return replace(column, value=value, wire=value, arrow=wanted)
    if wanted == pa.timestamp("us") and column.kind is Kind.DATE:
        value = sql.SQL("({}::timestamp)").format(column.value)
        return replace(column, value=value, wire=value, kind=Kind.TIMESTAMP, arrow=wanted)
    return None


def _as_number(column: Column, wanted: Any, version: int) -> Column:
    value = sql.SQL("({}::numeric)").format(column.value)
    # Zeros at the end lose nothing and would not be taken for digits of the declared scale.
    trimmed = sql.SQL("trim_scale({})" if version >= 130000 else "{}").format(value)  # noqa: PLR2004 - since 13
    if pa.types.is_decimal(wanted):
        scale, least, most = wanted.scale, f"-1e{wanted.precision}", f"1e{wanted.precision}"
        shifted = sql.SQL("{} * {}::numeric").format(value, sql.Literal(f"1e{scale}"))
    else:
        least, most, shifted = "-9223372036854775809", "9223372036854775808", value
    # Counted in units of the last digit: whole, and strictly within the bounds.
    misfit = sql.SQL("({0} <> trunc({0}) OR {0} <= {1}::numeric OR {0} >= {2}::numeric)").format(
        shifted, sql.Literal(least), sql.Literal(most)
    )
    wire = sql.SQL("{}::text").format(trimmed)
    return replace(column, value=value, wire=wire, kind=Kind.DECIMAL, arrow=wanted, misfit=misfit)
