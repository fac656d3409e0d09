"""The types of expressions, as the engine itself derives them, and how types meet.

The engine plans `SELECT expression` over an empty table that has one column for every name,
nested query and condition in the expression: no rule of typing is written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from datafusion import SessionContext
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.connectors.type_names import decimal_type, is_list, is_text, type_name
from kalla_runner.matching.sql.catalogue import AGGREGATES
from kalla_runner.matching.sql.dialect import quoted, render
from kalla_runner.matching.sql.engine_errors import explain
from kalla_runner.matching.sql.functions import TOLERANCE

if TYPE_CHECKING:
    from kalla_runner.matching.sql.scope import Resolution

MAX_128: Final = 38
MAX_256: Final = 76
_TABLE: Final = "__kalla_types"

CONDITIONS: Final = (
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between),
    *(exp.In, exp.Is, exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.And, exp.Or),
    *(exp.Not, exp.Exists, exp.Any, exp.All, exp.Escape),
)
"""Nodes that yield a boolean whatever is in them; Any and All stand on one side of such a node."""


class Kind(StrEnum):
    """Families of types between which the engine never converts silently."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    ZONED = "timestamp with time zone"
    LIST = "list"
    NULL = "null"
    OTHER = "other"


def kind(data_type: pa.DataType) -> Kind:
    """The family of a type; times, durations, intervals, binaries and structs are OTHER."""
    types = pa.types
    if is_text(data_type):
        return Kind.TEXT
    if types.is_integer(data_type) or types.is_decimal(data_type) or types.is_floating(data_type):
        return Kind.NUMBER
    if types.is_timestamp(data_type):
        return Kind.ZONED if data_type.tz else Kind.TIMESTAMP
    if is_list(data_type):
        return Kind.LIST
    simple = ((types.is_boolean, Kind.BOOLEAN), (types.is_date, Kind.DATE), (types.is_null, Kind.NULL))
    return next((k for test, k in simple if test(data_type)), Kind.OTHER)


def digits(data_type: pa.DataType) -> tuple[int, int] | None:
    """Whole digits and scale that hold every value of an exact number; None for other types."""
    if pa.types.is_decimal(data_type):
        return data_type.precision - data_type.scale, data_type.scale
    if pa.types.is_integer(data_type):
        signed = {8: 3, 16: 5, 32: 10, 64: 19}[data_type.bit_width]
        return (20 if pa.types.is_uint64(data_type) else signed), 0
    return None


def common_decimal(types: Sequence[pa.DataType]) -> tuple[int, int] | None:
    """Whole digits and scale that hold every value of all these exact numbers."""
    parts = [digits(t) for t in types]
    exact = [p for p in parts if p is not None]
    if len(exact) < len(parts):
        return None
    return max(w for w, _ in exact), max(s for _, s in exact)


class Typer:
    """Asks the engine for the types of expressions."""

    def __init__(self, session: SessionContext) -> None:
        self._session = session

    def name(self, data_type: pa.DataType) -> str:
        """The type's name as people write it."""
        return type_name(data_type)

    def types(
        self, expressions: Sequence[exp.Expr], found: Resolution, *, quiet: bool = False
    ) -> list[pa.DataType | None]:
        """Types of resolved expressions; None where one has none, which is noted unless `quiet`."""
        if not expressions:
            return []
        texts, fields = _flattened(expressions, found)
        known = [i for i, text in enumerate(texts) if text is not None]
        schema = pa.schema(fields or [pa.field("none", pa.int64())])
        empty = pa.record_batch([pa.array([], f.type) for f in schema], schema=schema)
        self._session.register_record_batches(_TABLE, [[empty]])
        try:
            planned = self._plan([texts[i] or "" for i in known], schema)
            if planned is None:
                planned = [
                    self._alone(expressions[i], texts[i] or "", schema, None if quiet else found)
                    for i in known
                ]
        finally:
            self._session.deregister_table(_TABLE)
        result: list[pa.DataType | None] = [None] * len(texts)
        for i, data_type in zip(known, planned, strict=True):
            result[i] = data_type
        return result

    def _plan(self, texts: list[str], schema: pa.Schema) -> list[pa.DataType | None] | None:
        if not texts:
            return []
        try:
            return list(self._query(texts, schema).types)
        except Exception:  # noqa: BLE001  # the engine raises what it likes; each is asked for alone then
            return None

    def _alone(
        self, node: exp.Expr, text: str, schema: pa.Schema, found: Resolution | None
    ) -> pa.DataType | None:
        try:
            return self._query([text], schema).types[0]
        except Exception as error:  # noqa: BLE001  # see above
            if found is not None:
                found.problem(Code.INVALID_SQL, explain(str(error)), node)
            return None

    def _query(self, texts: list[str], schema: pa.Schema) -> pa.Schema:
        listed = ", ".join(f"{text} AS x{i}" for i, text in enumerate(texts))
        group = ""
        if any(f"{name}(" in text for text in texts for name in AGGREGATES):
            # Grouped by all columns, rows and aggregates may stand side by side.
            group = " GROUP BY " + ", ".join(quoted(f.name) for f in schema)
        return self._session.sql(f"SELECT {listed} FROM {_TABLE}{group}").schema()  # noqa: S608  # composed from the syntax tree

    def united(self, a: pa.DataType | None, b: pa.DataType | None) -> pa.DataType | None:
        """The one type into which two go exactly, without changing their kind; None if there is none."""
        if a is None or b is None or a == b:
            return a if b is None else b
        if pa.types.is_null(a) or pa.types.is_null(b):
            return b if pa.types.is_null(a) else a
        if kind(a) != kind(b):
            return None
        common = common_decimal([a, b])
        if common is not None:
            if pa.types.is_integer(a) and pa.types.is_integer(b) and common[0] <= 19:  # noqa: PLR2004
                return pa.int64()
            whole, scale = common
            return decimal_type(whole + scale, scale) if whole + scale <= MAX_128 else None
        same = (Kind.TEXT, Kind.BOOLEAN, Kind.DATE, Kind.ZONED, Kind.TIMESTAMP)
        return a if kind(a) in same else None


def _flattened(
    expressions: Sequence[exp.Expr], found: Resolution
) -> tuple[list[str | None], list[pa.Field[pa.DataType]]]:
    """Write expressions over columns c0, c1, ... of the types that the names in them have."""
    fields: list[pa.Field[pa.DataType]] = []
    texts: list[str | None] = []
    for expression in expressions:
        holder = exp.Paren(this=found.copy(expression))
        holes = _holes(holder.this, found)
        if any(data_type is None for _, data_type in holes):
            texts.append(None)
            continue
        for node, data_type in holes:
            name = f"c{len(fields)}"
            fields.append(pa.field(name, data_type))
            node.replace(exp.column(name, quoted=True))
        texts.append(render(holder.this))
    return texts, fields


def _holes(root: exp.Expr, found: Resolution) -> list[tuple[exp.Expr, pa.DataType | None]]:
    holes: list[tuple[exp.Expr, pa.DataType | None]] = []
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Column):
            bound = found.bindings.get(id(node))
            holes.append((node, bound[1].type if bound else None))
        elif isinstance(node, exp.Query):
            holes.append((node, found.query_types.get(id(node))))
        elif _is_condition(node):
            holes.append((node, pa.bool_()))
        else:
            stack.extend(node.iter_expressions())
    return holes


def _is_condition(node: exp.Expr) -> bool:
    return isinstance(node, CONDITIONS) or (
        isinstance(node, exp.Anonymous) and node.name.lower() == TOLERANCE
    )
