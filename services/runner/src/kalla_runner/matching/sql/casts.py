"""CAST and TRY_CAST: every pair of types is exact, checked value by value, or refused with words.

Documented roundings: to fewer digits after the point, half away from zero; of a timestamp to its day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.natives import PLAIN_NUMBER
from kalla_runner.matching.sql.catalogue import Family, family
from kalla_runner.matching.sql.catalogue.casts import CASTS, TARGETS
from kalla_runner.matching.sql.dialect import wrap
from kalla_runner.matching.sql.marks import DAYS_OF, WRAPPER, put, shown
from kalla_runner.matching.sql.scope import Resolution
from kalla_runner.matching.sql.types import MAX_128, MAX_256

ZONE: Final = r"^(.*\d\d:\d\d.*\d)\s*(Z|z|[+-]\d\d(?::?\d\d)?|\s[A-Za-z_]+/[A-Za-z_/]+|\s?UTC)$"
"""The time zone at the end of a text, which a type without one would drop or add up."""
_WITH_ZONE: Final = "(has a time zone) ${1}${2}"
NO_SECONDS: Final = r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d)(Z|z|[+-]\d\d(?::?\d\d)?)?$"
_FINE: Final = r"^(.*:\d\d\.\d{6}\d*[1-9]\d*)(.*)$"
_ADVICE: Final[Mapping[tuple[Family, Family], str]] = {
    (Family.INTEGER, Family.DATE): "TO_DATE(CAST({0} AS TEXT), '%Y%m%d') for 20241231, or "
    "CAST(from_unixtime({0}) AS DATE) for seconds since 1970",
    (Family.INTEGER, Family.TIMESTAMP): "from_unixtime({0}) for seconds since 1970, or "
    "TO_TIMESTAMP(CAST({0} AS TEXT), '%Y%m%d') for 20241231",
    (Family.INTEGER, Family.ZONED): "from_unixtime({0}) AT TIME ZONE 'UTC' for seconds since 1970",
    (Family.DATE, Family.INTEGER): "{0} - DATE '1970-01-01' for days, or CAST(TO_CHAR({0}, '%Y%m%d') AS INT)",
    (Family.TIMESTAMP, Family.INTEGER): "EXTRACT(EPOCH FROM {0}) for seconds since 1970",
    (Family.ZONED, Family.INTEGER): "EXTRACT(EPOCH FROM {0}) for seconds since 1970",
    (Family.BOOLEAN, Family.DECIMAL): "CAST(CAST({0} AS INT) AS DECIMAL(18,2))",
    (Family.BOOLEAN, Family.FLOAT): "CAST(CAST({0} AS INT) AS DOUBLE)",
    (Family.DECIMAL, Family.BOOLEAN): "{0} <> 0",
    (Family.FLOAT, Family.BOOLEAN): "{0} <> 0",
    (Family.BINARY, Family.TEXT): "encode({0}, 'hex')",
    (Family.LIST, Family.TEXT): "array_to_string({0}, ',')",
    (Family.DURATION, Family.TEXT): "a comparison with INTERVAL '1' DAY",
    (Family.STRUCT, Family.TEXT): "a field of it, {0}['name']",
}


_PLAIN_SCALE: Final = 10
"""Digits after the point of DECIMAL where its author names none."""


def settle_cast(node: exp.Cast | exp.TryCast, data_type: pa.DataType, found: Resolution) -> None:
    """Check one cast, and rewrite it in place where the engine's own would not be exact."""
    try:
        source = family(data_type)
    except LookupError:
        source = Family.STRUCT
    target = TARGETS.get(node.to.this)
    if target is None:
        found.problem(
            Code.INVALID_SQL,
            f"{node.to.sql()} is not a type here: write TEXT, BIGINT, DECIMAL(18,2), DOUBLE, BOOLEAN, DATE, "
            "TIME, TIMESTAMP or TIMESTAMP WITH TIME ZONE.",
            node,
        )
        return
    if source is None:
        return
    call = node.meta.get(DAYS_OF)
    days = (Family.DATE, Family.TIMESTAMP, Family.ZONED)
    if call is not None and source not in days:
        found.problem(
            Code.TYPE_MISMATCH,
            f"{call} takes dates, and {(text := shown(node.this))} is {source}: write CAST({text} AS DATE).",
            node,
        )
        return
    if source not in CASTS[target]:
        advice = _ADVICE.get((source, target))
        instead = f": write {advice.format(shown(node.this))}" if advice else ""
        found.problem(
            Code.TYPE_MISMATCH,
            f"{shown(node.this)} is {source} and cannot be cast to {target}{instead}.",
            node,
        )
        return
    digitless = source is Family.DECIMAL and target is Family.DECIMAL and not node.to.expressions
    if digitless and data_type.scale > _PLAIN_SCALE:
        found.problem(
            Code.TYPE_MISMATCH,
            f"DECIMAL without digits has {_PLAIN_SCALE} after the point, and {shown(node.this)} has "
            f"{data_type.scale}: write DECIMAL(38,{data_type.scale}), or the digits to round to.",
            node,
        )
        return
    _rewrite(node, source, target, data_type, found)


def _rewrite(
    node: exp.Cast | exp.TryCast, source: Family, target: Family, data_type: pa.DataType, found: Resolution
) -> None:
    # A literal moment with more digits than microseconds have was left so by moments.widen_literals.
    moment = target in (Family.TIMESTAMP, Family.ZONED) and not isinstance(node.this, exp.Literal)
    if moment and not node.to.expressions:
        nanoseconds = pa.types.is_timestamp(data_type) and data_type.unit == "ns"
        node.to.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(9 if nanoseconds else 6))])
    if source is Family.TEXT:
        _from_text(node, target)
    elif source is Family.FLOAT and target in (Family.DECIMAL, Family.INTEGER):
        # Its shortest decimal form, as tolerance_match takes it.
        wrap(node.this, f"{PLAIN_NUMBER}(CAST({{}} AS VARCHAR))").meta[WRAPPER] = True
        if target is Family.INTEGER:
            _rounded(node, MAX_128)
    elif source is Family.DECIMAL and target is Family.INTEGER and data_type.scale > 0:
        _rounded(node, MAX_128 if data_type.precision < MAX_128 else MAX_256)
    elif target is Family.TEXT and source in (Family.TIMESTAMP, Family.ZONED):
        _as_text(node, source, found)


def _rounded(node: exp.Cast | exp.TryCast, precision: int) -> None:
    """Round before the engine would cut off."""
    cast = "TRY_CAST" if isinstance(node, exp.TryCast) else "CAST"
    wrap(node.this, f"{cast}({{}} AS DECIMAL({precision},0))").meta[WRAPPER] = True


def _from_text(node: exp.Cast | exp.TryCast, target: Family) -> None:
    if target is Family.DECIMAL:
        _through(node, f"{PLAIN_NUMBER}({{}})")
    elif target in (Family.DATE, Family.TIMESTAMP):
        _through(node, _replacing(ZONE, _WITH_ZONE))
    if target in (Family.TIMESTAMP, Family.ZONED):
        _through(node, _replacing(NO_SECONDS, "${1}:00${2}"))
        digits = node.to.expressions[0].this.name if node.to.expressions else ""
        if digits == "6":
            _through(node, _replacing(_FINE, "(finer than microseconds) ${1}${2}"))


def _through(node: exp.Cast | exp.TryCast, template: str) -> None:
    value = node.this
    if isinstance(value, exp.Literal):
        return  # decided while the query is planned
    wrap(value, template).meta[WRAPPER] = True


def _replacing(pattern: str, replacement: str) -> str:
    doubled = pattern.replace("{", "{{").replace("}", "}}"), replacement.replace("{", "{{").replace("}", "}}")
    return f"regexp_replace({{}}, '{doubled[0]}', '{doubled[1]}')"


def _as_text(node: exp.Cast | exp.TryCast, source: Family, found: Resolution) -> None:
    """2024-02-29 12:30:15.5, with +00 for UTC: as PostgreSQL and DuckDB write it."""
    text = "replace(CAST({0} AS VARCHAR), 'T', ' ')"
    if source is Family.ZONED:
        text = f"replace({text}, 'Z', '+00')"
    short = f"regexp_replace({text}, '(\\.\\d*[1-9])0+(\\+00)?$', '${{{{1}}}}${{{{2}}}}')"
    put(node, short, [node.this], found)
