r"""The canonical text of every Arrow value, as the JSON rows and CSV files show it.

| type | text |
|---|---|
| decimal | all digits of its scale, never an exponent: `1.10`, `0.00000001` |
| integer | `-12` |
| float | the shortest decimal form that reads back as the same float |
| boolean | `true`, `false` |
| date | `2026-01-15` |
| timestamp | `2026-01-15T10:00:00.25`, with a zone in UTC and `Z`; no fraction if it is zero |
| time | `10:00:00` |
| duration | ISO 8601 in seconds, `PT90.5S`, `-PT0.000001S` |
| binary | `\x` and lower-case hexadecimal digits |
| list, struct, map | JSON, with the texts above for what JSON has no form of |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as _compute
from pyarrow import types

# Arrow makes its compute functions at import time: no checker knows them.
pc: Any = _compute

MAX_SLICE_ROWS = 8192
MAX_SLICE_BYTES = 8 * 1024 * 1024


def text_rows(batch: pa.RecordBatch) -> list[list[str | None]]:
    """Return the rows of `batch` as text cells, NULL as None."""
    columns = [column_text(column).to_pylist() for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut `batch` into parts whose text fits well into memory."""
    if batch.num_rows == 0:
        return
    row_bytes = max(1, batch.nbytes // batch.num_rows)
    step = max(1, min(MAX_SLICE_ROWS, MAX_SLICE_BYTES // row_bytes))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def column_text(array: pa.Array) -> pa.Array:
    """Return `array` as a utf8 array of canonical texts of the same length, NULL kept."""
    kind = array.type
    if types.is_dictionary(kind):
        return column_text(array.dictionary_decode())
    if types.is_string(kind):
        return array
    if types.is_decimal(kind):
        return _decimal_text(array)
    if types.is_timestamp(kind):
        return _timestamp_text(array)
    if types.is_time(kind):
        return _trim_fraction(array.cast(pa.string()))
    if types.is_duration(kind):
        texts = (None if v is None else _duration(v, kind.unit) for v in array.cast(pa.int64()).to_pylist())
        return pa.array(texts, pa.string())
    if _is_binary(kind):
        return pa.array([None if v is None else "\\x" + v.hex() for v in array.to_pylist()], pa.string())
    if types.is_nested(kind):
        return pa.array(_json_texts(array), pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return column_text(array.storage)
    return array.cast(pa.string())


def _decimal_text(array: pa.Array) -> pa.Array:
    text = array.cast(pa.string())
    # Arrow writes small values with an exponent (1E-8); those alone are written anew.
    exponents = pc.match_substring(text, "E")
    if not pc.any(exponents).as_py():
        return text
    plain = [None if v is None else _plain(v) for v in array.filter(exponents).to_pylist()]
    return pc.replace_with_mask(text, exponents, pa.array(plain, pa.string()))


def _is_binary(kind: pa.DataType) -> bool:
    plain = types.is_binary(kind) or types.is_large_binary(kind)
    return plain or types.is_fixed_size_binary(kind) or types.is_binary_view(kind)


def _duration(count: int, unit: str) -> str:
    """ISO 8601 for a count of `unit` (s, ms, us or ns)."""
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    whole, rest = divmod(abs(count), 10**digits)
    fraction = f"{rest:0{digits}}".rstrip("0") if rest else ""
    return f"{'-' if count < 0 else ''}PT{whole}{'.' if fraction else ''}{fraction}S"


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _timestamp_text(array: pa.Array) -> pa.Array:
    if array.type.tz is not None and array.type.tz != "UTC":
        # The instant stays the same: only the zone in which it is shown changes.
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return _trim_fraction(pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1))


def _trim_fraction(text: pa.Array) -> pa.Array:
    shorter = pc.replace_substring_regex(text, r"(\.\d*?)0+(Z?)$", r"\1\2")
    return pc.replace_substring_regex(shorter, r"\.(Z?)$", r"\1")


def _json_texts(array: pa.Array) -> list[str | None]:
    """JSON of every value of a nested array."""
    kind = array.type
    if types.is_struct(kind):
        return _struct_texts(array)
    if isinstance(kind, pa.BaseExtensionType):
        return _json_texts(array.storage)
    return [_list_text(value.values) for value in array]


def _list_text(values: pa.Array | None) -> str | None:
    if values is None:
        return None
    return "[" + ",".join(_elements(values)) + "]"


def _struct_texts(array: pa.Array) -> list[str | None]:
    names = [array.type.field(i).name for i in range(array.type.num_fields)]
    columns = [_elements(column) for column in array.flatten()]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    valid = array.is_valid().to_pylist()
    return [
        "{"
        + ",".join(f"{json.dumps(n, ensure_ascii=False)}:{v}" for n, v in zip(names, row, strict=True))
        + "}"
        if present
        else None
        for present, row in zip(valid, rows, strict=True)
    ]


def _elements(values: pa.Array) -> list[str]:
    """The JSON of each value of an array, "null" for NULL."""
    kind = values.type
    if types.is_nested(kind):
        return ["null" if text is None else text for text in _json_texts(values)]
    texts: list[str | None] = column_text(values).to_pylist()
    bare = types.is_integer(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    if types.is_floating(kind):
        # JSON knows no NaN and no infinity: those are texts.
        return ["null" if t is None else (t if t[-1].isdigit() else json.dumps(t)) for t in texts]
    return ["null" if t is None else (t if bare else json.dumps(t, ensure_ascii=False)) for t in texts]
