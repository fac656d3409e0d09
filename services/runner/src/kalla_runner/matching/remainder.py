"""Keeps the engine from taking `x % 1` for 0.

DataFusion 55 does so for every operand that is not a float and cannot be NULL, also for decimals:
1.25 % 1 came out as 0.00 (found by the differential test). What passes through nullif may be NULL.
"""

from __future__ import annotations

from sqlglot import exp


def keep_remainders(query: exp.Query) -> None:
    """Make the left operand of every remainder nullable, in place; values and types stay."""
    for node in list(query.find_all(exp.Mod)):
        operand = node.left
        nullable = exp.Anonymous(this="nullif")
        operand.replace(nullable)
        nullable.set("expressions", [operand, exp.Null()])
