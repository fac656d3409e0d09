"""Typed filters as a query that keeps at least the rows that they keep.

An index knows a document only in part: rounded, truncated, or not at all (`ignore_above`). So a
query narrows what is read, never too much, and the rows that come back are filtered once more by
their documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from kalla_runner.connectors.filters import Comparison, TypedFilter
from kalla_runner.connectors.search.columns import ID, Column

Query = Mapping[str, Any]
_MOST_TERMS: Final = 10_000
"""An index takes 65,536 at most, unless it is told otherwise."""
_LOWER: Final = frozenset({Comparison.EQ, Comparison.GT, Comparison.GTE})
_UPPER: Final = frozenset({Comparison.EQ, Comparison.LT, Comparison.LTE})


@dataclass(frozen=True, slots=True)
class _Width:
    """What a kind of float loses: up to this part of a value, or this much of a small one."""

    largest: float
    relative: float = 0.0
    least: float = 0.0


_WIDTHS: Final = {
    "half_float": _Width(65504.0, 2.0**-9, 2.0**-23),
    "float": _Width(3.4028234663852886e38, 2.0**-22, 2.0**-148),
    "double": _Width(float("inf")),
}
_MOST_UNSIGNED: Final = 2**64 - 1
_MOST_UNITS: Final = 9 * 10**18
"""A scaled_float is kept in 64 bits; larger values are all the largest one to the engine."""
_NANOS: Final = (0, 2**63 - 1)
_MICROS_A_DAY: Final = 86_400_000_000


def pushed(filters: Sequence[TypedFilter], columns: Mapping[str, Column]) -> list[Query] | None:
    """The queries that must all hold, None where no row can pass."""
    if any(typed.comparison is Comparison.NEVER for typed in filters):
        return None
    found = (_query(typed, columns[typed.column]) for typed in filters)
    return [query for query in found if query is not None]


def _query(typed: TypedFilter, column: Column) -> Query | None:
    if column.declared or not column.searchable or not typed.values:
        return None
    if column.name == ID:
        return _ids(typed)
    properties = column.properties
    if properties.get("index", True) is False or _ignores_malformed(properties):
        return None
    if column.field_type in ("keyword", "text"):
        return _text(typed, column)
    if column.field_type == "boolean":
        return _any_of("terms", column.path, typed)
    bounds = _bounds(typed, column)
    return None if bounds is None else {"range": {column.path: bounds}}


def _ignores_malformed(properties: Mapping[str, Any]) -> bool:
    return str(properties.get("ignore_malformed", "false")).lower() == "true"


def _ids(typed: TypedFilter) -> Query | None:
    if typed.comparison not in (Comparison.EQ, Comparison.IN) or len(typed.values) > _MOST_TERMS:
        return None
    return {"ids": {"values": [value.as_py() for value in typed.values]}}


def _any_of(name: str, path: str, typed: TypedFilter) -> Query | None:
    if typed.comparison not in (Comparison.EQ, Comparison.IN) or len(typed.values) > _MOST_TERMS:
        return None
    return {name: {path: [value.as_py() for value in typed.values]}}


def _text(typed: TypedFilter, column: Column) -> Query | None:
    """Terms of a keyword, or of a keyword beside a text, are the text itself, in the order of its bytes."""
    path, keyword = column.path, column.properties
    if column.field_type == "text":
        fields: Mapping[str, Mapping[str, Any]] = column.properties.get("fields", {})
        name = next((name for name, sub in fields.items() if sub.get("type") == "keyword"), None)
        if name is None:
            return None
        path, keyword = f"{path}.{name}", fields[name]
    if "normalizer" in keyword or keyword.get("index", True) is False:
        return None
    longest = keyword.get("ignore_above")
    exact = _any_of("terms", path, typed)
    if exact is not None:
        # A longer value is no term at all. Java counts a character beyond the first plane as two.
        fits = all(longest is None or _java_length(value.as_py()) <= int(longest) for value in typed.values)
        return exact if fits else None
    if longest is not None:
        return None
    if typed.comparison is Comparison.LIKE:
        start = _literal_start(typed.values[0].as_py())
        return {"prefix": {path: start}} if start else None
    text = typed.values[0].as_py()
    if typed.comparison in (Comparison.GT, Comparison.GTE):
        return {"range": {path: {"gte": text}}}
    if typed.comparison in (Comparison.LT, Comparison.LTE):
        return {"range": {path: {"lte": text}}}
    return None


def _java_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _literal_start(pattern: str) -> str:
    start: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter in "%_":
            break
        start.append(next(letters, "") if letter == "\\" else letter)
    return "".join(start)


def _bounds(typed: TypedFilter, column: Column) -> dict[str, Any] | None:
    """The range that holds all rows a filter keeps, None where the engine has none."""
    if typed.comparison is Comparison.IN:
        low, high = min(typed.values, key=_order), max(typed.values, key=_order)
        return _range(low, high, column)
    low = typed.values[0] if typed.comparison in _LOWER else None
    high = typed.values[0] if typed.comparison in _UPPER else None
    return None if low is None and high is None else _range(low, high, column)


def _order(value: Any) -> Any:
    return value.as_py() if not pa.types.is_temporal(value.type) else value.value


def _range(low: Any, high: Any, column: Column) -> dict[str, Any] | None:
    """Bounds are always inclusive: what is stored may be the document's value cut or rounded."""
    kind = column.field_type
    if kind in ("long", "integer", "short", "byte"):
        return {name: bound.as_py() for name, bound in (("gte", low), ("lte", high)) if bound is not None}
    if kind == "unsigned_long":
        return _unsigned(low, high)
    if kind == "scaled_float":
        return _scaled(low, high)
    if kind in _WIDTHS:
        return _floating(low, high, _WIDTHS[kind])
    if kind in ("date", "date_nanos"):
        return _dates(low, high, nanoseconds=kind == "date_nanos")
    return None


def _unsigned(low: Any, high: Any) -> dict[str, Any] | None:
    bounds = {name: int(bound.as_py()) for name, bound in (("gte", low), ("lte", high)) if bound is not None}
    return bounds if all(0 <= bound <= _MOST_UNSIGNED for bound in bounds.values()) else None


def _scaled(low: Any, high: Any) -> dict[str, Any] | None:
    """Two units of the scale wider, and as much as a double loses: the engine multiplies as a float."""
    bounds: dict[str, Any] = {}
    for name, bound, sign in (("gte", low, -1), ("lte", high, 1)):
        if bound is None:
            continue
        number: Decimal = bound.as_py()
        if abs(number).scaleb(bound.type.scale) > _MOST_UNITS:
            return None
        unit = Decimal(1).scaleb(-bound.type.scale)
        bounds[name] = format(number + sign * (2 * unit + abs(number) * Decimal("1e-14")), "f")
    return bounds


def _floating(low: Any, high: Any, width: _Width) -> dict[str, Any] | None:
    """As much wider as two roundings to the engine's own width may move a value or a bound."""
    bounds: dict[str, Any] = {}
    for name, bound, sign in (("gte", low, -1), ("lte", high, 1)):
        if bound is None:
            continue
        number = float(bound.as_py())
        if not -width.largest <= number <= width.largest or math.isinf(number):
            return None
        wider = number + sign * (abs(number) * width.relative + width.least)
        # To the engine -0.0 lies below 0.0.
        bounds[name] = min(max(wider, -width.largest), width.largest) or sign * 0.0
    return bounds


def _dates(low: Any, high: Any, *, nanoseconds: bool) -> dict[str, Any] | None:
    counts = {name: _nanos(bound) for name, bound in (("gte", low), ("lte", high)) if bound is not None}
    if nanoseconds and any(not _NANOS[0] <= count <= _NANOS[1] for count in counts.values()):
        return None
    texts = {name: _written(count, nanoseconds=nanoseconds) for name, count in counts.items()}
    return {
        **texts,
        "format": "strict_date_optional_time_nanos" if nanoseconds else "strict_date_optional_time",
    }


def _nanos(bound: Any) -> int:
    if pa.types.is_date(bound.type):
        return bound.cast(pa.int32()).as_py() * _MICROS_A_DAY * 1000
    count = bound.cast(pa.int64()).as_py()
    return count if bound.type.unit == "ns" else count * 1000


def _written(count: int, *, nanoseconds: bool) -> str:
    """A moment as ISO text; milliseconds are what a date keeps, cut off as the engine cuts them."""
    seconds, fraction = divmod(count, 10**9)
    day, second = divmod(seconds, 86_400)
    date = (pa.scalar(day, pa.int32()).cast(pa.date32())).as_py().isoformat()
    digits = f"{fraction:09}" if nanoseconds else f"{fraction // 1_000_000:03}"
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{digits}Z"
