"""Describes the columns of a source in figures."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute
from kalla_common.arrow_text import column_text

from kalla_chat.inference.answer import ColumnProfile, SourceProfile
from kalla_chat.inference.columns import Column, Family, Side
from kalla_chat.inference.primary import primary_key

_compute: Any = pyarrow.compute  # its functions are made at run time

_PATTERNS: Final = 3
_SAMPLE: Final = 5_000
_LONGEST_RUN: Final = 12


def describe(side: Side) -> SourceProfile:
    """Describe a source over the rows that inference sees; columns in the source's own order."""
    order = side.source.rows.schema.names
    places = {name: place for place, name in enumerate(order)}
    columns = sorted(side.columns, key=lambda c: places[c.name])
    key, objection = primary_key(side)
    table = side.source.rows
    return SourceProfile(
        side.source.alias,
        side.rows,
        side.source.total_rows,
        tuple(_describe(column, table.column(column.name)) for column in columns),
        key,
        objection,
    )


def _describe(column: Column, values: pa.ChunkedArray) -> ColumnProfile:
    low = high = ""
    lengths = None
    if column.family in (Family.INTEGER, Family.NUMBER, Family.DAY) and column.rows:
        found = _compute.min_max(values)
        # As texts: Python's own dates end at the year 9999, a source's do not.
        ends = pa.array([found["min"], found["max"]], values.type)
        low, high = (str(text) for text in column_text(ends).to_pylist())
    if column.family is Family.TEXT and len(column.texts):
        sizes = _compute.min_max(_compute.utf8_length(column.texts))
        lengths = (int(sizes["min"].as_py()), int(sizes["max"].as_py()))
    nulls = len(column.codes) - column.rows if column.family is not Family.OTHER else values.null_count
    return ColumnProfile(
        column.name,
        data_type(column.type),
        len(column.codes),
        nulls,
        len(column.texts),
        column.unique,
        low,
        high,
        lengths,
        _patterns(column) if column.family is Family.TEXT else (),
    )


def data_type(kind: pa.DataType) -> str:
    """The plain name of a type, as previews show it."""
    types = pa.types
    if types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp with time zone"
    tests = (
        (types.is_integer, "integer"),
        (types.is_floating, "float"),
        (types.is_boolean, "boolean"),
        (types.is_date, "date"),
        (types.is_string, "text"),
        (types.is_large_string, "text"),
    )
    return next((name for test, name in tests if test(kind)), str(kind))


def _patterns(column: Column) -> tuple[tuple[str, int], ...]:
    step = max(1, len(column.texts) // _SAMPLE)
    shapes: Counter[str] = Counter()
    for text, rows in zip(_every(column.texts, step), column.counts[::step].tolist(), strict=True):
        shapes[pattern(str(text))] += rows
    ranked = sorted(shapes.items(), key=lambda item: (-item[1], item[0]))[:_PATTERNS]
    return tuple((shape, rows) for shape, rows in ranked)


def pattern(text: str) -> str:
    """The shape of a text: A for a letter, 9 for a digit, long runs cut short."""
    kinds = ("9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in text)
    return "".join(kind * min(len(list(run)), _LONGEST_RUN) for kind, run in groupby(kinds))[:60]


def _every(texts: pa.StringArray, step: int) -> list[str]:
    return [str(t) for t in texts.take(pa.array(range(0, len(texts), step), pa.int64())).to_pylist()]
