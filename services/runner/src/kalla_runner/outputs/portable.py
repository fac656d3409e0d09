"""Arrow types that any Parquet reader opens, and the exact way to them.

Kept as they are: integers, floats, decimals, dates, times, timestamps, booleans, utf8, binary,
lists, structs. Changed, without loss: string and binary views and large text or binary become
plain ones, dictionaries their values, float16 float32, a column without any type (a bare NULL)
text. A duration is kept: Parquet holds the count of its unit as a 64-bit integer, which is what a reader
sees that does not look into the Arrow schema beside it. Intervals have no form in Parquet: refused with
the cast to write.

What some readers make of the kept ones: Spark reads unsigned 64-bit integers as decimal(20, 0) and
cannot read times of day; decimals of more than 38 digits are for pyarrow, pandas and Polars only.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt
from kalla_common.errors import Code, KallaError


def portable_schema(schema: pa.Schema) -> pa.Schema:
    """The schema that is written for rows of `schema`; metadata are left out.

    Raises:
        KallaError: INVALID_SQL for a column of a type that Parquet readers do not share.
    """
    return pa.schema(
        [pa.field(field.name, _portable(field.type, field.name), field.nullable) for field in schema]
    )


def portable_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of `batch` as `schema`, made by `portable_schema` of theirs; without a copy if it fits."""
    columns = [
        column if column.type == field.type else _cast(column, field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, data_type: pa.DataType) -> pa.Array:
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(data_type)


def _portable(data_type: pa.DataType, column: str) -> pa.DataType:
    if pt.is_string_view(data_type) or pt.is_large_string(data_type) or pt.is_null(data_type):
        return pa.string()
    if pt.is_binary_view(data_type) or pt.is_large_binary(data_type):
        return pa.binary()
    if pt.is_dictionary(data_type):
        return _portable(data_type.value_type, column)
    if pt.is_float16(data_type):
        return pa.float32()
    if pt.is_list(data_type) or pt.is_large_list(data_type) or pt.is_list_view(data_type):
        return pa.list_(_child(data_type.value_field, column))
    if pt.is_fixed_size_list(data_type):
        return pa.list_(_child(data_type.value_field, column), data_type.list_size)
    if pt.is_struct(data_type):
        return pa.struct([_child(data_type.field(i), column) for i in range(data_type.num_fields)])
    if pt.is_interval(data_type) or pt.is_union(data_type):
        raise KallaError(
            Code.INVALID_SQL,
            f"The output column {column!r} is of type {data_type}, which Parquet readers do not share; "
            f"cast it to text, for example CAST({column} AS VARCHAR).",
            column=column,
        )
    return data_type


def _child(field: pa.Field, column: str) -> pa.Field:
    return pa.field(field.name, _portable(field.type, column), field.nullable)
