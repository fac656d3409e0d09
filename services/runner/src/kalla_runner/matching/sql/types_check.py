"""Holds every comparison in a match query to one kind of value on both sides.

What the engine would convert silently is refused with the cast to write. What it would convert
inexactly although both sides are exact numbers is rewritten to an exact form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.dialect import bare, literal_text, wrap
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.sql.marks import shown
from kalla_runner.matching.sql.scope import Resolution, own_parts
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Kind, Typer, common_decimal, kind

_COMPARISONS: Final = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_PATTERNS: Final = (exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike)
_ARITHMETIC: Final = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_CALLS: Final = {
    "nullif": "compared",
    **dict.fromkeys(("coalesce", "nvl", "ifnull", "greatest", "least", "make_array"), "chosen"),
}
_FLOAT_DIGITS: Final = 15
"""So many decimal digits survive a float64 and back; with at most 22 of them after the point."""
_FLOAT_SCALE: Final = 22


@dataclass(frozen=True, slots=True)
class Site:
    """Expressions that meet in one place.

    `use` is compared, chosen (one of them is the result), pattern (all text) or arithmetic.
    """

    node: exp.Expr
    operands: tuple[exp.Expr, ...]
    use: str


def check_types(found: Resolution, typer: Typer) -> None:
    """Note a problem for every silent conversion, and make exact what the engine would round."""
    for scope in found.scopes:
        sites = [site for node in own_parts(scope) for site in _sites(node)]
        operands = [operand for site in sites for operand in site.operands]
        types = iter(typer.types(operands, found))
        for site in sites:
            here = [next(types) for _ in site.operands]
            known = [t for t in here if t is not None]
            if len(known) == len(here):
                _check(site, known, found, typer)


def _sites(node: exp.Expr) -> list[Site]:
    if isinstance(node, _COMPARISONS):
        return _pairs(node, node.this, node.expression)
    if isinstance(node, exp.Between):
        return [Site(node, (node.this, node.args["low"], node.args["high"]), "compared")]
    if isinstance(node, exp.In):
        return _in_sites(node)
    if isinstance(node, _PATTERNS):
        return [Site(node, (node.this, node.expression), "pattern")]
    if isinstance(node, _ARITHMETIC):
        return [Site(node, (node.this, node.expression), "arithmetic")]
    if isinstance(node, exp.Case):
        return _case_sites(node)
    if isinstance(node, exp.Anonymous):
        use = _CALLS.get(node.name.lower())
        return [Site(node, tuple(node.expressions), use)] if use else []
    return [Site(node, tuple(node.expressions), "chosen")] if isinstance(node, exp.Array) else []


def _in_sites(node: exp.In) -> list[Site]:
    values = [node.args["query"]] if node.args.get("query") else node.expressions
    if isinstance(node.this, exp.Tuple):
        return [s for v in values if isinstance(v, exp.Tuple) for s in _pairs(node, node.this, v)]
    return [Site(node, (node.this, *values), "compared")]


def _pairs(node: exp.Expr, one: exp.Expr, two: exp.Expr) -> list[Site]:
    one, two = bare(one), bare(two)
    if isinstance(one, exp.Tuple) and isinstance(two, exp.Tuple):
        both = zip(one.expressions, two.expressions, strict=False)
        return [site for a, b in both for site in _pairs(node, a, b)]
    for side in (one, two):
        if isinstance(side, exp.Any | exp.All):
            inner = side.this
            other = two if side is one else one
            return [Site(node, (other, inner), "compared")] if isinstance(inner, exp.Query) else []
    return [Site(node, (one, two), "compared")]


def _case_sites(node: exp.Case) -> list[Site]:
    branches = node.args.get("ifs") or []
    results = [branch.args["true"] for branch in branches]
    if node.args.get("default") is not None:
        results.append(node.args["default"])
    sites = [Site(node, tuple(results), "chosen")]
    if node.this is not None:
        sites.append(Site(node, (node.this, *(branch.this for branch in branches)), "compared"))
    return sites


def _check(site: Site, types: list[pa.DataType], found: Resolution, typer: Typer) -> None:
    pairs = [(o, t) for o, t in zip(site.operands, types, strict=True) if kind(t) is not Kind.NULL]
    if site.use == "pattern":
        for operand, data_type in pairs:
            if kind(data_type) is not Kind.TEXT:
                found.problem(
                    Code.TYPE_MISMATCH,
                    f"{site.node.key.upper()} needs text and {shown(operand)} is {typer.name(data_type)}: "
                    f"write CAST({shown(operand)} AS TEXT).",
                    operand,
                )
        return
    if not pairs:
        return
    for operand, data_type in pairs[1:]:
        advice = _mismatch(site.use, pairs[0], (operand, data_type), typer)
        if advice is not None:
            found.problem(Code.TYPE_MISMATCH, advice, site.operands[0])
            return
    if site.use == "compared":
        _make_exact(site, types, found, typer)
    elif site.use == "chosen":
        _check_choice(site, pairs, found, typer)


def _mismatch(
    use: str, one: tuple[exp.Expr, pa.DataType], two: tuple[exp.Expr, pa.DataType], typer: Typer
) -> str | None:
    kinds = {kind(one[1]), kind(two[1])}
    if use == "arithmetic":
        if Kind.TEXT not in kinds or Kind.NUMBER not in kinds:
            return None
    elif len(kinds) == 1:
        if Kind.LIST in kinds and one[1] != two[1]:
            return f"{_both(one, two, typer)}: lists are compared only if they are of one type."
        if Kind.OTHER in kinds and type(one[1]) is not type(two[1]):
            return f"{_both(one, two, typer)}: cast one to the type of the other."
        return None
    elif use == "compared" and kinds == {Kind.DATE, Kind.TIMESTAMP}:
        return None
    return f"{_both(one, two, typer)}: write {_advice(one, two)}."


def _both(one: tuple[exp.Expr, pa.DataType], two: tuple[exp.Expr, pa.DataType], typer: Typer) -> str:
    return f"{shown(one[0])} is {typer.name(one[1])} and {shown(two[0])} is {typer.name(two[1])}"


def _advice(one: tuple[exp.Expr, pa.DataType], two: tuple[exp.Expr, pa.DataType]) -> str:
    if kind(one[1]) is not Kind.TEXT and kind(two[1]) is Kind.TEXT:
        one, two = two, one
    first, other = kind(one[1]), kind(two[1])
    if first is not Kind.TEXT:
        return _advice_without_text(one, two)
    text, node = shown(one[0]), bare(one[0])
    literal = node.name if isinstance(node, exp.Literal) else None
    if other is Kind.DATE:
        return f"DATE {text}" if literal is not None else f"CAST({text} AS DATE)"
    if other is Kind.TIMESTAMP:
        return f"TIMESTAMP {text}" if literal is not None else f"CAST({text} AS TIMESTAMP)"
    if other is Kind.ZONED:
        return f"CAST({text} AS TIMESTAMP WITH TIME ZONE)"
    if other is Kind.BOOLEAN:
        return f"CAST({text} AS BOOLEAN)"
    if other is Kind.NUMBER:
        if literal is not None and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", literal):
            return f"{literal} without quotes, or CAST({shown(two[0])} AS TEXT)"
        if literal is not None:
            return f"CAST({shown(two[0])} AS TEXT)"
        return f"CAST({shown(two[0])} AS TEXT), or CAST({text} AS {_number_cast(two[1])})"
    return f"encode({shown(two[0])}, 'hex')" if _is_binary(two[1]) else f"CAST({shown(two[0])} AS TEXT)"


def _is_binary(data_type: pa.DataType) -> bool:
    types = pa.types
    return types.is_binary(data_type) or types.is_large_binary(data_type) or types.is_binary_view(data_type)


def _advice_without_text(one: tuple[exp.Expr, pa.DataType], two: tuple[exp.Expr, pa.DataType]) -> str:
    kinds = {kind(one[1]): one[0], kind(two[1]): two[0]}
    if Kind.ZONED in kinds and Kind.DATE in kinds:
        return f"CAST({shown(kinds[Kind.ZONED])} AS DATE), which takes the day in UTC"
    if Kind.ZONED in kinds and Kind.TIMESTAMP in kinds:
        return f"{shown(kinds[Kind.TIMESTAMP])} AT TIME ZONE 'UTC', or the zone that it is in"
    if Kind.DATE in kinds and Kind.TIMESTAMP in kinds:
        return f"CAST({shown(kinds[Kind.TIMESTAMP])} AS DATE)"
    if Kind.BOOLEAN in kinds and Kind.NUMBER in kinds:
        return f"CAST({shown(kinds[Kind.BOOLEAN])} AS INT)"
    return f"CAST({shown(two[0])} AS TEXT) and CAST({shown(one[0])} AS TEXT)"


def _number_cast(data_type: pa.DataType) -> str:
    if pa.types.is_decimal(data_type):
        return f"DECIMAL({data_type.precision},{data_type.scale})"
    return "DOUBLE" if pa.types.is_floating(data_type) else "BIGINT"


def _make_exact(site: Site, types: list[pa.DataType], found: Resolution, typer: Typer) -> None:
    kinds = {kind(t) for t in types if kind(t) is not Kind.NULL}
    if kinds == {Kind.DATE, Kind.TIMESTAMP}:
        _dates_as_timestamps(site, types)
    if kinds != {Kind.NUMBER}:
        return
    numbers = [t for t in types if kind(t) is Kind.NUMBER]
    if any(pa.types.is_floating(t) for t in numbers):
        _make_floats_exact(site, types, found, typer)
        return
    common = common_decimal(numbers)
    if common is None or len({*numbers}) == 1 or all(pa.types.is_integer(t) for t in numbers):
        return
    whole, scale = common
    if whole + scale <= MAX_128:
        return
    precision = whole + scale
    queries = [o for o in site.operands if isinstance(o, exp.Query)]
    if precision > MAX_256 or queries:
        found.problem(
            Code.TYPE_MISMATCH,
            f"{shown(site.operands[0])} and {shown(site.operands[1])} have no common type of at most "
            f"{MAX_128 if queries else MAX_256} digits: write CAST(... AS DECIMAL(38,{min(scale, 18)})) "
            "for both.",
            site.operands[0],
        )
        return
    for operand in site.operands:
        wrap(operand, f"CAST({{}} AS DECIMAL({precision},{scale}))")


def _dates_as_timestamps(site: Site, types: Sequence[pa.DataType]) -> None:
    unit = {"s": "Second", "ms": "Millisecond", "us": "Microsecond", "ns": "Nanosecond"}
    stamps = {t.unit for t in types if pa.types.is_timestamp(t)}
    for operand, data_type in zip(site.operands, types, strict=True):
        if len(stamps) == 1 and pa.types.is_date(data_type) and not isinstance(operand, exp.Query):
            # Of its own accord the engine goes by nanoseconds, which end in the year 2262.
            (name,) = (unit[s] for s in stamps)
            wrap(operand, f"arrow_cast({{}}, 'Timestamp({name}, None)')")


def _make_floats_exact(site: Site, types: list[pa.DataType], found: Resolution, typer: Typer) -> None:
    if len({t for t in types if kind(t) is Kind.NUMBER}) == 1:
        return
    inexact = [
        (o, t)
        for o, t in zip(site.operands, types, strict=True)
        if kind(t) is Kind.NUMBER and not _fits_double(o, t)
    ]
    if inexact and _is_condition(site.node) and all(pa.types.is_integer(t) for _, t in inexact):
        # The float is taken at its shortest decimal form, as tolerance_match does everywhere.
        arguments = [*site.operands, exp.Literal.number("0")]
        site.node.replace(exp.Anonymous(this=TOLERANCE, expressions=arguments))
        return
    if inexact:
        one, two = shown(site.operands[0]), shown(site.operands[1])
        found.problem(
            Code.TYPE_MISMATCH,
            f"{_both((site.operands[0], types[0]), (site.operands[1], types[1]), typer)}, which are not "
            f"compared exactly: write tolerance_match({one}, {two}, 0), or CAST the float to the DECIMAL "
            "that it stands for.",
            site.operands[0],
        )
        return
    for operand, data_type in zip(site.operands, types, strict=True):
        if kind(data_type) is Kind.NUMBER and not pa.types.is_float64(data_type):
            literal = literal_text(operand)
            wrap(operand, f"CAST('{literal}' AS DOUBLE)" if literal else "CAST({} AS DOUBLE)")


def _is_condition(node: exp.Expr) -> bool:
    """Whether a node is an equality that must hold for a row: NULL and false are one there."""
    if not isinstance(node, exp.EQ):
        return False
    if any(isinstance(bare(side), exp.Tuple | exp.Any | exp.All) for side in (node.left, node.right)):
        return False
    parent = node.parent
    while isinstance(parent, exp.And | exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Where | exp.Join)


def _fits_double(operand: exp.Expr, data_type: pa.DataType) -> bool:
    if pa.types.is_float64(data_type):
        return True
    literal = literal_text(operand)
    if literal is not None:
        return len(literal.lstrip("-").replace(".", "").strip("0")) <= _FLOAT_DIGITS
    if isinstance(operand, exp.Query) or pa.types.is_floating(data_type):
        return False
    if pa.types.is_integer(data_type):
        return data_type.bit_width <= 32  # noqa: PLR2004
    return data_type.precision <= _FLOAT_DIGITS and 0 <= data_type.scale <= _FLOAT_SCALE


def _check_choice(
    site: Site, pairs: Sequence[tuple[exp.Expr, pa.DataType]], found: Resolution, typer: Typer
) -> None:
    numbers = [t for _, t in pairs if kind(t) is Kind.NUMBER]
    common = common_decimal(numbers) if len({*numbers}) > 1 else None
    if common is not None and sum(common) > MAX_128:
        found.problem(
            Code.TYPE_MISMATCH,
            f"{_both(pairs[0], pairs[1], typer)}, which have no common type of at most {MAX_128} digits: "
            f"write CAST(... AS DECIMAL(38,{min(common[1], 18)})) for both.",
            site.operands[0],
        )
