"""Runs a checked query: its rows go into a sink and, in one pass, its row numbers into marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datafusion import DataFrame, Expr, SessionContext

from kalla_runner.matching.duplicates import Bits, Rows
from kalla_runner.matching.execution import run_plan
from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, MatchPlan
from kalla_runner.matching.progress import LOADED, QUERIED, PlanProgress, Ticker
from kalla_runner.matching.stable import stabilised
from kalla_runner.matching.tables import Table
from kalla_runner.outputs.writer import ParquetSink


@dataclass(frozen=True, slots=True)
class Marks:
    """The matched rows of one side.

    Attributes:
        matched: one flag for each row of the source.
        unsure: numbers of marked rows that share their key with another one, where the query does not
            say which of them it matched.
    """

    matched: Bits
    unsure: Rows


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """What a query gave: its rows (already in the sink), and the matched rows of both sides."""

    rows: int
    left: Marks
    right: Marks


class MatchQuery:
    """One query over loaded tables, to be run once.

    Args:
        session: with all tables registered.
        plan: the checked query.
        tables: all tables by alias.
        ticker: told how far the query is.
    """

    def __init__(
        self, session: SessionContext, plan: MatchPlan, tables: dict[str, Table], ticker: Ticker
    ) -> None:
        self.session = session
        self.plan = plan
        self.left = tables[plan.left.alias]
        self.right = tables[plan.right.alias]
        self._input_rows = sum(table.rows for table in tables.values())
        self._ticker = ticker
        self._frame, _ = stabilised(session, self._with_both_keys(session.sql(plan.sql)))

    def with_numbers(self) -> DataFrame:
        """The query's columns and the numbers of the rows behind them, as `MatchPlan.rows_sql` states."""
        frame, _ = stabilised(self.session, self._with_both_keys(self.session.sql(self.plan.rows_sql)))
        return frame

    def _with_both_keys(self, frame: DataFrame) -> DataFrame:
        if self.plan.path == "one_pass":
            return frame
        keys = (*self.plan.left_key_columns, *self.plan.right_key_columns)
        return frame.filter(*(column(name).is_not_null() for name in keys))

    def schema(self) -> pa.Schema:
        """The columns of the matched rows; any may be NULL, whatever the engine thinks of it."""
        schema = self._frame.schema()
        count = len(self.plan.output_columns)
        return pa.schema(
            [
                pa.field(name, field.type)
                for name, field in zip(self.plan.output_columns, list(schema)[:count], strict=True)
            ]
        )

    def run(self, sink: ParquetSink, observe: Callable[[pa.RecordBatch], pa.RecordBatch]) -> int:
        """Write the rows of the query, as `observe` hands them on, and count them."""
        physical = self._frame.execution_plan()
        reading = PlanProgress(physical, self._input_rows)
        rows = 0

        def tick() -> None:
            if self._ticker.due:
                self._ticker.tick(LOADED + (QUERIED - LOADED) * reading.fraction(), rows)

        for batch in run_plan(self.session, physical, observe, tick):
            sink.write(batch)
            rows += batch.num_rows
        return rows


def match_in_one_pass(query: MatchQuery, sink: ParquetSink) -> MatchedRows:
    """Run a query that carries both row numbers, and mark the rows that they name."""
    left = np.zeros(query.left.rows, dtype=np.bool_)
    right = np.zeros(query.right.rows, dtype=np.bool_)
    count = len(query.plan.output_columns)

    def mark(batch: pa.RecordBatch) -> pa.RecordBatch:
        # Setting bytes to one from several threads at once needs no lock.
        left[row_numbers(batch, LEFT_ROW)] = True
        right[row_numbers(batch, RIGHT_ROW)] = True
        return batch.select(range(count))

    rows = query.run(sink, mark)
    none = np.empty(0, dtype=np.int64)
    return MatchedRows(rows, Marks(left, none), Marks(right, none))


def row_numbers(batch: pa.RecordBatch, name: str) -> Rows:
    """A column of row numbers, ready to index with."""
    # As signed numbers of the same bits: numpy takes those for positions without converting them.
    return batch.column(name).to_numpy().view(np.int64)


def column(name: str) -> Expr:
    """The column of exactly this name."""
    return Expr.column(quoted(name))


def quoted(name: str) -> str:
    """A name as an SQL identifier that is taken letter by letter."""
    return '"' + name.replace('"', '""') + '"'
