"""Filter literals placed on the grid of values that a column's type can hold.

A literal may lie between two values of the type (1.005 for a decimal(10,2)), or outside all of
them. Comparing with the nearest value below, and knowing whether it is the literal itself, gives
the exact answer for every operator, so nothing is ever rounded or compared as a float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from kalla_common.domain import FilterScalar

from kalla_runner.connectors.type_names import is_text, type_name


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a literal lies among the values of a type.

    Attributes:
        where: exactly `on` a value, `above` the value (and below the next one), or outside: `under`
            every value of the type, `over` every value.
        value: that value as a scalar of the type; None where outside.
    """

    where: Literal["on", "above", "under", "over"]
    value: Any = None


class MisfitLiteralError(Exception):
    """A literal is of another kind than its column; the text ends the sentence "column x is ...: "."""


_UNITS: Final[dict[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH: Final = date(1970, 1, 1).toordinal()
_TIME: Final = r"(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?"
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})", re.ASCII)
_CLOCK: Final = re.compile(_TIME, re.ASCII)
_STAMP: Final = re.compile(
    rf"(\d{{4}}-\d{{2}}-\d{{2}})(?:[T ]{_TIME}\s?(Z|z|[+-]\d{{2}}(?::?\d{{2}})?)?)?", re.ASCII
)
_SECONDS_A_DAY: Final = 86_400
_HUGE: Final = 400
"""Exponents beyond this lie outside every type; computing their digits could fill the memory."""


def place(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    """Where `literal` lies among the values of `data_type`.

    Raises:
        MisfitLiteralError: it is of another kind (text for a number, no zone for an instant, ...).
    """
    types = pa.types
    if types.is_dictionary(data_type):
        return place(literal, data_type.value_type)
    for test, placing in _PLACINGS:
        if test(data_type):
            return placing(literal, data_type)
    if is_text(data_type):
        return _text(literal, data_type)
    raise MisfitLiteralError(f"columns of type {type_name(data_type)} cannot be filtered")


def _text(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    if not isinstance(literal, str):
        raise MisfitLiteralError(f"write {str(literal).lower()} in quotes to compare it as text")
    return Placed("on", pa.scalar(literal, pa.string() if data_type != pa.large_string() else data_type))


def _boolean(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    if not isinstance(literal, bool):
        what = repr(literal[:80]) if isinstance(literal, str) else f"{literal!s:.80}"
        raise MisfitLiteralError(f"{what} is no truth value; write true or false without quotes")
    return Placed("on", pa.scalar(literal, data_type))


def _number(literal: FilterScalar) -> Decimal:
    if isinstance(literal, bool) or not isinstance(literal, int | Decimal):
        raise MisfitLiteralError(
            f"{str(literal).lower()[:80]!r} is not a number; write numbers without quotes"
        )
    number = Decimal(literal)
    if not number.is_finite():
        raise MisfitLiteralError(f"{literal} is not a finite number")
    return number


def _floor(number: Decimal, scale: int) -> tuple[int, bool]:
    """The largest integer n with n / 10**scale <= number, and whether they are equal."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - the number is finite
    shift = exponent + scale
    whole = int(Decimal((sign, digits, 0)))
    if shift >= 0:
        return whole * 10**shift, True
    if -shift > len(digits):
        return (-1 if whole < 0 else 0), whole == 0
    low, rest = divmod(whole, 10**-shift)
    return low, rest == 0


def _on_grid(number: Decimal, scale: int, least: int, most: int, scalar: Callable[[int], Any]) -> Placed:
    if number and number.adjusted() > _HUGE:
        return Placed("over" if number > 0 else "under")
    low, exact = _floor(number, scale)
    if low > most or (low == most and not exact):
        return Placed("over")
    if low < least:
        return Placed("under")
    return Placed("on" if exact else "above", scalar(low))


def _integer(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    signed = pa.types.is_signed_integer(data_type)
    width = data_type.bit_width
    least, most = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)

    def scalar(low: int) -> Any:
        return pa.scalar(low, data_type)

    return _on_grid(_number(literal), 0, least, most, scalar)


def _decimal(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    most = 10**data_type.precision - 1
    scale = data_type.scale

    def scalar(low: int) -> Any:
        digits = tuple(map(int, str(abs(low))))
        return pa.scalar(Decimal((int(low < 0), digits, -scale)), data_type)

    return _on_grid(_number(literal), scale, -most, most, scalar)


def _floating(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    """A float column's values count as their shortest decimal form: 0.1 is 0.1."""
    number = _number(literal)
    kind = {16: np.float16, 32: np.float32, 64: np.float64}[data_type.bit_width]
    with np.errstate(over="ignore"):
        nearest = kind(str(number))
    if math.isinf(nearest):
        top = np.finfo(kind).max
        return Placed("above", pa.scalar(top if number > 0 else kind("-inf"), data_type))
    # Stepping behind the largest float ends at infinity, and below the smallest at 0: both are meant.
    with np.errstate(over="ignore", under="ignore"):
        while _shortest(nearest) > number:
            nearest = np.nextafter(nearest, kind("-inf"))
        while _shortest(following := np.nextafter(nearest, kind("inf"))) <= number:
            nearest = following
    return Placed("on" if _shortest(nearest) == number else "above", pa.scalar(nearest, data_type))


def _shortest(value: np.floating[Any]) -> Decimal:
    return Decimal(np.format_float_scientific(value, unique=True, trim="-"))


def _wanted(literal: FilterScalar, pattern: re.Pattern[str], example: str) -> re.Match[str]:
    found = pattern.fullmatch(literal) if isinstance(literal, str) else None
    if found is None:
        raise MisfitLiteralError(f'{str(literal)[:80]!r} is not written like "{example}"')
    return found


def _day(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError as error:
        raise MisfitLiteralError(f"{text!r} is not a day of the calendar") from error


def _date(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    day = _day(_wanted(literal, _DATE, "2026-01-31")[1])
    if pa.types.is_date64(data_type):
        return Placed("on", pa.scalar(day * _SECONDS_A_DAY * 1000, pa.int64()).cast(data_type))
    return Placed("on", pa.scalar(day, pa.int32()).cast(data_type))


def _clock(hours: str, minutes: str, seconds: str | None, fraction: str | None, text: str) -> int:
    """Nanoseconds since midnight."""
    hour, minute, second = int(hours), int(minutes), int(seconds or 0)
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - the clock's own limits
        raise MisfitLiteralError(f"{text!r} is not a time of day")
    return ((hour * 60 + minute) * 60 + second) * 10**9 + int((fraction or "").ljust(9, "0"))


def _ticks(nanoseconds: int, data_type: pa.DataType) -> Placed:
    width = data_type.bit_width
    low, rest = divmod(nanoseconds, _UNITS[data_type.unit])
    if low >= 2 ** (width - 1):
        return Placed("over")
    if low < -(2 ** (width - 1)):
        return Placed("under")
    storage = pa.int64() if width == 64 else pa.int32()  # noqa: PLR2004 - time32 or one of the 64-bit types
    return Placed("above" if rest else "on", pa.scalar(low, storage).cast(data_type))


def _time(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    found = _wanted(literal, _CLOCK, "23:59:59")
    return _ticks(_clock(found[1], found[2], found[3], found[4], found[0]), data_type)


def _timestamp(literal: FilterScalar, data_type: pa.DataType) -> Placed:
    zoned = data_type.tz is not None
    example = "2026-01-31T23:59:59Z" if zoned else "2026-01-31T23:59:59"
    found = _wanted(literal, _STAMP, example)
    zone = found[6]
    if zoned and zone is None:
        raise MisfitLiteralError(f'{found[0]!r} names no time zone; write it like "{example}"')
    if not zoned and zone is not None:
        raise MisfitLiteralError(
            f'{found[0]!r} names a time zone, but the column has none; write "{example}"'
        )
    clock = _clock(found[2], found[3], found[4], found[5], found[0]) if found[2] else 0
    offset = 0
    if zone is not None and zone not in "Zz":
        hours, minutes = zone[1:3], zone[3:].lstrip(":") or "00"
        offset = _clock(hours, minutes, None, None, found[0]) * (-1 if zone[0] == "-" else 1)
    return _ticks(_day(found[1]) * _SECONDS_A_DAY * 10**9 + clock - offset, data_type)


_PLACINGS: Final[
    tuple[tuple[Callable[[pa.DataType], bool], Callable[[FilterScalar, pa.DataType], Placed]], ...]
] = (
    (pa.types.is_boolean, _boolean),
    (pa.types.is_integer, _integer),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_floating, _floating),
    (pa.types.is_date, _date),
    (pa.types.is_time, _time),
    (pa.types.is_timestamp, _timestamp),
)
