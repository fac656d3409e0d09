"""What ADBC hands out, as exactly typed record batches.

All checks run over whole columns. What cannot be held exactly is an `UndecodableError`; which row
it is, the source finds out by asking the server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from kalla_runner.connectors.postgres.types import Column, Kind

_compute: Any = pyarrow.compute  # its functions are made at run time

# ADBC adds the distance of the epochs (2000 to 1970) and wraps around where 64 or 32 bits are
# full. What was wrapped lies before 4714 BC, where PostgreSQL's calendar begins.
_FIRST_DAY: Final = -2_440_588
_FIRST_MICROSECOND: Final = -210_866_803_200_000_000
_MICROSECONDS_A_DAY: Final = 86_400_000_000


class UndecodableError(Exception):
    """A column holds a value that Arrow cannot.

    Attributes:
        column: its position.
        shape: whether it is an array of more than one dimension, not a bad value in it.
    """

    def __init__(self, column: int, *, shape: bool = False) -> None:
        super().__init__(column)
        self.column = column
        self.shape = shape


class Decoder:
    """Turns batches of a SELECT of `select_list` into batches of `schema`.

    Args:
        columns: the columns, all with their Arrow types.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self._lists = [number for number, column in enumerate(columns) if column.is_list]
        self.schema = pa.schema(
            [pa.field(column.name, column.arrow, nullable=column.nullable) for column in columns]
        )

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch; it may carry the dimensions of the arrays behind the columns.

        Raises:
            UndecodableError: a value has no exact Arrow form.
        """
        for number, place in enumerate(self._lists, start=len(self._columns)):
            # ADBC flattens arrays of several dimensions without a word.
            if _compute.max(batch.column(number)).as_py() not in (None, 1):
                raise UndecodableError(place, shape=True)
        arrays = [
            self._decode(number, column, batch.column(number)) for number, column in enumerate(self._columns)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _decode(self, number: int, column: Column, array: Any) -> Any:
        values = array.flatten() if column.is_list else array
        check = _CHECKS.get(column.kind)
        if check is not None and not check(values):
            raise UndecodableError(number)
        if column.kind is Kind.DECIMAL:
            try:
                return array.cast(column.arrow)
            except pa.ArrowInvalid as error:
                raise UndecodableError(number) from error
        return array if array.type == column.arrow else array.cast(column.arrow)


def _days_fit(values: Any) -> bool:
    least = _compute.min(values.cast(pa.int32())).as_py()
    return least is None or least >= _FIRST_DAY


def _microseconds_fit(values: Any) -> bool:
    least = _compute.min(values.cast(pa.int64())).as_py()
    return least is None or least >= _FIRST_MICROSECOND


def _times_fit(values: Any) -> bool:
    most = _compute.max(values.cast(pa.int64())).as_py()
    return most is None or most < _MICROSECONDS_A_DAY


_CHECKS: Final[dict[Kind, Callable[[Any], bool]]] = {
    Kind.DATE: _days_fit,
    Kind.TIMESTAMP: _microseconds_fit,
    Kind.TIME: _times_fit,
}
