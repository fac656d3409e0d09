"""Arithmetic that gives the exact result or an error, where the engine's own wraps around or forgets.

Left alone, `200 * 200` over 16-bit columns is -25536, and the largest 64-bit integer plus one is the
smallest.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.sql_dialect import literal_text, wrap
from kalla_runner.matching.sql_scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql_types import Typer

PLAIN: Final = "plain"
"""Meta of a rewritten operation: what was written, with its names still resolved."""

_OPERATIONS: Final = (exp.Add, exp.Sub, exp.Mul, exp.Mod)


def make_arithmetic_exact(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Widen the sums, differences and products of integers in one SELECT, and keep remainders, in place."""
    nodes = [node for node in own_parts(scope) if isinstance(node, _OPERATIONS)]
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
