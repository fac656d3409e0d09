"""What the SQL side decides and the execution side carries out.

    check.py (SQL in, MatchPlan out) -> MatchPlan -> engine.py (tables in, outputs out)

Two paths:

- `one_pass`: every row of the query comes from exactly one row of each side, be it through CTEs
  and queries in FROM. The engine
  numbers the rows of both sides (hidden column ROW_COLUMN), the query carries both numbers,
  and what no row of the query names is unmatched: one join, no anti-join, and a proof that
  every row is accounted for exactly once.
- `general`: anything else (DISTINCT, GROUP BY, set operations, list keys, ...): run the query,
  then take the unmatched rows by anti-join on the primary keys found in its output. Where a key
  that was found is that of several rows, a second query says which of them the result contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Final, Literal

import pyarrow as pa
from kalla_common.errors import Code, KallaError

ROW_COLUMN: Final = "__kalla_row"
"""Hidden column of both side tables on the one_pass path: the row's number, uint64 from 0."""
LEFT_ROW: Final = "__kalla_left_row"
RIGHT_ROW: Final = "__kalla_right_row"
"""The last two columns of a one_pass query."""

ROW_KEY: Final = "@row"
"""A primary key in a recipe: the number of the row in the pinned source, from 1."""
ROW_NUMBER: Final = "row_number"
"""The column that holds it, in match_sql and in the outputs."""


def row_column(schema: pa.Schema) -> str:
    """The name of the column of row numbers: ROW_NUMBER, or ROW_NUMBER_2 and so on where that is taken."""
    taken = {name.casefold() for name in schema.names}
    names = chain((ROW_NUMBER,), (f"{ROW_NUMBER}_{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def numbered_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema with a last column of row numbers."""
    return schema.append(pa.field(name, pa.int64(), nullable=False))


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that a match query may read; `primary_key` is empty for look-up tables.

    Attributes:
        alias: its name.
        schema: its columns, the one of row numbers included.
        primary_key: columns of `schema`.
        row_count: its rows, None if they are not counted.
        row_column: the column that numbers the rows as they were read, where the recipe's primary key is
            ROW_KEY; it is the primary key then.
    """

    alias: str
    schema: pa.Schema
    primary_key: tuple[str, ...] = ()
    row_count: int | None = None
    row_column: str = ""

    @classmethod
    def of(
        cls, alias: str, schema: pa.Schema, primary_key: Sequence[str], row_count: int | None = None
    ) -> TableInfo:
        """A table with the primary key of a recipe, in which ROW_KEY stands for the row's number.

        Raises:
            KallaError: INVALID_PRIMARY_KEY if ROW_KEY is one of several columns.
        """
        if ROW_KEY not in primary_key:
            return cls(alias, schema, tuple(primary_key), row_count)
        if len(primary_key) > 1:
            raise KallaError(
                Code.INVALID_PRIMARY_KEY,
                f"The primary key of {alias} is {ROW_KEY} and further columns; a row's number is a key by "
                f'itself: write ["{ROW_KEY}"].',
            )
        name = row_column(schema)
        return cls(alias, numbered_schema(schema, name), (name,), row_count, name)


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
        rows_sql: on the general path the query once more with LEFT_ROW and RIGHT_ROW behind its output
            columns, as far as it can yield them: numbers of the rows that a row comes from, or lists of
            them. Needed where a primary key is that of several rows; "" if it can yield neither.
        numbered: for the left and the right side whether `rows_sql` yields the numbers of its rows.
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
    rows_sql: str = ""
    numbered: tuple[bool, bool] = (False, False)
