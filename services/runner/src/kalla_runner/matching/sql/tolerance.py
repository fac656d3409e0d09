"""tolerance_match(a, b, threshold) as native expressions: abs(a - b) <= threshold, exactly.

Exact numbers are subtracted as they are where the difference fits their type, else in a wider
one. Floats stand for their shortest decimal form: nearly all pairs are decided by float
arithmetic with a margin that no rounding exceeds, and only those within the margin by digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.dialect import expression, literal_text, render
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.sql.marks import shown
from kalla_runner.matching.sql.scope import Resolution, own_parts
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Kind, Typer, common_decimal, digits, kind

NEGATIVE_THRESHOLD: Final = "the threshold of tolerance_match is negative or not a number"
"""Part of the engine's error when a threshold turns out so while the query runs."""
INEXACT_FLOAT: Final = "tolerance_match cannot take this float exactly"
"""Part of the engine's error for a float that needs more than 38 digits on a side of the point."""

_FLOAT_SCALE: Final = 38
_LONGEST: Final = 60_000
"""Characters of a condition; an operand comes several times in it, so that calls within calls multiply."""
_EXACT: Final = Context(prec=400)
_SAFE_INT: Final = 2**62
_ROOM_128: Final = 7 * 10**37
"""What may be added to a number of 38 digits without leaving 128 bits."""


@dataclass(frozen=True, slots=True)
class Operand:
    """An argument: its SQL, its type, and its value if it is a literal."""

    sql: str
    type: pa.DataType
    literal: Decimal | None = None

    @property
    def is_float(self) -> bool:
        """Whether it is a binary fraction."""
        return pa.types.is_floating(self.type)


@dataclass(frozen=True, slots=True)
class ToleranceCall:
    """A call as it was written; left in the meta of its replacement, for the band rewrite."""

    a: exp.Expr
    b: exp.Expr
    types: tuple[pa.DataType, pa.DataType]
    threshold: Decimal | None


def rewrite_tolerance(found: Resolution, typer: Typer) -> None:
    """Replace all calls in the query, in place; note a problem for each that has no exact meaning."""
    for scope in found.scopes:
        calls = [n for n in own_parts(scope) if isinstance(n, exp.Anonymous) and n.name.lower() == TOLERANCE]
        # All types first: a rewritten call has no resolved names any more for the one around it.
        answers = iter(typer.types([argument for call in calls for argument in call.expressions], found))
        typed = [(call, [next(answers) for _ in call.expressions]) for call in calls]
        for call, types in reversed(typed):
            if len(types) != 3:  # noqa: PLR2004
                found.problem(Code.INVALID_SQL, "tolerance_match takes (a, b, threshold).", call)
                continue
            known = [t for t in types if t is not None]
            if len(known) == len(types):
                _rewrite(call, known, found, typer)


def _rewrite(call: exp.Anonymous, types: list[pa.DataType], found: Resolution, typer: Typer) -> None:
    for argument, data_type in zip(call.expressions, types, strict=True):
        if kind(data_type) not in (Kind.NUMBER, Kind.NULL):
            found.problem(Code.TYPE_MISMATCH, _not_a_number(argument, data_type, typer), argument)
            return
    texts = [literal_text(argument) for argument in call.expressions]
    literals = [None if text is None else Decimal(text) for text in texts]
    if literals[2] is not None and literals[2] < 0:
        message = f"The threshold of tolerance_match is negative: {texts[2]}."
        found.problem(Code.INVALID_SQL, message, call.expressions[2])
        return
    a, b, t = (
        Operand(f"({render(argument)})", data_type, literal)
        for argument, data_type, literal in zip(call.expressions, types, literals, strict=True)
    )
    sql = native(a, b, t)
    if sql is None:
        found.problem(
            Code.TYPE_MISMATCH,
            f"{shown(call.expressions[0])} and {shown(call.expressions[1])} differ in more than {MAX_256} "
            "digits: write CAST(... AS DECIMAL(38,18)) for both.",
            call,
        )
        return
    if len(sql) > _LONGEST:
        found.problem(
            Code.INVALID_SQL,
            "tolerance_match compares expressions that are too long, or hold tolerance_match themselves: "
            "compute them in a WITH and compare its columns.",
            call,
        )
        return
    native_call = exp.Paren(this=expression(sql))
    original = ToleranceCall(call.expressions[0], call.expressions[1], (a.type, b.type), t.literal)
    native_call.meta["tolerance"] = original
    call.replace(native_call)


def _not_a_number(argument: exp.Expr, data_type: pa.DataType, typer: Typer) -> str:
    name = shown(argument)
    if kind(data_type) in (Kind.DATE, Kind.TIMESTAMP, Kind.ZONED):
        return (
            f"tolerance_match compares numbers and {name} is {typer.name(data_type)}: write for example "
            f"{name} BETWEEN other - INTERVAL '3' DAY AND other + INTERVAL '3' DAY."
        )
    return (
        f"tolerance_match compares numbers and {name} is {typer.name(data_type)}: "
        f"write CAST({name} AS DECIMAL(18,2)), with the digits it needs."
    )


def native(a: Operand, b: Operand, t: Operand) -> str | None:
    """The condition in native SQL; None if no exact type is wide enough.

    A threshold that is no literal and turns out negative makes the query fail with
    NEGATIVE_THRESHOLD in the engine's message.
    """
    if any(kind(o.type) is Kind.NULL for o in (a, b, t)):
        return "CAST(NULL AS BOOLEAN)"
    condition = _with_floats(a, b, t) if any(o.is_float for o in (a, b, t)) else _exact(a, b, t)
    if condition is None or t.literal is not None:
        return condition
    bound = f" OR NOT {t.sql} < {_INFINITY}" if t.is_float else ""
    failing = f"CASE WHEN {t.sql} < {_zero(t)}{bound} THEN '{NEGATIVE_THRESHOLD}' ELSE '0' END"
    return f"CAST({failing} AS BIGINT) = 0 AND {condition}"


def _zero(operand: Operand) -> str:
    return "CAST('0' AS DOUBLE)" if operand.is_float else "0"


def _digits(operand: Operand) -> tuple[int, int] | None:
    if operand.literal is None:
        return digits(operand.type)
    sign_free = format(abs(operand.literal), "f")
    whole, _, fraction = sign_free.partition(".")
    return len(whole.lstrip("0")), len(fraction)


def _exact(a: Operand, b: Operand, t: Operand) -> str | None:
    values = common_decimal([a.type, b.type])
    if values is None:
        return None
    whole, scale = values
    if t.literal is not None:
        # The difference has no finer digits than `scale`: what is finer in the threshold decides nothing.
        step = Decimal(1).scaleb(-scale)
        t = Operand(t.sql, t.type, t.literal.quantize(step, ROUND_DOWN, _EXACT))
        by_integers = _integers(a, b, int(t.literal or 0)) if scale == 0 else None
        if by_integers is not None:
            return by_integers
    threshold = _digits(t)
    if threshold is None:
        return None
    whole, scale = max(whole, threshold[0]), max(scale, threshold[1])
    if whole + scale + 1 <= MAX_128:
        return _difference(a, b, t, whole + scale + 1, scale)
    if whole + scale <= MAX_128:
        return _guarded(a, b, t, scale)
    if whole + scale <= MAX_256:
        return _difference(a, b, t, MAX_256, scale)
    return None


def _integers(a: Operand, b: Operand, threshold: int) -> str | None:
    types = (a.type, b.type)
    signed = all(pa.types.is_integer(t) and not pa.types.is_uint64(t) for t in types)
    if not signed or threshold >= _SAFE_INT:
        return None
    x, y = _as_type(a, "BIGINT", pa.int64()), _as_type(b, "BIGINT", pa.int64())
    near = f"{x} - {y} BETWEEN -{threshold} AND {threshold}"
    if all(t.bit_width <= 32 for t in types):  # noqa: PLR2004
        return near
    # Where a difference is more than 64 bits hold, it wraps around and its sign is the wrong one.
    return f"({near} AND ({x} >= {y}) = ({x} - {y} >= 0))"


def _as_type(operand: Operand, name: str, data_type: pa.DataType) -> str:
    return (
        operand.sql
        if operand.type == data_type and operand.literal is None
        else f"CAST({operand.sql} AS {name})"
    )


def _decimal(operand: Operand, precision: int, scale: int) -> str:
    if operand.literal is not None:
        # Through text: a literal may be wider than the type that the engine gives it.
        return f"CAST('{operand.literal:f}' AS DECIMAL({precision},{scale}))"
    return f"CAST({operand.sql} AS DECIMAL({precision},{scale}))"


def _negated(operand: Operand, precision: int, scale: int) -> str:
    if operand.literal is not None:
        return f"CAST('{-operand.literal:f}' AS DECIMAL({precision},{scale}))"
    return f"(-{_decimal(operand, precision, scale)})"


def _difference(a: Operand, b: Operand, t: Operand, precision: int, scale: int) -> str:
    plain = precision <= MAX_128 and pa.types.is_decimal(a.type) and pa.types.is_decimal(b.type)
    free = plain and a.literal is None and b.literal is None
    # 256 bits hold the sum of two numbers of 76 digits; 128 bits need a digit to spare.
    inner = precision - 1 if precision <= MAX_128 else precision
    x = a.sql if free else _decimal(a, inner, scale)
    y = b.sql if free else _decimal(b, inner, scale)
    low, high = _negated(t, precision, scale), _decimal(t, precision, scale)
    return f"{x} - {y} BETWEEN {low} AND {high}"


def _guarded(a: Operand, b: Operand, t: Operand, scale: int) -> str:
    x, y = _decimal(a, MAX_128, scale), _decimal(b, MAX_128, scale)
    low, high = _negated(t, MAX_128, scale), _decimal(t, MAX_128, scale)
    if t.literal is not None and t.literal.scaleb(scale, _EXACT) < _ROOM_128:
        return f"{x} BETWEEN {y} - {high} AND {y} + {high}"
    zero = f"CAST('0' AS DECIMAL({MAX_128},{scale}))"
    # Numbers of unlike sign may be further apart than 38 digits: |a| + |b| <= t without the sum.
    return (
        f"CASE WHEN ({x} >= {zero}) = ({y} >= {zero}) THEN {x} - {y} BETWEEN {low} AND {high} "
        f"WHEN ({x} >= {zero}) <> ({y} >= {zero}) "
        f"THEN abs({x}) <= {high} AND abs({y}) <= {high} - abs({x}) END"
    )


_INFINITY: Final = "CAST('Infinity' AS DOUBLE)"


def _with_floats(a: Operand, b: Operand, t: Operand) -> str | None:
    if any(not o.is_float and not _fits_exact(o) for o in (a, b, t)):
        return None
    x, y, limit = _double(a), _double(b), _double(t)
    # Each conversion and the difference err by less than one part in 2**49 of the largest number.
    narrow = any(pa.types.is_float32(o.type) or pa.types.is_float16(o.type) for o in (a, b, t))
    half = any(pa.types.is_float16(o.type) for o in (a, b, t))
    part = 2.0 ** (-8 if half else -21 if narrow else -49)
    margin = f"greatest(abs({x}), abs({y}), {limit}) * CAST('{part!r}' AS DOUBLE)"
    apart = f"abs({x} - {y})"
    finite = " AND ".join(f"abs({_double(o)}) < {_INFINITY}" for o in (a, b) if o.is_float) or "true"
    # The engine may evaluate every branch for every row, so what needs no digits gets none.
    near = f"{finite} AND abs({apart} - {limit}) <= {margin}"
    low, high, value = (_exact_of(o, near) for o in (a, b, t))
    by_digits = f"{low} - {high} BETWEEN -{value} AND {value}"
    missing = " OR ".join(f"{o.sql} IS NULL" for o in (a, b, t) if o.literal is None) or "false"
    return (
        f"CASE WHEN {missing} THEN CAST(NULL AS BOOLEAN) WHEN NOT ({finite}) THEN false "
        f"WHEN {near} THEN {by_digits} ELSE {apart} <= {limit} END"
    )


def _fits_exact(operand: Operand) -> bool:
    here = _digits(operand)
    return here is not None and here[0] <= MAX_256 - _FLOAT_SCALE and here[1] <= _FLOAT_SCALE


def _double(operand: Operand) -> str:
    if operand.literal is not None:
        return f"CAST('{operand.literal:f}' AS DOUBLE)"
    return _as_type(operand, "DOUBLE", pa.float64())


def _exact_of(operand: Operand, needed: str) -> str:
    """A number with 38 digits on either side of the point; a float from the digits of its text.

    Where the condition `needed` does not hold, a float comes out as 0.
    """
    if not operand.is_float:
        return _decimal(operand, MAX_256, _FLOAT_SCALE)
    text = f"CAST({operand.sql} AS VARCHAR)"
    shift = f"CAST(nullif(split_part({text}, 'e', 2), '') AS BIGINT)"
    figures = f"replace(replace(split_part({text}, 'e', 1), '-', ''), '.', '')"
    sign = f"CASE WHEN starts_with({text}, '-') THEN '-' ELSE '' END"
    # Also where the branch is not taken the engine may ask for so many zeros: never for less than none.
    small = f"concat({sign}, '0.', repeat('0', greatest(-{shift} - 1, 0)), {figures})"
    large = f"concat({sign}, rpad({figures}, greatest({shift} + 1, 0), '0'))"
    whole = MAX_256 - _FLOAT_SCALE
    plain = (
        f"CASE WHEN ({needed}) IS NOT TRUE THEN '0' WHEN strpos({text}, 'e') = 0 THEN {text} "
        f"WHEN {shift} >= {whole} OR length({figures}) - {shift} - 1 > {_FLOAT_SCALE} "
        f"THEN concat('{INEXACT_FLOAT}: ', {text}) "
        f"WHEN {shift} < 0 THEN {small} ELSE {large} END"
    )
    return f"CAST({plain} AS DECIMAL({MAX_256},{_FLOAT_SCALE}))"
