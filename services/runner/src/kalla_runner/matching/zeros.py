"""Negative zeros as zeros: they are equal, but the engine's groups, orders and lists tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt


def with_one_zero(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches with 0.0 for every -0.0, also in lists; columns without one are handed on as they are."""
    if not any(_holds_floats(field.type) for field in schema):
        yield from batches
        return
    for batch in batches:
        columns = [_cleared(c) if _holds_floats(c.type) and _has_negative(c) else c for c in batch.columns]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _holds_floats(data_type: Any) -> bool:
    if pt.is_list(data_type) or pt.is_large_list(data_type):
        return _holds_floats(data_type.value_type)
    return pt.is_floating(data_type)


def _has_negative(array: Any) -> bool:
    if not pt.is_floating(array.type):
        return _has_negative(array.values)
    values = array.to_numpy(zero_copy_only=False)
    return bool(np.any((values == 0) & np.signbit(values)))


def _cleared(array: Any) -> Any:
    if pt.is_floating(array.type):
        # By numpy, which adds floats of 2 bytes as well.
        values = array.to_numpy(zero_copy_only=False)
        return pa.array(values + values.dtype.type(0), array.type, mask=array.is_null().to_numpy(False))
    # Taken once, a slice of a list begins at its own first value.
    whole = array.take(pa.array(range(len(array)), pa.int64()))
    return type(whole).from_arrays(
        whole.offsets, _cleared(whole.values), type=array.type, mask=whole.is_null()
    )
