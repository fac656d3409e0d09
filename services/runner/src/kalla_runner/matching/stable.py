"""Plans whose types are those of the rows that arrive.

The engine plans in steps: it first makes the types of operands agree, then computes constants. Where a
type depends on a constant (`ROUND(x, 2)` is taken for the scale of x until the 2 is computed), what
agreed no longer does, and nothing checks it again: 119.00 equalled 1.19 in a join. Planning what was
planned once more makes the types agree as they are. A plan that this does not change is one in which
they do; only such a plan runs.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from datafusion import DataFrame, LogicalPlan, SessionContext
from kalla_common.errors import Code, KallaError

_PASSES: Final = 4
_FULL_JOIN: Final = "Full Join:"
_OUTER_JOINS: Final = "eliminate_outer_join"
"""The rule of the engine that makes RIGHT, LEFT and inner joins of outer ones whose NULLs a filter drops."""
CONTRADICTION: Final = "column types must match schema types"
"""In the engine's error where an operation gives rows of another type than it says."""
_ADVICE: Final = "write CAST(... AS type) around what it computes"


class ContradictionError(Exception):
    """The engine states one type of an expression and gives another."""

    def __init__(self) -> None:
        super().__init__(f"The engine states one type of this expression and gives another: {_ADVICE}.")


def stable_frame(session: SessionContext, sql: str) -> tuple[DataFrame, LogicalPlan]:
    """Plan `sql` until another pass changes nothing.

    Returns:
        What runs, and its optimised plan.

    Raises:
        KallaError: INVALID_SQL where every pass changes the plan.
        Exception: of the engine, for a query that it cannot plan.
    """
    return stabilised(session, session.sql(sql))


def stabilised(session: SessionContext, frame: DataFrame) -> tuple[DataFrame, LogicalPlan]:
    """A frame of the same rows whose types agree, and its optimised plan; as `stable_frame`.

    Its schema is that of the rows; the one of a frame that is not planned yet may be another.
    """
    frame = _full_joins_kept(session, frame)
    plan = frame.optimized_logical_plan()
    text = written(plan)
    for _ in range(_PASSES):
        frame = session.create_dataframe_from_logical_plan(plan)
        plan = frame.optimized_logical_plan()
        before, text = text, written(plan)
        if text == before:
            return frame, plan
    raise KallaError(Code.INVALID_SQL, f"The types of match_sql do not settle when it is planned: {_ADVICE}.")


def _full_joins_kept(session: SessionContext, frame: DataFrame) -> DataFrame:
    """The frame, planned so that no FULL JOIN becomes a RIGHT JOIN.

    Under a filter the engine makes one of it, and moves a filter of its left side below it as one of its
    right side where the columns have one name and place. `paths.turn_right_joins` is for those in the text.
    """
    plan = frame.logical_plan()
    if _FULL_JOIN not in plan.display_indent():
        return frame
    session.remove_optimizer_rule(_OUTER_JOINS)
    return session.create_dataframe_from_logical_plan(plan)


def written(plan: LogicalPlan) -> str:
    """All of a plan as text; two plans of one text are one plan.

    What `display_indent` shows is not enough: it writes a - (b - c) as a - b - c.
    """
    try:
        return str(plan.to_variant())
    except Exception:  # noqa: BLE001  # the binding has no class for a few roots, such as EXPLAIN
        return plan.display_indent_schema()


def arriving(session: SessionContext, frame: DataFrame) -> list[pa.DataType]:
    """The types of a frame of very few rows, which must be those of the rows.

    What fails for NULLs need not fail for a query's rows: any other failure is left to the query.

    Raises:
        ContradictionError: the rows have other types.
        Exception: of the engine, for what it cannot plan.
    """
    frame.schema()  # what cannot be planned is told best before it is optimised
    again = session.create_dataframe_from_logical_plan(frame.optimized_logical_plan())
    planned = list(again.schema().types)
    try:
        batches = [batch.to_pyarrow() for batch in again.execute_stream()]
    except Exception as error:  # noqa: BLE001  # the engine raises what it likes
        if CONTRADICTION in str(error):
            raise ContradictionError from None
        return planned
    if any(batch.schema.types != planned for batch in batches):
        raise ContradictionError
    return planned
