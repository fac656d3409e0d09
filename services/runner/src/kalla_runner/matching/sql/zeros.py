"""Keeps negative zeros from coming about: the engine's groups, orders and CASE tell them from zero."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.sql.dialect import literal_text, wrap
from kalla_runner.matching.sql.marks import WRAPPER
from kalla_runner.matching.sql.scope import Resolution, Scope, own_parts
from kalla_runner.matching.sql.types import Typer

_OPERATIONS: Final = (exp.Neg, exp.Mul, exp.Div, exp.Mod, exp.Cast, exp.TryCast)
_CALLS: Final = ("round", "ceil", "floor", "trunc", "power")


def keep_one_zero(scope: Scope, found: Resolution, typer: Typer) -> None:
    """Add zero to what may give a negative zero in one SELECT, in place: -0.0 + 0.0 is 0.0."""
    nodes = [node for node in own_parts(scope) if _may_give_one(node)]
    types = typer.types(nodes, found, quiet=True)
    for node, data_type in zip(nodes, types, strict=True):
        if data_type is not None and pa.types.is_floating(data_type):
            zero = "DOUBLE" if pa.types.is_float64(data_type) else "FLOAT"
            around = wrap(node, f"({{}} + CAST(0 AS {zero}))")
            around.meta[WRAPPER] = True
            around.this.meta[WRAPPER] = True


def _may_give_one(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in _CALLS
    return isinstance(node, _OPERATIONS) and literal_text(node) is None
