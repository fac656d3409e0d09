"""Reads a column as exact amounts or as days, also where it holds them as text in some other format."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

_compute: Any = pyarrow.compute  # its functions are made at run time

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

LARGEST: Final = 1 << 60
"""Units beyond this are left to the engine: their sums could leave 64 bits."""
_MAX_FLOAT_SCALE: Final = 6

_AMOUNT_TEXTS: Final = (
    # 1.234,50 and 1234,50
    (re.compile(r"-?(\d{1,3}(\.\d{3})+|\d+),\d{1,4}"), "replace(replace({c}, '.', ''), ',', '.')", ".", ","),
    # 1,234.50 and 1,234
    (re.compile(r"-?\d{1,3}(,\d{3})+(\.\d{1,4})?|-?\d+\.\d{1,4}"), "replace({c}, ',', '')", ",", "."),
)
_DAY_TEXTS: Final = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "%Y-%m-%d"),
    (re.compile(r"\d{8}"), "%Y%m%d"),
    (re.compile(r"\d{4}/\d{2}/\d{2}"), "%Y/%m/%d"),
    (re.compile(r"\d{2}\.\d{2}\.\d{4}"), "%d.%m.%Y"),
    (re.compile(r"\d{2}/\d{2}/\d{4}"), "%d/%m/%Y"),
    (re.compile(r"\d{2}/\d{2}/\d{4}"), "%m/%d/%Y"),
    (re.compile(r"\d{2}-\d{2}-\d{4}"), "%d-%m-%Y"),
    (re.compile(r"\d{2}-\d{2}-\d{4}"), "%m-%d-%Y"),
    (re.compile(r"\d{2}-[A-Za-z]{3}-\d{4}"), "%d-%b-%Y"),
)
_YEARS: Final = (1970, 2100)


def read_amounts(
    values: pa.Array, distinct: pa.StringArray, codes: Codes
) -> tuple[Ints, Mask, int, str] | None:
    """Units, validity, scale and SQL of a column of numbers; None if it is none, or too large for 64 bits."""
    types = pa.types
    if types.is_integer(values.type):
        if types.is_uint64(values.type) and len(distinct) and _compute.max(values).as_py() > LARGEST:
            return None
        return _whole(values, "{c}", 0)
    if types.is_decimal(values.type):
        return _from_decimal(values, "{c}")
    if types.is_floating(values.type):
        return _from_floats(distinct, codes)
    if types.is_string(values.type) or types.is_large_string(values.type):
        return _from_texts(distinct, codes)
    return None


def _whole(values: pa.Array, sql: str, scale: int) -> tuple[Ints, Mask, int, str] | None:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    units = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if not valid.any() or _largest(units) > LARGEST:
        return None
    return units, valid, scale, sql


def _from_decimal(values: pa.Array, sql: str) -> tuple[Ints, Mask, int, str] | None:
    data_type: Any = values.type
    scale = data_type.scale
    if scale < 0:
        return None
    try:
        wide = values.cast(pa.decimal128(38, scale))
    except pa.ArrowInvalid:
        return None
    valid = wide.is_valid().to_numpy(zero_copy_only=False)
    filled = wide.fill_null(0)
    buffer = filled.buffers()[1]
    if buffer is None or not valid.any():
        return None
    words = np.frombuffer(buffer, np.int64)[2 * filled.offset : 2 * (filled.offset + len(filled))]
    low, high = words[0::2], words[1::2]
    if bool((high != (low >> 63)).any()) or _largest(low) > LARGEST:
        return None
    return low.copy(), valid, scale, sql


def _from_floats(distinct: pa.StringArray, codes: Codes) -> tuple[Ints, Mask, int, str] | None:
    """Floats count as their shortest decimal form, as the engine's tolerance_match takes them."""
    texts = [str(text) for text in distinct.to_pylist()]
    plain = [f"{float(text):.{_MAX_FLOAT_SCALE}f}" for text in texts]
    if any(float(p) != float(t) for p, t in zip(plain, texts, strict=True)):
        return None
    places = max((len(p.rstrip("0").partition(".")[2]) for p in plain), default=0)
    return _spread(_decimals(pa.array(plain, pa.string()), places), codes, "{c}")


def _from_texts(distinct: pa.StringArray, codes: Codes) -> tuple[Ints, Mask, int, str] | None:
    if not len(distinct):
        return None
    sample = [str(text) for text in distinct.slice(0, 50).to_pylist()]
    for pattern, sql, grouping, point in _AMOUNT_TEXTS:
        if not all(pattern.fullmatch(text) for text in sample):
            continue
        if not all(pattern.fullmatch(str(text)) for text in distinct.to_pylist()):
            continue
        plain = _compute.replace_substring(_compute.replace_substring(distinct, grouping, ""), point, ".")
        scale = max(len(str(text).partition(".")[2]) for text in plain.to_pylist())
        return _spread(_decimals(plain, scale), codes, f"CAST({sql} AS DECIMAL(18,{scale}))")
    return None


def _decimals(texts: pa.StringArray, scale: int) -> pa.Array | None:
    """The texts as decimals; None if one has too many digits for that or is not finite."""
    try:
        return texts.cast(pa.decimal128(38, scale))
    except (pa.ArrowInvalid, ValueError):
        return None


def _largest(units: Ints) -> int:
    """The largest absolute value; numpy's own abs leaves -2^63 negative."""
    return max(int(units.max()), -int(units.min()))


def _spread(numbers: pa.Array | None, codes: Codes, sql: str) -> tuple[Ints, Mask, int, str] | None:
    read = _from_decimal(numbers, sql) if numbers is not None and len(numbers) else None
    if read is None:
        return None
    units = np.append(read[0], 0)[codes]
    return units, codes >= 0, read[2], sql


def read_days(values: pa.Array, distinct: pa.StringArray, codes: Codes) -> tuple[Ints, Mask, str, str] | None:
    """Days, validity, SQL and a note of a column of dates; None if it is none."""
    types = pa.types
    if types.is_date(values.type) or types.is_timestamp(values.type):
        sql = "{c}" if types.is_date(values.type) else "CAST({c} AS DATE)"
        days = values.cast(pa.timestamp("us")) if types.is_date64(values.type) else values
        if types.is_timestamp(days.type):
            days = _compute.floor_temporal(days, unit="day").cast(pa.timestamp("s")).cast(pa.date32())
        numbers = days.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
        return numbers.astype(np.int64), days.is_valid().to_numpy(zero_copy_only=False), sql, ""
    if types.is_integer(values.type) or types.is_string(values.type) or types.is_large_string(values.type):
        return _days_of_texts(distinct, codes, is_text=not types.is_integer(values.type))
    return None


def _days_of_texts(
    distinct: pa.StringArray, codes: Codes, *, is_text: bool
) -> tuple[Ints, Mask, str, str] | None:
    texts = [str(text) for text in distinct.to_pylist()]
    if not texts:
        return None
    fitting = [(f, days) for p, f in _DAY_TEXTS if (days := _parsed(texts, p, f)) is not None]
    if not fitting:
        return None
    form, days = fitting[0]
    note = ""
    if len(fitting) > 1:
        note = f"is read as {form}; no value shows whether the day or the month comes first"
    column = "{c}" if is_text else "CAST({c} AS TEXT)"
    return np.append(days, 0)[codes], codes >= 0, f"to_date({column}, '{form}')", note


def _parsed(texts: list[str], pattern: re.Pattern[str], form: str) -> Ints | None:
    if not pattern.fullmatch(texts[0]) or not all(pattern.fullmatch(text) for text in texts):
        return None
    days = np.empty(len(texts), np.int64)
    for place, text in enumerate(texts):
        try:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007  # a calendar day has no zone
        except ValueError:
            return None
        if not _YEARS[0] <= day.year <= _YEARS[1]:
            return None
        days[place] = day.toordinal() - date(1970, 1, 1).toordinal()
    return days
