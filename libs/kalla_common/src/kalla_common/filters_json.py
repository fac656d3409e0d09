"""JSON with exact numbers, and filters in the form the API reference gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn, cast

from kalla_common.domain import FilterCondition, FilterOp, FilterScalar
from kalla_common.errors import Code, KallaError


def load_json(body: bytes | str) -> Any:
    """Parse JSON; numbers with a fraction or exponent become Decimal, never float.

    Raises:
        KallaError: INVALID_REQUEST with the position of the first error.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise KallaError(
            Code.INVALID_REQUEST,
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
        ) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise KallaError(Code.INVALID_REQUEST, f"The body is not valid JSON: {error}.") from error


def refuse_unstorable_texts(value: Any) -> None:
    """Refuse a JSON value with a text that cannot be stored or sent.

    Raises:
        KallaError: INVALID_REQUEST.
    """
    # JSON may write half a character (an escape \ud800 alone), which neither PostgreSQL nor gRPC holds, and
    # the character NUL, which PostgreSQL does not.
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise KallaError(
                    Code.INVALID_REQUEST, "A text in the body contains the character NUL; remove it."
                )
            try:
                item.encode()
            except UnicodeEncodeError:
                raise KallaError(
                    Code.INVALID_REQUEST, "A text in the body contains half a surrogate pair; correct it."
                ) from None
        elif isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _refuse_constant(text: str) -> NoReturn:
    msg = f"{text} is no JSON value"
    raise ValueError(msg)


def parse_conditions(conditions: Iterable[object]) -> tuple[FilterCondition, ...]:
    """Turn `[{"column", "op", "value"}, ...]` into filters.

    Only the shape is judged here; whether column and value fit is known where the source is.

    Raises:
        KallaError: INVALID_FILTER.
    """
    return tuple(_condition(number, item) for number, item in enumerate(conditions, start=1))


def condition_to_json(condition: FilterCondition) -> dict[str, Any]:
    """The reverse of `parse_conditions` for one filter; Decimals stay Decimals."""
    many = condition.op in (FilterOp.BETWEEN, FilterOp.IN)
    value: Any = list(condition.values) if many else condition.values[0]
    return {"column": condition.column, "op": condition.op.value, "value": value}


def _condition(number: int, item: object) -> FilterCondition:
    if not isinstance(item, Mapping):
        _refuse(number, "must be an object with column, op and value")
    condition = cast("Mapping[str, object]", item)
    column = condition.get("column")
    if not isinstance(column, str) or not column:
        _refuse(number, "needs a column name")
    try:
        op = FilterOp(str(condition.get("op")))
    except ValueError:
        known = ", ".join(FilterOp)
        _refuse(number, f"has the unknown operator {condition.get('op')!r}; known are {known}")
    if "value" not in condition:
        _refuse(number, "needs a value")
    return FilterCondition(column, op, _values(number, op, condition["value"]))


def _values(number: int, op: FilterOp, value: object) -> tuple[FilterScalar, ...]:
    if op not in (FilterOp.BETWEEN, FilterOp.IN):
        return (_scalar(number, value),)
    if not isinstance(value, list):
        _refuse(number, f"needs an array as the value of {op.value}")
    values = tuple(_scalar(number, entry) for entry in cast("list[object]", value))
    if op is FilterOp.BETWEEN and len(values) != 2:  # noqa: PLR2004
        _refuse(number, f"needs exactly two values for between, not {len(values)}")
    if not values:
        _refuse(number, "needs at least one value for in")
    return values


def _scalar(number: int, value: object) -> FilterScalar:
    if isinstance(value, float):
        # Only programs that bypass load_json get here; the shortest form is what they wrote.
        return Decimal(repr(value))
    if not isinstance(value, str | int | Decimal):
        shown = json.dumps(value, default=str)[:80]
        _refuse(number, f"has a value that is neither text nor number: {shown}")
    return value


def _refuse(number: int, problem: str) -> NoReturn:
    raise KallaError(Code.INVALID_FILTER, f"Filter condition {number} {problem}.")
