"""Arithmetic that gives the exact result or an error, where the engine's own wraps around or forgets.

Left alone, `200 * 200` over 16-bit columns is -25536, and the largest 64-bit integer plus one is the
smallest; sums of long decimals come out negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.depth import balance_sum
from kalla_runner.matching.sql.dialect import bare, literal_text, wrap
from kalla_runner.matching.sql.marks import WRAPPER
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Typer, common_decimal, digits

_AROUND_CALLS: Final = (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls)
_OPERATIONS: Final = (exp.Add, exp.Sub, exp.Mul, exp.Neg)
_INT64_BITS: Final = 63
_SUMS: Final = ("sum", "avg", "mean")
_WHOLE: Final = 18
"""Digits before the point that a product of 38 digits must have room for."""
_ROWS: Final = 10
"""Digits that a sum may need beyond those of its summands: of up to ten thousand million rows."""


def make_arithmetic_exact(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Widen sums, differences and products that may overflow in one SELECT, and keep remainders, in place."""
    parts = list(own_parts(scope))
    _widen_sums([n for n in parts if isinstance(n, exp.Anonymous) and n.name.lower() in _SUMS], found, typer)
    for case in reversed([n for n in parts if isinstance(n, exp.Case)]):
        _widen_results(case, found, typer)
    nodes = [n for n in parts if isinstance(n, (*_OPERATIONS, exp.Mod)) and literal_text(n) is None]
    # What has no type for the engine is reported by those who need it.
    types = iter(typer.types([o for node in nodes for o in _operands(node)], found, quiet=True))
    typed = [(node, [next(types) for _ in _operands(node)]) for node in nodes]
    known = [(node, [t for t in here if t is not None]) for node, here in typed]
    known = [(node, here) for node, here in known if len(here) == len(_operands(node))]
    for node, here in reversed(known):
        integers = all(pa.types.is_integer(t) for t in here)
        if isinstance(node, exp.Mod) and not integers:
            # The engine takes the remainder of 1 for 0, also of 2.5, where the column has no NULLs.
            wrap(node.left, "nullif({}, NULL)")
        elif isinstance(node, exp.Mul) and not integers:
            _widen_product(node, here[0], here[1])
    _widen_integers([(n, h) for n, h in known if not isinstance(n, exp.Mod)])
    _balance([n for n, h in known if isinstance(n, exp.Add | exp.Sub) and all(digits(t) for t in h)])


def _widen_integers(known: Sequence[tuple[exp.Expr, list[pa.DataType]]]) -> None:
    of_integers = {id(node): here for node, here in known if all(pa.types.is_integer(t) for t in here)}
    for node, _ in known:
        if id(node) in of_integers and id(_around(node)) not in of_integers:
            _widen(node, of_integers)


def _balance(nodes: Sequence[exp.Expr]) -> None:
    """Bracket the long chains among sums and differences of exact numbers."""
    exact = {id(node) for node in nodes}
    for node in nodes:
        around = _around(node)
        if around is None or id(around) not in exact or bare(around.this) is not node:
            balance_sum(node)


def _operands(node: exp.Expr) -> tuple[exp.Expr, ...]:
    return (node.this,) if isinstance(node, exp.Neg) else (node.this, node.expression)


def _around(node: exp.Expr) -> exp.Expr | None:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return parent


def _widen_sums(calls: Sequence[exp.Anonymous], found: Resolution, typer: Typer) -> None:
    summands = [_summand(call) for call in calls]
    for call, summand, data_type in zip(
        calls, summands, typer.types(summands, found, quiet=True), strict=True
    ):
        wider = _sum_types(call, data_type, found)
        if wider is None:
            continue
        wrap(summand, f"CAST({{}} AS {wider[0]})").meta[WRAPPER] = True
        whole: exp.Expr = call
        # FILTER and OVER belong to the call: the result is narrowed around them.
        while isinstance(whole.parent, _AROUND_CALLS) and whole.parent.this is whole:
            whole = whole.parent
        wrap(whole, f"CAST({{}} AS {wider[1]})").meta[WRAPPER] = True


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
    if whole + scale > MAX_128:
        return
    # The engine takes 0 for a number of 20 digits, which would make all results as wide.
    fitting = len(named) == 1 and common_decimal([*named]) == (whole, scale)
    for result, _ in pairs:
        if fitting and literal_text(result) is None:
            continue
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


def _widen(root: exp.Expr, of_integers: Mapping[int, Sequence[pa.DataType]]) -> None:
    """Compute sums, differences and products within each other in decimals, and narrow the result once.

    Casts around every operation would cost at each row, and the engine plans casts within casts in
    exponential time.
    """
    leaves: list[tuple[exp.Expr, pa.DataType]] = []
    bits: dict[int, int] = {}
    stack = [(root, False)]
    while stack:
        node, operands_done = stack.pop()
        if operands_done:
            here = [bits[id(bare(operand))] for operand in _operands(node)]
            bits[id(node)] = sum(here) if isinstance(node, exp.Mul) else max(here) + len(here) - 1
            continue
        stack.append((node, True))
        for operand, data_type in zip(_operands(node), of_integers[id(node)], strict=True):
            if id(bare(operand)) in of_integers:
                stack.append((bare(operand), False))
            else:
                bits[id(bare(operand))] = _bits(operand, data_type)
                leaves.append((operand, data_type))
    narrow = bits[id(root)] < _INT64_BITS
    for leaf, data_type in leaves:
        if not narrow:
            wrap(leaf, "CAST({} AS DECIMAL(20,0))").meta[WRAPPER] = True
        elif data_type != pa.int64():
            wrap(leaf, "CAST({} AS BIGINT)").meta[WRAPPER] = True
    if not narrow and not any(pa.types.is_uint64(t) for _, t in leaves):
        wrap(root, "CAST({} AS BIGINT)").meta[WRAPPER] = True


def as_written(node: exp.Expr) -> exp.Expr:
    """The expression below brackets and casts that the author did not write."""
    while isinstance(node, exp.Paren) or node.meta.get(WRAPPER):
        node = node.this
    return node


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
    """N where no value is larger than 2**n, sign apart."""
    literal = literal_text(node)
    if literal is not None:
        return int(literal).bit_length()
    return data_type.bit_width - pa.types.is_signed_integer(data_type)
