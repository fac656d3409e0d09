"""One JSON value of a document, exactly or with the reason why not."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

import pyarrow as pa

from kalla_runner.connectors.search.columns import Column, Kind
from kalla_runner.connectors.search.dates import SERVER_FORMAT
from kalla_runner.connectors.search.json_text import dumps
from kalla_runner.connectors.text_types import MisfitError, fit
from kalla_runner.connectors.type_names import type_name

_A_DAY: Final = 86_400 * 10**9
_PER_UNIT: Final = {"us": 1000, "ns": 1}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Numbers as the engines read them, also out of text."""
_MOST_DIGITS: Final = 400
"""Exponents beyond this lie outside every type; writing out their digits could fill the memory."""


class UnreadableValueError(Exception):
    """A value does not fit its column: its place among the values, and how a sentence says so."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(position, problem)
        self.position = position
        self.problem = problem


def one_by_one(values: Sequence[Any], column: Column) -> pa.Array:
    """The values of a column; raises UnreadableValueError for the first that does not fit."""
    read = _SINGLE[column.kind]
    found: list[Any] = []
    for position, value in enumerate(values):
        try:
            single = value if column.kind in (Kind.JSON, Kind.DECLARED_TEXT) else _scalar(value)
            found.append(None if single is None else read(single, column))
        except _BadValueError as error:
            raise UnreadableValueError(position, str(error)) from None
        except UnicodeEncodeError:
            raise UnreadableValueError(
                position, "holds half a surrogate pair, which is no character"
            ) from None
    return _built(found, column)


def _built(found: list[Any], column: Column) -> pa.Array:
    if column.kind is Kind.DATE:
        return pa.array(found, pa.int32() if pa.types.is_date(column.arrow) else pa.int64()).cast(
            column.arrow
        )
    return pa.array(found, column.arrow)


class _BadValueError(Exception):
    """Why one value does not fit: the end of the sentence "field x of document y"."""


def _scalar(value: Any) -> Any:
    """One value. To the engine an empty list is a missing value, and a list of one is that one."""
    if isinstance(value, list):
        several = cast("list[Any]", value)
        if len(several) > 1:
            raise _BadValueError(
                f"holds a list of {len(several)} values; declare the column as text to read lists as JSON"
            )
        return _scalar(several[0]) if several else None
    if isinstance(value, dict):
        raise _BadValueError("holds an object; declare the column as text to read it as JSON")
    return value


def _misfit(value: Any, column: Column) -> _BadValueError:
    shown = dumps(value) if not isinstance(value, str) else repr(str(value))
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."  # noqa: PLR2004 - what a sentence can carry
    return _BadValueError(f"holds {shown}, which is no {type_name(column.arrow)}")


def _text(value: Any, _: Column) -> str:
    """A scalar as the engine itself turns it into a term."""
    if isinstance(value, str):
        text = str(value)
        text.encode()
        return text
    return dumps(value)


def _declared_text(value: Any, _: Column) -> str:
    text = str(value) if isinstance(value, str) else dumps(value)
    text.encode()
    return text


def _json(value: Any, _: Column) -> str:
    text = dumps(value)
    text.encode()
    return text


def _number(value: Any, column: Column) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _misfit(value, column)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise _misfit(value, column)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _misfit(value, column) from None
    if number and abs(number.adjusted()) > _MOST_DIGITS:
        raise _misfit(value, column)
    return number


def _integer(value: Any, column: Column) -> int:
    number = _number(value, column)
    bits = column.arrow.bit_width - 1
    whole = int(number)
    if whole != number or not -(2**bits) <= whole < 2**bits:
        raise _misfit(value, column)
    return whole


def _decimal(value: Any, column: Column) -> Decimal:
    number = _number(value, column)
    arrow = cast("Any", column.arrow)
    sign, digits, exponent = number.as_tuple()
    shift = int(exponent) + int(arrow.scale)
    units = int("".join(map(str, digits)))
    whole, rest = divmod(units, 10**-shift) if shift < 0 else (units * 10**shift, 0)
    if rest or whole >= 10**arrow.precision:
        raise _misfit(value, column)
    return Decimal((sign, tuple(map(int, str(whole))), -arrow.scale))


def _float(value: Any, column: Column) -> float:
    number = float(_number(value, column))
    if number in (float("inf"), float("-inf")):
        raise _misfit(value, column)
    return number


def _boolean(value: Any, column: Column) -> bool:
    if isinstance(value, bool):
        return value
    # The empty text is false to both engines.
    known = {"true": True, "false": False, "": False}
    if isinstance(value, str) and value in known:
        return known[value]
    raise _misfit(value, column)


def _date(value: Any, column: Column) -> int:
    """In units of the column's type."""
    dates = column.dates or SERVER_FORMAT
    text = str(value) if isinstance(value, str) else dumps(value)
    nanoseconds = None if isinstance(value, bool) else dates.nanoseconds(text)
    if nanoseconds is None:
        raise _BadValueError(f"holds {text[:80]!r}, which is not written as its format {dates.text} says")
    arrow = cast("Any", column.arrow)
    unit = _A_DAY if pa.types.is_date(arrow) else _PER_UNIT[arrow.unit]
    whole, rest = divmod(nanoseconds, unit)
    if rest:
        raise _BadValueError(f"holds {text[:80]!r}, which is finer than a {type_name(arrow)}")
    if unit == 1 and not -(2**63) <= whole < 2**63:
        raise _misfit(value, column)
    return whole


def _binary(value: Any, _: Column) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise _BadValueError("holds what is no base64")


def _typed_text(value: Any, column: Column) -> Any:
    try:
        return fit(pa.array([_text(value, column)]), column.arrow)[0]
    except MisfitError:
        raise _misfit(value, column) from None


_SINGLE: Final[dict[Kind, Callable[[Any, Column], Any]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.BINARY: _binary,
    Kind.JSON: _json,
    Kind.DECLARED_TEXT: _declared_text,
    Kind.TYPED_TEXT: _typed_text,
}
