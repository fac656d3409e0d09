"""Columns as inference works with them: distinct texts with codes, exact amounts, days.

Every reading of a column carries the SQL that makes it, with `{c}` for the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from kalla_chat.inference.readings import read_amounts, read_days
from kalla_chat.inference.request import Source

_compute: Any = pyarrow.compute  # its functions are made at run time

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_MANY: Final = 20_000
"""Distinct texts up to which a column may be dates in some other format: 54 years of days."""
_DENSE: Final = 0.05
"""Share of its range that a column of running numbers fills, at least."""


class Family(StrEnum):
    """What can be done with a column."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DAY = "day"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """A column as exact numbers: `units[i]` times 10^-scale where `valid[i]`."""

    units: Ints
    valid: Mask
    scale: int
    sql: str


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """A column as days since 1970-01-01 where `valid[i]`; `note` tells a guess that was made."""

    days: Ints
    valid: Mask
    sql: str
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of one side.

    `codes[i]` is the place of row i's value in `texts`, -1 for NULL; `counts` are rows by text. `dense`:
    the numbers in its values fill their range, as running numbers, days and amounts do, so that equal
    ones prove little.
    """

    name: str
    type: pa.DataType
    family: Family
    codes: Codes
    texts: pa.StringArray
    counts: Ints
    dense: bool
    amounts: Amounts | None = None
    days: Days | None = None

    @property
    def rows(self) -> int:
        """Rows that are not NULL."""
        return int(self.counts.sum())

    @property
    def unique(self) -> bool:
        """Whether no value comes twice and none is missing."""
        return len(self.texts) == len(self.codes) > 0


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One source with its columns in the order of their names, so that their own order decides nothing."""

    source: Source
    columns: tuple[Column, ...]

    @property
    def rows(self) -> int:
        """Rows that inference sees."""
        return self.source.rows.num_rows


def read_side(source: Source, ignored: frozenset[str] = frozenset()) -> Side:
    """Read all columns of a source but the ignored ones."""
    table = source.rows
    names = sorted(set(table.schema.names) - ignored)
    return Side(source, tuple(_column(name, table.column(name)) for name in names))


def _column(name: str, chunks: pa.ChunkedArray) -> Column:
    values = chunks.combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    family = _family(values.type)
    texts = _texts(values, family)
    encoded = texts.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    distinct = encoded.dictionary
    counts = np.bincount(codes[codes >= 0], minlength=len(distinct)).astype(np.int64)
    # In the order of the values, so that the order of the rows decides nothing.
    order = _compute.array_sort_indices(distinct).to_numpy(zero_copy_only=False).astype(np.int64)
    places = np.empty(len(order) + 1, np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    places[-1] = -1
    distinct, codes, counts = distinct.take(pa.array(order)), places[codes], counts[order]
    amounts = read_amounts(values, distinct, codes)
    days = read_days(values, distinct, codes) if len(distinct) <= _MANY else None
    if _counts_up(family, distinct, amounts, len(codes)):
        amounts = None
    return Column(
        name,
        values.type,
        family,
        codes,
        distinct,
        counts,
        family in (Family.TEXT, Family.INTEGER) and _is_dense(distinct),
        Amounts(*amounts) if amounts is not None else None,
        Days(*days) if days is not None else None,
    )


def _family(data_type: pa.DataType) -> Family:
    types = pa.types
    if types.is_string(data_type) or types.is_large_string(data_type) or types.is_string_view(data_type):
        return Family.TEXT
    if types.is_integer(data_type):
        return Family.INTEGER
    if types.is_decimal(data_type) or types.is_floating(data_type):
        return Family.NUMBER
    if types.is_date(data_type) or types.is_timestamp(data_type):
        return Family.DAY
    return Family.OTHER


def _texts(values: pa.Array, family: Family) -> pa.Array:
    if family is Family.OTHER and not pa.types.is_boolean(values.type):
        return pa.nulls(len(values), pa.string())
    return values.cast(pa.string())


def _is_dense(distinct: pa.StringArray) -> bool:
    digits = _compute.replace_substring_regex(distinct, "[^0-9]", "")
    sizes = _compute.binary_length(digits)
    # Numbers of 18 digits fit 64 bits; longer ones do not fill any range.
    short = digits.filter(_compute.and_(_compute.greater(sizes, 0), _compute.less_equal(sizes, 18)))
    numbers = np.unique(short.cast(pa.int64()).to_numpy(zero_copy_only=False))
    if not len(numbers):
        return True
    # Without the outermost hundredths: one large number makes no range.
    cut = len(numbers) // 100
    low, high = int(numbers[cut]), int(numbers[len(numbers) - 1 - cut])
    return len(numbers) >= _DENSE * (high - low + 1)


def _counts_up(
    family: Family, distinct: pa.StringArray, amounts: tuple[Ints, Mask, int, str] | None, rows: int
) -> bool:
    """Whether an integer column is a running number: a key perhaps, but no amount."""
    if family is not Family.INTEGER or amounts is None or len(distinct) < rows or rows == 0:
        return False
    units = amounts[0]
    return int(units.max()) - int(units.min()) < 2 * rows
