"""Joins whose sides must only lie near each other, as joins over buckets.

`ON tolerance_match(l.amount, r.amount, 0.02)` alone compares all rows with all rows. Every value is
put into a bucket as wide as the window of values that it can match, so that a window touches at most
two buckets: one side has a row for each bucket that its window touches, the other one a row for the
bucket that it lies in. Each pair meets at most once, and the condition itself still decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pyarrow as pa
from sqlglot import exp

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.arithmetic import as_written
from kalla_runner.matching.sql.dialect import bare, expression, literal_text, quoted, render
from kalla_runner.matching.sql.paths import conditions, looks_at_other_rows, reads_only
from kalla_runner.matching.sql.scope import Relation, Resolution
from kalla_runner.matching.sql.tolerance import ToleranceCall
from kalla_runner.matching.sql.types import MAX_128, MAX_256, Kind, Typer, common_decimal, kind

BUCKET: Final = "__kalla_bucket"
_SECONDS: Final = {"WEEK": 604_800, "DAY": 86_400, "HOUR": 3_600, "MINUTE": 60, "SECOND": 1}
_TICKS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FAR: Final = 10**12
"""Buckets of floats are numbered up to here, where their arithmetic still tells neighbours apart."""


@dataclass(frozen=True, slots=True)
class Band:
    """`point - down <= value <= point + up`; the two are expressions over different sides.

    For dates and timestamps, `down` and `up` are seconds. If `shortest`, floats stand for their
    shortest decimal form, else for what they are.
    """

    value: exp.Expr
    point: exp.Expr
    down: Decimal
    up: Decimal
    shortest: bool = False

    def turned(self) -> Band:
        """The same band, seen from the other side."""
        return Band(self.point, self.value, self.up, self.down, self.shortest)


def rewrite_bands(
    query: exp.Select,
    sides: tuple[Relation, Relation],
    tables: tuple[TableInfo, TableInfo],
    found: Resolution,
    typer: Typer,
) -> None:
    """Join over buckets, in place, where two tables are joined by a band and not by an equality."""
    if not _inner(query, sides, found):
        return
    for term in conditions(query):
        for band in _bands(term):
            for one, two in ((0, 1), (1, 0)):
                if reads_only(band.value, sides[one].name) and reads_only(band.point, sides[two].name):
                    fewer = _rows(tables[0]) < _rows(tables[1])
                    copied = 0 if fewer else 1
                    seen = band if two == copied else band.turned()
                    if _join_over_buckets(query, seen, sides[copied], found, typer):
                        return


def _rows(table: TableInfo) -> int:
    return table.row_count or 0


def _inner(query: exp.Select, sides: tuple[Relation, Relation], found: Resolution) -> bool:
    """Make an outer join of the two sides an inner one, as only full pairs are kept; say if all is well."""
    joins: list[exp.Join] = query.args.get("joins") or []
    nodes = [side.node for side in sides]
    outer = [j for j in joins if j.side and (j.side.upper() != "LEFT" or j.this in nodes)]
    if not outer:
        return True
    if len(joins) > 1 or looks_at_other_rows(query, found):
        return False
    for join in outer:
        join.set("side", None)
        join.set("kind", None)
    return True


def _bands(term: exp.Expr) -> list[Band]:
    call = term.meta.get("tolerance")
    if isinstance(call, ToleranceCall):
        if call.threshold is None:
            return []
        return [Band(call.a, call.b, call.threshold, call.threshold, shortest=True)]
    node = bare(term)
    if isinstance(node, exp.Between):
        return _windows(node.this, node.args["low"], node.args["high"])
    if isinstance(node, exp.LTE | exp.LT):
        distance, limit = bare(node.left), _amount(node.right)
        if isinstance(distance, exp.Anonymous) and distance.name.lower() == "abs" and limit is not None:
            difference = as_written(distance.expressions[0])
            if isinstance(difference, exp.Sub) and limit >= 0:
                return [Band(as_written(difference.left), as_written(difference.right), limit, limit)]
    return []


def _windows(value: exp.Expr, low: exp.Expr, high: exp.Expr) -> list[Band]:
    start, end = _shifted(low), _shifted(high)
    if start is None or end is None or render(start[0]) != render(end[0]) or start[1] > end[1]:
        return []
    return [Band(value, start[0], -start[1], end[1])]


def _shifted(bound: exp.Expr) -> tuple[exp.Expr, Decimal] | None:
    """`point + amount` of a bound."""
    bound = as_written(bound)
    if not isinstance(bound, exp.Add | exp.Sub):
        return bound, Decimal(0)
    amount = _amount(bound.right)
    if amount is None:
        return None
    return as_written(bound.left), amount if isinstance(bound, exp.Add) else -amount


def _amount(node: exp.Expr) -> Decimal | None:
    node = as_written(node)
    if isinstance(node, exp.Interval):
        unit = _SECONDS.get(node.text("unit").upper().removesuffix("S"))
        count = node.this.name if isinstance(node.this, exp.Literal) else ""
        return Decimal(count) * unit if unit is not None and count.lstrip("-").isdigit() else None
    text = literal_text(node)
    return None if text is None else Decimal(text)


def _join_over_buckets(
    query: exp.Select, band: Band, copied: Relation, found: Resolution, typer: Typer
) -> bool:
    types = typer.types([band.value, band.point], found)
    if types[0] is None or types[1] is None:
        return False
    buckets = _buckets(band, (types[0], types[1]))
    if buckets is None:
        return False
    value, low, high = buckets
    name = quoted(copied.name)
    assert isinstance(copied.node, exp.Table)  # noqa: S101  # a side is a table itself
    source = f"{quoted(copied.node.name)} AS {name}"
    union = (
        f"SELECT {name}.*, {low} AS {quoted(BUCKET)} FROM {source} UNION ALL "  # noqa: S608  # from the tree
        f"SELECT {name}.*, {high} AS {quoted(BUCKET)} FROM {source} WHERE {high} <> {low}"
    )
    # `b AND c` beside the old condition, so that the engine finds the equality on its own.
    table = expression(f"SELECT 1 FROM ({union}) AS {name}")  # noqa: S608  # see above
    copied.node.replace(table.args["from_"].this)
    query.where(expression(f"{value} = {name}.{quoted(BUCKET)}"), append=True, copy=False)
    return True


def _buckets(band: Band, types: tuple[pa.DataType, pa.DataType]) -> tuple[str, str, str] | None:
    """SQL of the bucket of the value, and of the lowest and highest bucket that the point can match."""
    kinds = {kind(t) for t in types}
    value, point = f"({render(band.value)})", f"({render(band.point)})"
    if kinds == {Kind.NUMBER}:
        if any(pa.types.is_floating(t) for t in types):
            return _float_buckets(value, point, band, types)
        return _exact_buckets(value, point, band, types)
    if kinds == {Kind.DATE} and types[0] == types[1] == pa.date32():
        day = _SECONDS["DAY"]
        if band.down % day or band.up % day:
            return None
        return _integer_buckets(value, point, band, Decimal(1) / day, "Int32")
    if kinds in ({Kind.TIMESTAMP}, {Kind.ZONED}) and types[0] == types[1]:
        return _integer_buckets(value, point, band, Decimal(_TICKS[types[0].unit]), "Int64")
    return None


def _exact_buckets(
    value: str, point: str, band: Band, types: tuple[pa.DataType, pa.DataType]
) -> tuple[str, str, str] | None:
    common = common_decimal(types)
    if common is None:
        return None
    amounts = [format(abs(a), "f").partition(".") for a in (band.down, band.up)]
    whole = max(common[0], *(len(a[0]) for a in amounts)) + 1
    scale = max(common[1], *(len(a[2]) for a in amounts))
    if whole + scale > MAX_256:
        return None
    precision = whole + scale if whole + scale <= MAX_128 else MAX_256
    exact = f"DECIMAL({precision},{scale})"
    width = max(band.down + band.up, Decimal(1).scaleb(-scale))

    def number(amount: Decimal) -> str:
        return f"CAST('{amount:f}' AS {exact})"

    def bucket(sql: str) -> str:
        cast = f"CAST({sql} AS {exact})"
        # Through nullif, or the engine takes the remainder of a width of 1 for 0.
        return f"CAST({cast} - nullif({cast}, NULL) % {number(width)} AS {exact})"

    here = f"CAST({point} AS {exact})"
    return bucket(value), bucket(f"{here} - {number(band.down)}"), bucket(f"{here} + {number(band.up)}")


def _integer_buckets(
    value: str, point: str, band: Band, ticks: Decimal, storage: str
) -> tuple[str, str, str]:
    def number(sql: str) -> str:
        # A decimal: what is added to a 64-bit moment may not fit into 64 bits.
        return f"CAST(CAST(arrow_cast({sql}, '{storage}') AS BIGINT) AS DECIMAL(38,0))"

    down, up = (int((a * ticks).to_integral_value()) for a in (band.down, band.up))
    width = max(down + up, 1)

    def bucket(sql: str) -> str:
        return f"CAST({sql} - ({sql}) % CAST({width} AS DECIMAL(38,0)) AS DECIMAL(38,0))"

    here = number(point)
    low, high = f"({here} - CAST({down} AS DECIMAL(20,0)))", f"({here} + CAST({up} AS DECIMAL(20,0)))"
    return bucket(number(value)), bucket(low), bucket(high)


def _float_buckets(
    value: str, point: str, band: Band, types: tuple[pa.DataType, pa.DataType]
) -> tuple[str, str, str] | None:
    narrow = [pa.types.is_float32(t) or pa.types.is_float16(t) for t in types]
    if any(narrow) and not band.shortest:
        return None  # arithmetic of so few digits may move a value across any number of buckets
    width = float(band.down + band.up) * 1.25
    if not 1e-290 < width < 1e290:  # noqa: PLR2004
        return None
    # A tenth of slack on either side is far more than rounding can move a value across.
    slack = Decimal("0.1") * (band.down + band.up)

    def double(sql: str, is_narrow: bool) -> str:
        # A narrow float lies further from its decimal form than many a threshold is wide.
        return f"CAST(CAST({sql} AS VARCHAR) AS DOUBLE)" if is_narrow else f"CAST({sql} AS DOUBLE)"

    def bucket(sql: str) -> str:
        place = f"(({sql}) / CAST('{width!r}' AS DOUBLE))"
        far = f"CAST('{_FAR}' AS DOUBLE)"
        return (
            f"CAST(CASE WHEN abs({place}) < {far} THEN floor({place}) "
            f"WHEN {place} > CAST('0' AS DOUBLE) THEN {far} ELSE -{far} END AS BIGINT)"
        )

    here = double(point, narrow[1])
    low = f"{here} - CAST('{float(band.down + slack)!r}' AS DOUBLE)"
    high = f"{here} + CAST('{float(band.up + slack)!r}' AS DOUBLE)"
    return bucket(double(value, narrow[0])), bucket(low), bucket(high)
