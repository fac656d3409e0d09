"""Types of Parquet columns as Kalla reads them, and the lossless way there.

Layouts fall away (dictionaries, string views, large strings: all are utf8), timestamps become
microseconds where that is exact, and a recipe may declare another type where no value loses anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.text_types import MisfitError, fit
from kalla_runner.connectors.type_names import MAX_PRECISION, decimal_type, is_text, type_name

_t: Final[Any] = pa.types


def plain_type(data_type: Any) -> pa.DataType:
    """The type without its storage layout; timestamps of seconds and milliseconds in microseconds.

    Nanoseconds stay: only their values say whether microseconds would do.
    """
    if isinstance(data_type, pa.BaseExtensionType):
        return plain_type(data_type.storage_type)
    if _t.is_dictionary(data_type) or _t.is_run_end_encoded(data_type):
        return plain_type(data_type.value_type)
    if is_text(data_type):
        return pa.string()
    if _t.is_large_binary(data_type) or _t.is_binary_view(data_type):
        return pa.binary()
    if _t.is_decimal(data_type):
        return decimal_type(data_type.precision, data_type.scale)
    if _t.is_date(data_type):
        return pa.date32()
    if _t.is_float16(data_type):
        return pa.float32()
    if _t.is_timestamp(data_type):
        unit = "ns" if data_type.unit == "ns" else "us"
        return pa.timestamp(unit, None if data_type.tz is None else "UTC")
    return _nested(data_type)


def _nested(data_type: Any) -> pa.DataType:
    def plain(field: pa.Field) -> pa.Field:
        return field.with_type(plain_type(field.type))

    if _t.is_fixed_size_list(data_type):
        return pa.list_(plain(data_type.value_field), data_type.list_size)
    if _t.is_large_list(data_type):
        return pa.large_list(plain(data_type.value_field))
    if _t.is_list(data_type):
        return pa.list_(plain(data_type.value_field))
    if _t.is_struct(data_type):
        return pa.struct([plain(data_type.field(i)) for i in range(data_type.num_fields)])
    if _t.is_map(data_type):
        return pa.map_(plain(data_type.key_field), plain(data_type.item_field))
    return data_type


def common_type(one: Any, two: Any) -> pa.DataType | None:
    """The plain type that holds all values of two plain types exactly, None where there is none.

    Numbers widen, and a column without any value (type null) takes the other type; also inside lists and
    structs. A struct has the fields of both. Dates, timestamps and text stay what they are.
    """
    if one == two:
        return one
    if _t.is_null(one) or _t.is_null(two):
        return two if _t.is_null(one) else one
    if _t.is_struct(one) and _t.is_struct(two):
        return _common_struct(one, two)
    if any(test(one) and test(two) for test in (_t.is_list, _t.is_large_list)):
        item = common_type(one.value_type, two.value_type)
        return None if item is None else (pa.list_ if _t.is_list(one) else pa.large_list)(item)
    if _t.is_floating(one) and _t.is_floating(two):
        return pa.float64()
    if _t.is_timestamp(one) and _t.is_timestamp(two):
        # Microseconds and nanoseconds: what is needed, the values say.
        return pa.timestamp("ns", one.tz) if one.tz == two.tz else None
    digits = _digits(one), _digits(two)
    if digits[0] is None or digits[1] is None:
        return None
    if _t.is_integer(one) and _t.is_integer(two) and pa.uint64() not in (one, two):
        return pa.int64()
    scale = max(digits[0][1], digits[1][1])
    precision = max(digits[0][0], digits[1][0]) + scale
    return decimal_type(precision, scale) if precision <= MAX_PRECISION else None


def _digits(data_type: Any) -> tuple[int, int] | None:
    """Digits before and behind the point of an exact number."""
    if _t.is_decimal(data_type):
        return max(data_type.precision - data_type.scale, 0), data_type.scale
    if _t.is_integer(data_type):
        return (20, 0) if data_type == pa.uint64() else (19, 0)
    return None


def _common_struct(one: Any, two: Any) -> pa.DataType | None:
    fields: dict[str, pa.Field] = {}
    for field in (*one.fields, *two.fields):
        known = fields.get(field.name)
        common = field.type if known is None else common_type(known.type, field.type)
        if common is None:
            return None
        fields[field.name] = pa.field(field.name, common)
    return pa.struct(list(fields.values()))


def can_become(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of type `found` may be read as `wanted`; whether each one fits is seen on reading."""
    return found == wanted or _conversion(found, wanted) is not None


def convert_column(array: Any, wanted: pa.DataType) -> Any:
    """The values as `wanted`, each exactly.

    Args:
        array: of any layout of a type that can become `wanted`.
        wanted: a plain type.

    Raises:
        MisfitError: with the place of the first value that does not fit.
    """
    if array.type == wanted:
        return array
    plain = plain_type(array.type)
    try:
        if array.type != plain:
            array = array.cast(plain)
        conversion = None if plain == wanted else _conversion(plain, wanted)
        return array.cast(wanted) if conversion is None else conversion(array, wanted)
    except pa.ArrowInvalid as error:
        raise MisfitError(_first_misfit(array, wanted)) from error


def _conversion(found: Any, wanted: Any) -> Callable[[Any, Any], Any] | None:
    """How to get from one plain type to another that a recipe declares; None if that could lose something."""
    if _t.is_string(found):
        return None if _t.is_floating(wanted) else fit
    if _t.is_integer(found):
        if wanted == pa.int64():
            return _cast
        # Arrow judges an integer by its type's width here, not by its value; as text it does not.
        return _through_text if _t.is_decimal(wanted) else _cast if wanted == pa.string() else None
    if _t.is_decimal(found):
        exact = _t.is_decimal(wanted) or wanted in (pa.int64(), pa.string())
        return _cast if exact else None
    if _t.is_timestamp(found):
        # Nanoseconds that are whole microseconds, and nothing else.
        return _cast if _t.is_timestamp(wanted) and (found.tz is None) == (wanted.tz is None) else None
    small = ((pa.float32(), pa.float64()), (pa.date32(), pa.timestamp("us")), (pa.bool_(), pa.string()))
    return _cast if (found, wanted) in (*small, (pa.date32(), pa.string())) else None


def _cast(array: Any, wanted: Any) -> Any:
    return array.cast(wanted)


def _through_text(array: Any, wanted: Any) -> Any:
    return array.cast(pa.string()).cast(wanted)


def _first_misfit(array: Any, wanted: pa.DataType) -> int:
    """Each value fits or not by itself, so the shortest prefix that fails ends in the first misfit."""
    good, bad = 0, len(array)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert_part = array.slice(good, middle - good)
            conversion = _conversion(plain_type(array.type), wanted) or _cast
            conversion(convert_part, wanted)
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    return good


def declared_schema(found: pa.Schema, declared: dict[str, pa.DataType], what: str) -> pa.Schema:
    """The plain schema with the declared types in it.

    Raises:
        KallaError: SCHEMA_MISMATCH if a declared type could lose something.
    """
    fields: list[pa.Field] = []
    for field in found:
        wanted = declared.get(field.name, field.type)
        if not can_become(field.type, wanted):
            raise KallaError(
                Code.SCHEMA_MISMATCH,
                f"Column {field.name!r} of {what} is {type_name(field.type)}, which cannot be read as the "
                f"declared {type_name(wanted)} without loss; declare its own type.",
                column=field.name,
            )
        fields.append(field.with_type(wanted))
    return pa.schema(fields)
