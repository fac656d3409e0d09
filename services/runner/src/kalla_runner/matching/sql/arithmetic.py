"""Arithmetic that gives the exact result or an error, where the engine's own wraps around or forgets.

Left alone, `200 * 200` over 16-bit columns is -25536, and the largest 64-bit integer plus one is the
smallest; sums of long decimals come out negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.dialect import literal_text, wrap
from kalla_runner.matching.sql.marks import WRAPPER
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Typer, common_decimal, digits

PLAIN: Final = "plain"
"""Meta of a rewritten operation: what was written, with its names still resolved."""

_AROUND_CALLS: Final = (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls)
_OPERATIONS: Final = (exp.Add, exp.Sub, exp.Mul, exp.Mod)
_SUMS: Final = ("sum", "avg", "mean")
_WHOLE: Final = 18
"""Digits before the point that a product of 38 digits must have room for."""
_ROWS: Final = 10
"""Digits that a sum may need beyond those of its summands: of up to ten thousand million rows."""


def make_arithmetic_exact(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Widen sums, differences and products that may overflow in one SELECT, and keep remainders, in place."""
    parts = list(own_parts(scope))
    _widen_sums([n for n in parts if isinstance(n, exp.Anonymous) and n.name.lower() in _SUMS], found, typer)
    _widen_signs([n for n in parts if isinstance(n, exp.Neg)], found, typer)
    for case in reversed([n for n in parts if isinstance(n, exp.Case)]):
        _widen_results(case, found, typer)
    nodes = [node for node in parts if isinstance(node, _OPERATIONS)]
    operands = [operand for node in nodes for operand in (node.left, node.right)]
    # What has no type for the engine is reported by those who need it.
    types = iter(typer.types(operands, found, quiet=True))
    typed = [(node, next(types), next(types)) for node in nodes]
    for node, left, right in reversed(typed):
        if left is None or right is None:
            continue
        integers = pa.types.is_integer(left) and pa.types.is_integer(right)
        if isinstance(node, exp.Mod):
            if not integers:
                # The engine takes the remainder of 1 for 0, also of 2.5, where the column has no NULLs.
                wrap(node.left, "nullif({}, NULL)")
        elif integers:
            _widen(node, left, right, found)
        elif isinstance(node, exp.Mul):
            _widen_product(node, left, right)


def _widen_sums(calls: Sequence[exp.Anonymous], found: Resolution, typer: Typer) -> None:
    summands = [_summand(call) for call in calls]
    for call, summand, data_type in zip(
        calls, summands, typer.types(summands, found, quiet=True), strict=True
    ):
        wider = _sum_types(call, data_type, found)
        if wider is None:
            continue
        plain = found.copy(call)
        wrap(summand, f"CAST({{}} AS {wider[0]})").meta[WRAPPER] = True
        whole: exp.Expr = call
        # FILTER and OVER belong to the call: the result is narrowed around them.
        while isinstance(whole.parent, _AROUND_CALLS) and whole.parent.this is whole:
            whole = whole.parent
        narrowed = wrap(whole, f"CAST({{}} AS {wider[1]})")
        narrowed.meta[WRAPPER] = True
        if whole is call:
            narrowed.meta[PLAIN] = plain


def _sum_types(
    call: exp.Anonymous, data_type: pa.DataType | None, found: Resolution
) -> tuple[str, str] | None:
    """The types to add up in and to give the result in, where the engine's own addition may wrap around."""
    sums = call.name.lower() == "sum"
    if data_type is None:
        return None
    if pa.types.is_integer(data_type):
        whole = "BIGINT UNSIGNED" if pa.types.is_unsigned_integer(data_type) else "BIGINT"
        return ("DECIMAL(38,0)", whole) if sums else None
    if not pa.types.is_decimal(data_type):
        return None
    if data_type.precision > MAX_256 - _ROWS:
        found.problem(
            Code.TYPE_MISMATCH,
            f"A sum of numbers of {data_type.precision} digits may not fit into any type: write CAST(... AS "
            f"DECIMAL({MAX_256 - _ROWS},{min(data_type.scale, MAX_256 - _ROWS)})) in it.",
            call,
        )
        return None
    if not MAX_128 - _ROWS < data_type.precision <= MAX_128:
        return None
    scale = data_type.scale if sums else min(data_type.scale + 4, MAX_128)
    return f"DECIMAL({MAX_256 - _ROWS},{data_type.scale})", f"DECIMAL({MAX_128},{scale})"


def _widen_results(case: exp.Case, found: Resolution, typer: Typer) -> None:
    """Give the results of CASE the type that holds them all: the engine's may hold only one of them."""
    default = case.args.get("default")
    results = [*(branch.args["true"] for branch in case.args["ifs"]), *([default] if default else [])]
    types = typer.types(results, found, quiet=True)
    pairs = [(r, t) for r, t in zip(results, types, strict=True) if t is None or not pa.types.is_null(t)]
    parts = [_digits(result, data_type) for result, data_type in pairs]
    exact = [part for part in parts if part is not None]
    if len(exact) < len(parts) or not any(t is not None and pa.types.is_decimal(t) for _, t in pairs):
        return
    whole, scale = max(w for w, _ in exact), max(s for _, s in exact)
    named = {t for result, t in pairs if literal_text(result) is None}
    if whole + scale > MAX_128 or (len(named) == 1 and common_decimal([*named]) == (whole, scale)):
        return
    for result, _ in pairs:
        wrap(result, f"CAST({{}} AS DECIMAL({whole + scale},{scale}))")


def _digits(node: exp.Expr, data_type: pa.DataType | None) -> tuple[int, int] | None:
    """Whole digits and scale of an exact number; None for other types."""
    literal = literal_text(node)
    if literal is None:
        return None if data_type is None else digits(data_type)
    whole, _, fraction = literal.removeprefix("-").partition(".")
    return len(whole.lstrip("0")), len(fraction)


def _summand(call: exp.Anonymous) -> exp.Expr:
    argument: exp.Expr = call.expressions[0] if call.expressions else call
    return argument.expressions[0] if isinstance(argument, exp.Distinct) else argument


def _widen_signs(nodes: Sequence[exp.Neg], found: Resolution, typer: Typer) -> None:
    free = [node for node in nodes if literal_text(node) is None]
    operands = [node.this for node in free]
    for node, data_type in zip(free, typer.types(operands, found, quiet=True), strict=True):
        if data_type is None or not pa.types.is_integer(data_type):
            continue
        plain = found.copy(node)
        wrap(node.this, "CAST({} AS DECIMAL(20,0))")
        wrap(node, "CAST({} AS BIGINT)").meta[PLAIN] = plain


def _widen(node: exp.Binary, left: pa.DataType, right: pa.DataType, found: Resolution) -> None:
    plain = found.copy(node)
    narrow = _bits(node.left, left) <= 32 and _bits(node.right, right) <= 32  # noqa: PLR2004
    for operand, data_type in ((node.left, left), (node.right, right)):
        if not narrow:
            wrap(operand, "CAST({} AS DECIMAL(20,0))").meta[WRAPPER] = True
        elif data_type != pa.int64():
            wrap(operand, "CAST({} AS BIGINT)").meta[WRAPPER] = True
    if not narrow and not any(pa.types.is_uint64(t) for t in (left, right)):
        whole = wrap(node, "CAST({} AS BIGINT)")
        whole.meta[PLAIN] = plain
        whole.meta[WRAPPER] = True
    else:
        node.meta[PLAIN] = plain


def _widen_product(node: exp.Mul, left: pa.DataType, right: pa.DataType) -> None:
    """Give a product of long decimals, such as two quotients, room before the point."""
    one, two = digits(left), digits(right)
    if one is None or two is None or sum(one) + sum(two) < MAX_128:
        return
    scale = one[1] + two[1]
    if MAX_128 - scale >= min(one[0] + two[0], _WHOLE):
        return
    for operand, (_, fraction) in ((node.left, one), (node.right, two)):
        wrap(operand, f"CAST({{}} AS DECIMAL({MAX_256 // 2 + 1},{fraction}))").meta[WRAPPER] = True
    wrap(node, f"CAST({{}} AS DECIMAL({min(sum(one) + sum(two), MAX_256)},{scale}))").meta[WRAPPER] = True


def _bits(node: exp.Expr, data_type: pa.DataType) -> int:
    literal = literal_text(node)
    if literal is not None:
        return 32 if abs(int(literal)) < 2**31 else 64
    return data_type.bit_width
