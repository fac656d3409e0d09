"""Fields of a NULL struct as NULL.

Arrow leaves open what the fields of a NULL struct hold, and its builders put zeros and empty texts there.
The engine reads a field without looking at the struct around it, so that the zero would be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.types as pt


def with_null_fields(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches with every field of a NULL struct NULL; untouched where no column has a struct in it."""
    if not any(_has_struct(field.type) for field in schema):
        yield from batches
        return
    for batch in batches:
        columns = [_cleared(c) if _has_struct(c.type) else c for c in batch.columns]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _has_struct(data_type: Any) -> bool:
    if pt.is_list(data_type) or pt.is_large_list(data_type):
        return _has_struct(data_type.value_type)
    return pt.is_struct(data_type)


def _cleared(array: Any) -> Any:
    if pt.is_struct(array.type):
        # flatten() gives the fields the NULLs of the struct around them.
        fields = [_cleared(field) if _has_struct(field.type) else field for field in array.flatten()]
        if not fields:
            return array
        return pa.StructArray.from_arrays(fields, fields=list(array.type.fields), mask=array.is_null())
    # Taken once, a slice of a list begins at its own first value.
    whole = array.take(pa.array(range(len(array)), pa.int64()))
    return type(whole).from_arrays(
        whole.offsets, _cleared(whole.values), type=array.type, mask=whole.is_null()
    )
