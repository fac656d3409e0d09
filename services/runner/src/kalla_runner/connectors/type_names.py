"""Plain names of Arrow types, as people see them in previews, recipes and errors.

int64 -> integer        decimal128(12, 2) -> decimal(12,2)      timestamp[us, UTC] -> timestamp with time zone
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
from kalla_common.domain import ColumnInfo

MAX_PRECISION: Final = 76
"""Digits of the widest exact number, decimal256."""

_SIMPLE: Final[tuple[tuple[str, str], ...]] = (
    # Every width of integer reads "integer": a width is a matter of storage, not of meaning.
    ("is_integer", "integer"),
    ("is_floating", "float"),
    ("is_boolean", "boolean"),
    ("is_string", "text"),
    ("is_large_string", "text"),
    ("is_string_view", "text"),
    ("is_date", "date"),
    ("is_time", "time"),
    ("is_duration", "duration"),
    ("is_interval", "interval"),
    ("is_binary", "binary"),
    ("is_large_binary", "binary"),
    ("is_binary_view", "binary"),
    ("is_fixed_size_binary", "binary"),
    ("is_null", "null"),
    ("is_map", "map"),
    ("is_union", "union"),
)

_DECLARABLE: Final[dict[str, pa.DataType]] = {
    "integer": pa.int64(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
    "float": pa.float64(),
}
_DECIMAL: Final = re.compile(r"decimal\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\)")


def type_name(data_type: pa.DataType) -> str:
    """The plain name of any Arrow type, such as decimal(12,2), text, list of integer."""
    if pa.types.is_decimal(data_type):
        return f"decimal({data_type.precision},{data_type.scale})"
    if pa.types.is_timestamp(data_type):
        return "timestamp" if data_type.tz is None else "timestamp with time zone"
    if pa.types.is_dictionary(data_type):
        return type_name(data_type.value_type)
    if is_list(data_type):
        return f"list of {type_name(data_type.value_type)}"
    if pa.types.is_struct(data_type):
        fields = (data_type.field(i) for i in range(data_type.num_fields))
        return f"struct({', '.join(f'{field.name} {type_name(field.type)}' for field in fields)})"
    for test, name in _SIMPLE:
        if getattr(pa.types, test)(data_type):
            return name
    return str(data_type)


def is_list(data_type: pa.DataType) -> bool:
    """Whether values are lists of any Arrow layout."""
    types = pa.types
    return (
        types.is_list(data_type)
        or types.is_large_list(data_type)
        or types.is_fixed_size_list(data_type)
        or types.is_list_view(data_type)
        or types.is_large_list_view(data_type)
    )


def is_text(data_type: pa.DataType) -> bool:
    """Whether values are text, also where they are dictionary-encoded."""
    if pa.types.is_dictionary(data_type):
        return is_text(data_type.value_type)
    types = pa.types
    return types.is_string(data_type) or types.is_large_string(data_type) or types.is_string_view(data_type)


def decimal_type(precision: int, scale: int) -> pa.DataType:
    """The Arrow decimal of that many digits, 128 bits wide up to 38 of them, else 256."""
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)  # noqa: PLR2004 - digits that 128 bits hold


def parse_type(name: str) -> pa.DataType | None:
    """The Arrow type that a declared name stands for, None if the name is none.

    Names: integer, decimal(p,s), decimal(p), text, date, timestamp, timestamp with time zone,
    boolean, float.
    """
    plain = " ".join(name.strip().lower().split())
    found = _DECIMAL.fullmatch(plain)
    if found is None:
        return _DECLARABLE.get(plain)
    precision, scale = int(found[1]), int(found[2] or 0)
    if not (1 <= precision <= MAX_PRECISION and scale <= precision):
        return None
    return decimal_type(precision, scale)


def columns_of(schema: pa.Schema) -> tuple[ColumnInfo, ...]:
    """The columns of a schema as people see them."""
    return tuple(ColumnInfo(field.name, type_name(field.type), field.nullable) for field in schema)
