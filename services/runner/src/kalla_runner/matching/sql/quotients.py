"""Division: a quotient of exact numbers has at least 16 digits after the point, rounded half away from zero.

More where an operand has more. It has 38 digits in all, so far as the 16 leave room, and one that needs more
is an error; so is division by zero. Averages follow the same rule.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.dialect import literal_text, wrap
from kalla_runner.matching.sql.marks import WRAPPER, shown
from kalla_runner.matching.sql.scope import Resolution
from kalla_runner.matching.sql.types import MAX_128, MAX_256, digits

DIGITS: Final = 16
"""Digits after the point that every quotient has."""
_ADDED: Final = 4
"""Digits after the point that the engine's division and average add to those of their operand."""
_ROWS: Final = 10
"""Digits that the sum in an average may need beyond those of its values."""
AROUND_CALLS: Final = (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls)


def divide(node: exp.Div, left: pa.DataType, right: pa.DataType, found: Resolution) -> None:
    """Rewrite a quotient of exact numbers in place; one with a float stays as it is."""
    one, two = _digits(node.left, left), _digits(node.right, right)
    if one is None or two is None:
        return
    scale = max(DIGITS, one[1], two[1])
    # One digit more than asked for: the engine cuts off, and the cast around it rounds.
    inner = max(scale + 1, one[1] + _ADDED)
    dividend = inner - _ADDED
    most = MAX_128 if one[0] + inner + two[1] <= MAX_128 and sum(two) <= MAX_128 else MAX_256
    if one[0] + dividend > most:
        found.problem(
            Code.TYPE_MISMATCH,
            f"{shown(node)} needs more digits than a type holds: write CAST(... AS DECIMAL(38,10)).",
            node,
        )
        return
    _wrap(node.left, MAX_256 if most == MAX_256 else max(one[0] + dividend, 1), dividend)
    _wrap(node.right, MAX_256 if most == MAX_256 else max(sum(two), 1), two[1])
    _wrap(node, _precision(one[0] + two[1], scale), scale)


def average(call: exp.Anonymous, value: exp.Expr, data_type: pa.DataType, found: Resolution) -> None:
    """Rewrite an average of exact numbers in place."""
    here = _digits(value, data_type)
    if here is None:
        return
    scale = max(DIGITS, here[1])
    inner = max(scale + 1 - _ADDED, here[1])
    if here[0] + inner > MAX_256 - _ROWS:
        found.problem(
            Code.TYPE_MISMATCH,
            f"An average of numbers of {sum(here)} digits fits no type: write CAST(... AS DECIMAL(38,10)) "
            "in it.",
            call,
        )
        return
    narrow = here[0] + inner <= MAX_128 - _ROWS
    _wrap(value, max(here[0] + inner, 1) if narrow else MAX_256 - _ROWS, inner)
    _wrap(around_call(call), _precision(here[0], scale), scale)


def middle(call: exp.Anonymous, value: exp.Expr, data_type: pa.DataType, found: Resolution) -> None:
    """Rewrite a median of exact numbers in place: half of the last digit takes one digit more."""
    here = _digits(value, data_type)
    if here is None:
        return
    whole, scale = here[0] + 1, here[1] + 1
    if whole + scale > MAX_256:
        found.problem(
            Code.TYPE_MISMATCH,
            f"A median of numbers of {sum(here)} digits fits no type: write CAST(... AS DECIMAL(38,10)) "
            "in it.",
            call,
        )
        return
    _wrap(value, whole + scale, scale)


def _precision(whole: int, scale: int) -> int:
    if whole + scale <= MAX_128 or scale <= MAX_128 - DIGITS:
        return max(min(whole + scale, MAX_128), scale + 1)
    return min(whole + scale, MAX_256)


def _digits(node: exp.Expr, data_type: pa.DataType) -> tuple[int, int] | None:
    """Whole digits and scale; of a literal its own."""
    literal = literal_text(node)
    if literal is None:
        return digits(data_type)
    whole, _, fraction = literal.removeprefix("-").partition(".")
    return len(whole.lstrip("0")), len(fraction)


def around_call(call: exp.Expr) -> exp.Expr:
    """A call with its FILTER and OVER."""
    while isinstance(call.parent, AROUND_CALLS) and call.parent.this is call:
        call = call.parent
    return call


def _wrap(node: exp.Expr, precision: int, scale: int) -> None:
    wrap(node, f"CAST({{}} AS DECIMAL({precision},{scale}))").meta[WRAPPER] = True
