"""What the SQL side decides and the execution side carries out.

    check.py (SQL in, MatchPlan out) -> MatchPlan -> engine.py (tables in, outputs out)

Two paths:

- `one_pass`: every row of the query comes from exactly one row of each side. The engine
  numbers the rows of both sides (hidden column ROW_COLUMN), the query carries both numbers,
  and what no row of the query names is unmatched: one join, no anti-join, and a proof that
  every row is accounted for exactly once.
- `general`: anything else (DISTINCT, GROUP BY, set operations, list keys, ...): run the query,
  then take the unmatched rows by anti-join on the primary keys found in its output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

ROW_COLUMN: Final = "__kalla_row"
"""Hidden column of both side tables on the one_pass path: the row's number, uint64 from 0."""
LEFT_ROW: Final = "__kalla_left_row"
RIGHT_ROW: Final = "__kalla_right_row"
"""The last two columns of a one_pass query."""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that a match query may read; `primary_key` is empty for look-up tables."""

    alias: str
    schema: pa.Schema
    primary_key: tuple[str, ...] = ()
    row_count: int | None = None


@dataclass(frozen=True, slots=True)
class MatchPlan:
    """A checked match query, ready to run.

    Attributes:
        path: see the module.
        sql: one SELECT in DataFusion's dialect. It names tables by their alias, or `left_src`
            and `right_src`. On the one_pass path it yields `output_columns`, then LEFT_ROW and
            RIGHT_ROW, and only rows in which both primary keys are present. On the general
            path it yields `output_columns`; rows with a NULL in either key are still in it.
        output_columns: the columns of `matched`, all names distinct.
        left, right: the two sides.
        left_key_columns, right_key_columns: the output columns that hold the primary keys, in
            the order of the primary key; on the general path they may be lists.
        added_columns: the output columns that the engine added to the query.
        join_keys: pairs of SQL expressions (left over the left table's columns, right over the
            right table's), equal in every matched pair; () if none was found. Columns in them
            are unqualified and quoted.
        uses_side_names: which of left_src, right_src must be registered as well.
    """

    path: Literal["one_pass", "general"]
    sql: str
    output_columns: tuple[str, ...]
    left: TableInfo
    right: TableInfo
    left_key_columns: tuple[str, ...]
    right_key_columns: tuple[str, ...]
    added_columns: tuple[str, ...] = ()
    join_keys: tuple[tuple[str, str], ...] = ()
    uses_side_names: tuple[str, ...] = ()
