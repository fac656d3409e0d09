"""The nine filter operators, typed against their columns, and applied by DataFusion.

    FilterCondition (as asked) -> check_filters -> TypedFilter (exact) -> apply_filters

A `TypedFilter` is plain enough for a connector to push down: its values are of the column's own
type, and its comparison is one of eight that every database has. Conditions are joined by AND; as in
SQL's WHERE, a NULL satisfies none of them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import datafusion
import datafusion.functions as fn
import pyarrow as pa
from datafusion import DataFrame, Expr
from kalla_common.domain import FilterCondition, FilterOp, FilterScalar
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.declared import unknown_column
from kalla_runner.connectors.filter_literals import MisfitLiteralError, Placed, place
from kalla_runner.connectors.type_names import is_text, type_name


class Comparison(StrEnum):
    """What a typed filter asks of a value."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    LIKE = "like"
    NOT_NULL = "not_null"
    """Every value passes: `neq 1.5` on an integer column."""
    NEVER = "never"
    """No value passes: `eq 1.5` on an integer column."""


@dataclass(frozen=True, slots=True)
class TypedFilter:
    """One exact condition on one column.

    Attributes:
        column: its exact name.
        data_type: its Arrow type.
        comparison: what is asked.
        values: Arrow scalars of `data_type` (of its value type for a dictionary, utf8 for string
            views): one for a comparison and LIKE (the pattern), one or more for IN, else none.
    """

    column: str
    data_type: pa.DataType
    comparison: Comparison
    values: tuple[Any, ...] = ()


def check_filters(filters: Sequence[FilterCondition], schema: pa.Schema) -> tuple[TypedFilter, ...]:
    """The conditions typed against the columns; BETWEEN becomes two of them.

    Raises:
        KallaError: INVALID_FILTER for an unknown column, a value that does not fit its column, a wrong
            number of values, or `like` on a column that is not text.
    """
    return tuple(typed for condition in filters for typed in _check(condition, schema))


def _check(condition: FilterCondition, schema: pa.Schema) -> Iterator[TypedFilter]:
    column, op = condition.column, condition.op
    positions: list[int] = schema.get_all_field_indices(column)
    if not positions:
        raise _invalid(
            column, f"There is no column {column!r} to filter on; {unknown_column(column, schema.names)}"
        )
    data_type = schema.field(positions[0]).type
    _check_count(condition)
    if op is FilterOp.BETWEEN:
        low, high = condition.values
        yield _compare(column, data_type, FilterOp.GTE, low)
        yield _compare(column, data_type, FilterOp.LTE, high)
    elif op is FilterOp.IN:
        placed = [_placed(column, data_type, value) for value in condition.values]
        members = tuple(value.value for value in placed if value.where == "on")
        yield TypedFilter(column, data_type, Comparison.IN if members else Comparison.NEVER, members)
    elif op is FilterOp.LIKE:
        if not is_text(data_type):
            raise _invalid(
                column, f"The operator like needs a text column, but {column!r} is {type_name(data_type)}."
            )
        pattern = _placed(column, data_type, condition.values[0])
        like_pattern(pattern.value.as_py(), column)
        yield TypedFilter(column, data_type, Comparison.LIKE, (pattern.value,))
    else:
        yield _compare(column, data_type, op, condition.values[0])


def _check_count(condition: FilterCondition) -> None:
    column, op, count = condition.column, condition.op, len(condition.values)
    if op is FilterOp.BETWEEN and count != 2:  # noqa: PLR2004 - a lower and an upper bound
        raise _invalid(
            column, f"The filter between on column {column!r} needs exactly two values, got {count}."
        )
    if op is FilterOp.IN and count == 0:
        raise _invalid(column, f"The filter in on column {column!r} needs at least one value.")
    if op not in (FilterOp.BETWEEN, FilterOp.IN) and count != 1:
        raise _invalid(column, f"The filter {op} on column {column!r} needs exactly one value, got {count}.")


def _placed(column: str, data_type: pa.DataType, value: FilterScalar) -> Placed:
    try:
        return place(value, data_type)
    except MisfitLiteralError as error:
        message = (
            f"The filter on column {column!r}, which is {type_name(data_type)}, cannot be used: {error}."
        )
        raise _invalid(column, message) from error


_OUTSIDE: Final[dict[str, frozenset[FilterOp]]] = {
    # The operators that every value passes where the literal lies below, or above, all values.
    "under": frozenset({FilterOp.NEQ, FilterOp.GT, FilterOp.GTE}),
    "over": frozenset({FilterOp.NEQ, FilterOp.LT, FilterOp.LTE}),
}
_BETWEEN_VALUES: Final[dict[FilterOp, Comparison]] = {
    # The literal lies just above `value` and is no value itself.
    FilterOp.GT: Comparison.GT,
    FilterOp.GTE: Comparison.GT,
    FilterOp.LT: Comparison.LTE,
    FilterOp.LTE: Comparison.LTE,
}


def _compare(column: str, data_type: pa.DataType, op: FilterOp, literal: FilterScalar) -> TypedFilter:
    placed = _placed(column, data_type, literal)
    if placed.where == "on":
        return TypedFilter(column, data_type, Comparison(op.value), (placed.value,))
    if placed.where == "above" and op in _BETWEEN_VALUES:
        return TypedFilter(column, data_type, _BETWEEN_VALUES[op], (placed.value,))
    passes = op is FilterOp.NEQ or op in _OUTSIDE.get(placed.where, ())
    return TypedFilter(column, data_type, Comparison.NOT_NULL if passes else Comparison.NEVER)


def like_pattern(pattern: str, column: str) -> str:
    r"""The regular expression of a LIKE pattern: % is any text, _ one character, \ takes the next literally.

    Raises:
        KallaError: INVALID_FILTER if the pattern ends in a lone backslash.
    """
    parts: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            escaped = next(letters, None)
            if escaped is None:
                raise _invalid(
                    column, f"The like pattern on column {column!r} ends in a lone backslash; double it."
                )
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return rf"\A(?s:{''.join(parts)})\z"


def apply_filters(table: DataFrame, filters: Sequence[TypedFilter]) -> DataFrame:
    """The rows of a DataFusion data frame that satisfy all filters."""
    return table.filter(*(predicate(typed) for typed in filters)) if filters else table


def predicate(typed: TypedFilter) -> Expr:
    """The DataFusion expression of a typed filter."""
    # A quoted name, or DataFusion would fold its case and split it at dots.
    column = Expr.column('"' + typed.column.replace('"', '""') + '"')
    literals = [datafusion.lit(value) for value in typed.values]
    match typed.comparison:
        case Comparison.NEVER:
            return datafusion.lit(value=False)
        case Comparison.NOT_NULL:
            return column.is_not_null()
        case Comparison.IN:
            return fn.in_list(column, literals)
        case Comparison.LIKE:
            return fn.regexp_like(column, datafusion.lit(like_pattern(typed.values[0].as_py(), typed.column)))
        case _:
            return _COMPARE[typed.comparison](column, literals[0])


_COMPARE: Final[dict[Comparison, Callable[[Expr, Expr], Expr]]] = {
    Comparison.EQ: operator.eq,
    Comparison.NEQ: operator.ne,
    Comparison.GT: operator.gt,
    Comparison.GTE: operator.ge,
    Comparison.LT: operator.lt,
    Comparison.LTE: operator.le,
}


def filter_batches(
    batches: Iterator[pa.RecordBatch], filters: Sequence[TypedFilter]
) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, batch by batch, that `apply_filters` keeps of the whole."""
    if not filters:
        yield from batches
        return
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(1))
    for batch in batches:
        kept = apply_filters(context.create_dataframe([[batch]]), filters).collect()
        for part in kept:
            if part.num_rows:
                yield part.cast(batch.schema) if part.schema != batch.schema else part


def _invalid(column: str, message: str) -> KallaError:
    return KallaError(Code.INVALID_FILTER, message, column=column)
