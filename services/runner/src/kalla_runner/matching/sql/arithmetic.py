"""Arithmetic that gives the exact result or an error, where the engine's own wraps around or forgets.

Left alone, `200 * 200` over 16-bit columns is -25536, and the largest 64-bit integer plus one is the
smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.sql.dialect import literal_text, wrap
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import Typer

PLAIN: Final = "plain"
"""Meta of a rewritten operation: what was written, with its names still resolved."""

_AROUND_CALLS: Final = (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls)
_OPERATIONS: Final = (exp.Add, exp.Sub, exp.Mul, exp.Mod)


def make_arithmetic_exact(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Widen the sums, differences and products of integers in one SELECT, and keep remainders, in place."""
    parts = list(own_parts(scope))
    _widen_sums([n for n in parts if isinstance(n, exp.Anonymous) and n.name.lower() == "sum"], found, typer)
    _widen_signs([n for n in parts if isinstance(n, exp.Neg)], found, typer)
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


def _widen_sums(calls: Sequence[exp.Anonymous], found: Resolution, typer: Typer) -> None:
    summands = [_summand(call) for call in calls]
    for call, summand, data_type in zip(
        calls, summands, typer.types(summands, found, quiet=True), strict=True
    ):
        if data_type is None or not pa.types.is_integer(data_type):
            continue
        plain = found.copy(call)
        wrap(summand, "CAST({} AS DECIMAL(38,0))")
        whole: exp.Expr = call
        # FILTER and OVER belong to the call: the result is narrowed around them.
        while isinstance(whole.parent, _AROUND_CALLS) and whole.parent.this is whole:
            whole = whole.parent
        result = "BIGINT UNSIGNED" if pa.types.is_unsigned_integer(data_type) else "BIGINT"
        narrowed = wrap(whole, f"CAST({{}} AS {result})")
        if whole is call:
            narrowed.meta[PLAIN] = plain


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
            wrap(operand, "CAST({} AS DECIMAL(20,0))")
        elif data_type != pa.int64():
            wrap(operand, "CAST({} AS BIGINT)")
    if not narrow and not any(pa.types.is_uint64(t) for t in (left, right)):
        wrap(node, "CAST({} AS BIGINT)").meta[PLAIN] = plain
    else:
        node.meta[PLAIN] = plain


def _bits(node: exp.Expr, data_type: pa.DataType) -> int:
    literal = literal_text(node)
    if literal is not None:
        return 32 if abs(int(literal)) < 2**31 else 64
    return data_type.bit_width
