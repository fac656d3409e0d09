"""The types of expressions, as the engine itself derives them, and how types meet.

The engine plans `SELECT operation` over a table that has one column for every operand: no rule of
typing is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from datafusion import SessionContext
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.connectors.type_names import decimal_type, is_list, is_text, type_name
from kalla_runner.matching.sql.catalogue import AGGREGATES
from kalla_runner.matching.sql.deadline import check_time
from kalla_runner.matching.sql.dialect import literal_text, quoted, render
from kalla_runner.matching.sql.engine_errors import explain
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.stable import ContradictionError, arriving

if TYPE_CHECKING:
    from kalla_runner.matching.sql.scope import Resolution

MAX_128: Final = 38
MAX_256: Final = 76
_TABLE: Final = "__kalla_types"

CONDITIONS: Final = (
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between),
    *(exp.In, exp.Is, exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.And, exp.Or),
    *(exp.Not, exp.Exists, exp.Any, exp.All),
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


Question = tuple[str, tuple[pa.DataType, ...]]
"""An operation with holes for its operands, and their types."""

_ANSWERED: Final[dict[Question, pa.DataType | str]] = {}
"""Answers of this process: they depend on the engine alone."""
_MOST_ANSWERS: Final = 5_000
_LONGEST_REMEMBERED: Final = 500

_HOLE: Final = re.compile("\ue000(\\d+)\ue001")
"""Marks an operand in a question's text by characters that no SQL word has."""
_PARTS: Final = (
    *(exp.If, exp.Order, exp.Ordered, exp.Distinct, exp.Where, exp.WindowSpec, exp.Slice, exp.Identifier),
    *(
        exp.DataType,
        exp.DataTypeParam,
        exp.Var,
        exp.Star,
        exp.Literal,
        exp.Null,
        exp.Boolean,
        exp.IntervalSpan,
    ),
)
"""Nodes that are a part of an operation, and no value of their own."""
_AROUND_CALLS: Final = (exp.Window, exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)


class Typer:
    """Asks the engine for the types of expressions, one operation at a time.

    `a + b + c` is two questions: what the sum of the types of a and b is, and that of the result and
    the type of c. Every node is looked at once, and a question that was answered before is not asked
    again, so that the work grows with the text and not with its square.

    Attributes:
        questions: how many the engine was asked.
        nodes: how many nodes were looked at.
    """

    def __init__(self, session: SessionContext) -> None:
        self._session = session
        self.questions = 0
        self.nodes = 0
        self._typed: dict[int, tuple[exp.Expr, pa.DataType]] = {}

    def name(self, data_type: pa.DataType) -> str:
        """The type's name as people write it."""
        return type_name(data_type)

    def types(
        self, expressions: Sequence[exp.Expr], found: Resolution, *, quiet: bool = False
    ) -> list[pa.DataType | None]:
        """Types of resolved expressions; None where one has none, which is noted unless `quiet`.

        A node whose operands have no type has none either, and only the innermost is noted.
        """
        known: dict[int, pa.DataType | None] = {}
        for wave in self._waves(expressions, known, found):
            check_time()
            asked = [question(node, known) for node in wave]
            answers = self._answers([q for q in asked if q is not None])
            for node, one in zip(wave, asked, strict=True):
                answer = None if one is None else answers[one]
                if isinstance(answer, str):
                    if not quiet:
                        found.problem(Code.INVALID_SQL, answer, node)
                    answer = None
                known[id(node)] = answer
                if answer is not None:
                    # Until the node or one in it is changed, which makes sqlglot forget the hash.
                    hash(node)
                    self._typed[id(node)] = (node, answer)
        return [known[id(expression)] for expression in expressions]

    def _waves(
        self, expressions: Sequence[exp.Expr], known: dict[int, pa.DataType | None], found: Resolution
    ) -> list[list[exp.Expr]]:
        """The nodes to ask for, operands before what is made of them; all others is in `known`."""
        waves: list[list[exp.Expr]] = []
        heights: dict[int, int] = {}
        stack = [(expression, False) for expression in reversed(expressions)]
        while stack:
            node, operands_done = stack.pop()
            if id(node) in heights:
                continue
            if operands_done:
                height = 1 + max((heights[id(operand)] for operand in operands(node)), default=0)
                heights[id(node)] = height
                waves.extend([] for _ in range(height - len(waves)))
                waves[height - 1].append(node)
                continue
            remembered = self._typed.get(id(node))
            if remembered is not None and _unchanged(node):
                heights[id(node)] = 0
                known[id(node)] = remembered[1]
                continue
            self.nodes += 1
            if isinstance(node, exp.Column | exp.Query) or _is_condition(node):
                heights[id(node)] = 0
                known[id(node)] = _given(node, found)
                continue
            stack.append((node, True))
            stack.extend((operand, False) for operand in operands(node))
        return waves

    def _answers(self, questions: Sequence[Question]) -> dict[Question, pa.DataType | str]:
        """The type, or what the engine says against it."""
        answers = {q: _ANSWERED[q] for q in questions if q in _ANSWERED}
        open_ones = [q for q in dict.fromkeys(questions) if q not in answers]
        if not open_ones:
            return answers
        for group in ([q for q in open_ones if q[1]], [q for q in open_ones if not q[1]]):
            answers.update(self._group(group))
        if len(_ANSWERED) > _MOST_ANSWERS:
            _ANSWERED.clear()
        _ANSWERED.update((q, answers[q]) for q in open_ones if len(q[0]) <= _LONGEST_REMEMBERED)
        return answers

    def _group(self, questions: Sequence[Question]) -> dict[Question, pa.DataType | str]:
        if not questions:
            return {}
        try:
            return dict(zip(questions, self._ask(questions), strict=True))
        except Exception:  # noqa: BLE001  # the engine raises what it likes; each is asked alone then
            return {one: self._ask_alone(one) for one in questions}

    def _ask_alone(self, one: Question) -> pa.DataType | str:
        try:
            return self._ask([one])[0]
        except ContradictionError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # see above
            return explain(str(error))

    def _ask(self, questions: Sequence[Question]) -> list[pa.DataType]:
        fields: list[pa.Field[pa.DataType]] = []
        texts: list[str] = []
        for text, types in questions:
            names = [quoted(f"c{len(fields) + i}") for i in range(len(types))]
            fields += [pa.field(f"c{len(fields) + i}", t) for i, t in enumerate(types)]
            texts.append(_HOLE.sub(lambda hole, names=names: names[int(hole[1])], text))
        self.questions += 1
        schema = pa.schema(fields or [pa.field("none", pa.int64())])
        # One row of NULLs, so that the engine also shows the types that arrive.
        row = pa.record_batch([pa.nulls(1, f.type) for f in schema], schema=schema)
        self._session.register_record_batches(_TABLE, [[row]])
        try:
            listed = ", ".join(f"{text} AS x{i}" for i, text in enumerate(texts))
            group = ""
            if any(f"{name}(" in text for text in texts for name in AGGREGATES):
                # Grouped by all columns, rows and aggregates may stand side by side.
                group = " GROUP BY " + ", ".join(quoted(f.name) for f in schema)
            frame = self._session.sql(f"SELECT {listed} FROM {_TABLE}{group}")  # noqa: S608  # from the tree
            # Constants would be computed here, however large they are.
            return arriving(self._session, frame) if fields else list(frame.schema().types)
        finally:
            self._session.deregister_table(_TABLE)

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


def _is_condition(node: exp.Expr) -> bool:
    return isinstance(node, CONDITIONS) or (
        isinstance(node, exp.Anonymous) and node.name.lower() == TOLERANCE
    )


def operands(node: exp.Expr) -> list[exp.Expr]:
    """The nearest values below a node whose types decide its own."""
    return _in_reading_order(node, lambda _: None)[1]


def question(node: exp.Expr, known: Mapping[int, pa.DataType | None]) -> Question | None:
    """What the type of a node is, its operands' types being known; None if one of them has none."""
    twin, values = _in_reading_order(node, lambda place: exp.Var(this=f"\ue000{place}\ue001"))
    types = tuple(known[id(value)] for value in values)
    if any(data_type is None for data_type in types):
        return None
    return render(twin), tuple(t for t in types if t is not None)


def _in_reading_order(
    node: exp.Expr, put: Callable[[int], exp.Expr | None]
) -> tuple[exp.Expr, list[exp.Expr]]:
    """A copy of an operation with something in place of its operands, and the operands.

    Where `put` gives nothing, no copy is made.
    """
    values: list[exp.Expr] = []

    def part(child: object, parent: exp.Expr, key: str) -> object:
        if isinstance(child, list):
            return [part(item, parent, key) for item in child]
        if not isinstance(child, exp.Expr):
            return child
        if not _is_part(child, parent, key):
            values.append(child)
            return put(len(values) - 1)
        return whole(child)

    def whole(around: exp.Expr) -> exp.Expr:
        arguments = {key: part(value, around, key) for key, value in around.args.items()}
        return around if put(0) is None else type(around)(**arguments)

    return whole(node), values


def _is_part(child: exp.Expr, parent: exp.Expr, key: str) -> bool:
    if isinstance(child, _PARTS):
        return True
    if isinstance(parent, _AROUND_CALLS) and key == "this":
        return isinstance(child, (exp.Anonymous, *_AROUND_CALLS))
    if isinstance(child, exp.Interval):
        return isinstance(child.this, exp.Literal | None)
    # The type of a literal may depend on its value: 1.19 is a decimal of three digits.
    return literal_text(child) is not None


def _unchanged(node: exp.Expr) -> bool:
    """Whether a node that was hashed is what it was, with all that is in it."""
    return node._hash is not None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way


def _given(node: exp.Expr, found: Resolution) -> pa.DataType | None:
    if isinstance(node, exp.Column):
        bound = found.bindings.get(id(node))
        return bound[1].type if bound else None
    return found.query_types.get(id(node)) if isinstance(node, exp.Query) else pa.bool_()
