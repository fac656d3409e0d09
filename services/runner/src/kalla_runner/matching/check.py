"""From match_sql to a checked MatchPlan.

    sandbox       one SELECT, nothing that acts       -> syntax tree
    spelling      what other databases spell otherwise -> the engine's words
    resolve       every name gets its one meaning     -> tree with quoted names, scopes, types
    types_check   nothing is converted silently       -> exact comparisons
    tolerance     tolerance_match                     -> native expressions
    output        one name a column, keys among them  -> outputs
    paths         one_pass or general                 -> the query that runs
    band          tolerance without an equality       -> a join over buckets
    guard, cost                                       -> the engine agrees, and can afford it

Problems are gathered as far as they do not hide each other: `check_match_sql` returns them all,
`plan_match` raises the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from datafusion import SessionContext
from kalla_common.domain import ColumnInfo, SqlCheck, SqlProblem
from kalla_common.errors import Code, KallaError
from sqlglot import exp

from kalla_runner.connectors.type_names import type_name
from kalla_runner.matching.panics import panics_as_errors
from kalla_runner.matching.plan import ROW_COLUMN, MatchPlan, TableInfo
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.band import rewrite_bands
from kalla_runner.matching.sql.cost import check_cost
from kalla_runner.matching.sql.deadline import check_time, limited_time
from kalla_runner.matching.sql.depth import (
    balance_conditions,
    check_depth,
    check_reads,
    cut_casts,
    keep_roundings,
)
from kalla_runner.matching.sql.dialect import bracket, quoted, render
from kalla_runner.matching.sql.engine_errors import CANNOT_PLAN, explain
from kalla_runner.matching.sql.guard import check_reading
from kalla_runner.matching.sql.output import Keys, Output, find_keys, name_outputs, outputs_of, top_select
from kalla_runner.matching.sql.paths import (
    columns_read,
    direct_sides,
    join_keys,
    one_pass,
    relations_of,
    rows_query,
    turn_right_joins,
    write_outputs,
)
from kalla_runner.matching.sql.resolve import resolve
from kalla_runner.matching.sql.sandbox import read_query
from kalla_runner.matching.sql.scope import Resolution, Side, Table, candidates, tables_of
from kalla_runner.matching.sql.spelling import plain_quotes, respell
from kalla_runner.matching.sql.tolerance import rewrite_tolerance
from kalla_runner.matching.sql.types import Typer
from kalla_runner.matching.sql.types_check import check_types
from kalla_runner.matching.stable import stable_frame

_RESERVED = "__kalla"


def plan_match(
    match_sql: str,
    left: TableInfo,
    right: TableInfo,
    lookups: Sequence[TableInfo] = (),
    *,
    allow_quadratic: bool = False,
) -> MatchPlan:
    """Check a match query against the real schemas and make it ready to run.

    Args:
        match_sql: one SELECT, as its author wrote it.
        left: the left side, with its primary key.
        right: the right side, with its primary key.
        lookups: further tables that it may read.
        allow_quadratic: let pass what would compare every row with every row.

    Raises:
        KallaError: INVALID_PRIMARY_KEY, INVALID_SQL, FORBIDDEN_SQL, TYPE_MISMATCH, KEYS_NOT_SELECTED,
            QUADRATIC_PLAN; details "line" and "column" (1-based) say where, if it is in one place.
    """
    checked = _Checked(left, right, tuple(lookups))
    plan, _ = checked.plan(match_sql, allow_quadratic=allow_quadratic)
    return plan


def check_match_sql(
    match_sql: str,
    left: TableInfo,
    right: TableInfo,
    lookups: Sequence[TableInfo] = (),
    *,
    allow_quadratic: bool = False,
) -> SqlCheck:
    """Check a match query without running it; what is wrong with it is in the result, not raised."""
    checked = _Checked(left, right, tuple(lookups))
    try:
        plan, schema = checked.plan(match_sql, allow_quadratic=allow_quadratic)
    except KallaError as error:
        problems = checked.problems or [error]
        return SqlCheck(ok=False, problems=tuple(_problem(p) for p in _distinct(problems)))
    by_name = {field.name: field for field in schema}
    columns = tuple(
        ColumnInfo(name, type_name(by_name[name].type), by_name[name].nullable)
        for name in plan.output_columns
    )
    return SqlCheck(
        ok=True,
        output_columns=columns,
        join_keys=plan.join_keys,
        added_columns=plan.added_columns,
        match_path=plan.path,
    )


def _problem(error: KallaError) -> SqlProblem:
    line, column = error.details.get("line", "0"), error.details.get("column", "0")
    return SqlProblem(error.code.value, error.message, int(line), int(column))


def _distinct(problems: Sequence[KallaError]) -> list[KallaError]:
    return list({(p.message, p.details.get("line"), p.details.get("column")): p for p in problems}.values())


@dataclass(slots=True)
class _Checked:
    left: TableInfo
    right: TableInfo
    lookups: tuple[TableInfo, ...]
    problems: list[KallaError] | None = None

    def plan(self, match_sql: str, *, allow_quadratic: bool) -> tuple[MatchPlan, pa.Schema]:
        with limited_time(), panics_as_errors(Code.INVALID_SQL, "match_sql cannot be planned"):
            return self._plan(match_sql, allow_quadratic=allow_quadratic)

    def _plan(self, match_sql: str, *, allow_quadratic: bool) -> tuple[MatchPlan, pa.Schema]:
        self.problems = []
        tables = tables_of(self.left, self.right, self.lookups)
        self.problems += _table_problems(self.left, self.right, self.lookups)
        self._stop()
        match_sql = plain_quotes(match_sql)
        query = top_select(read_query(match_sql))
        check_reads(query)
        problems, respelt = respell(query, match_sql)
        self.problems += problems
        self._stop()
        written = query.copy()
        typer = Typer(new_session())
        columns, found = resolve(query, tables, match_sql, typer)
        self.problems = found.problems
        check_types(found, typer)
        rewrite_tolerance(found, typer)
        if any(problem.code is Code.TYPE_MISMATCH for problem in found.problems):
            # The engine's own words about the same place say less.
            found.problems[:] = [p for p in found.problems if not p.message.startswith(CANNOT_PLAN)]
        outputs, keys = self._keys(query, columns, found)
        self._stop()
        assert keys is not None  # noqa: S101  # or there was a problem
        # What the engine cannot read is read as Kalla wrote it.
        check_reading(render(written) if respelt else match_sql, written, tables)
        write_outputs(query, outputs)
        return self._finish(query, outputs, keys, found, typer, allow_quadratic=allow_quadratic)

    def _stop(self) -> None:
        if self.problems:
            raise self.problems[0]

    def _keys(
        self, query: exp.Query, columns: Sequence[object], found: Resolution
    ) -> tuple[list[Output], tuple[Keys, Keys] | None]:
        if any(problem.code in (Code.INVALID_SQL, Code.FORBIDDEN_SQL) for problem in found.problems):
            return [], None  # what is missing may only be misspelt
        outputs = outputs_of(query, tuple(columns), found)  # pyright: ignore[reportArgumentType]
        sides: tuple[tuple[Side, TableInfo], ...] = (("left", self.left), ("right", self.right))
        keys = [find_keys(query, outputs, side, table, found) for side, table in sides]
        name_outputs(outputs)
        if keys[0] is None or keys[1] is None:
            return outputs, None
        return outputs, (keys[0], keys[1])

    def _finish(
        self,
        query: exp.Query,
        outputs: Sequence[Output],
        keys: tuple[Keys, Keys],
        found: Resolution,
        typer: Typer,
        *,
        allow_quadratic: bool,
    ) -> tuple[MatchPlan, pa.Schema]:
        sides = direct_sides(query, keys, found)
        equalities: tuple[tuple[str, str], ...] = ()
        tables = (self.left, self.right)
        if sides is not None and isinstance(query, exp.Select):
            relations = relations_of(sides)
            equalities = join_keys(query, relations, keys)
            if not equalities and all(relation.side for relation in relations):
                rewrite_bands(query, relations, tables, found, typer)
            query = one_pass(query, sides, keys, tables, found)
        turn_right_joins(query)
        bracket(query)
        balance_conditions(query)
        keep_roundings(query)
        cut_casts(query)
        check_depth(query)
        sql = render(query)
        schema = self._judge(
            sql, columns_read(query), hidden=sides is not None, allow_quadratic=allow_quadratic
        )
        names = tuple(output.name for output in outputs)
        rows_sql, numbered = "", (False, False)
        if sides is None:
            query, numbered = rows_query(query, keys, found)
            turn_right_joins(query)
            bracket(query)
            rows_sql = render(query) if any(numbered) else ""
        plan = MatchPlan(
            path="general" if sides is None else "one_pass",
            sql=sql,
            output_columns=names,
            left=self.left,
            right=self.right,
            left_key_columns=tuple(names[i] for i in keys[0].positions),
            right_key_columns=tuple(names[i] for i in keys[1].positions),
            added_columns=tuple(o.name for o in outputs if o.added),
            join_keys=equalities,
            uses_side_names=self._side_names(query),
            rows_sql=rows_sql,
            numbered=numbered,
        )
        return plan, schema

    def _side_names(self, query: exp.Query) -> tuple[str, ...]:
        aliases = {t.alias for t in (self.left, self.right, *self.lookups)}
        named = {table.name for table in query.find_all(exp.Table)}
        return tuple(n for n in ("left_src", "right_src") if n in named and n not in aliases)

    def _judge(self, sql: str, used: set[str], *, hidden: bool, allow_quadratic: bool) -> pa.Schema:
        """Let the engine plan the query over empty tables: its word on names, types and joins."""
        session = new_session()
        tables = tables_of(self.left, self.right, self.lookups)
        for table in tables:
            _register(session, table, used, hidden=hidden and table.side is not None)
        try:
            frame, plan = stable_frame(session, sql)
            check_time()
            frame.execution_plan()
        except KallaError:
            raise
        except Exception as error:  # noqa: BLE001  # the engine raises what it likes
            raise KallaError(Code.INVALID_SQL, explain(str(error))) from None
        if not allow_quadratic:
            check_cost(plan, {t.name: t.info.row_count or 0 for t in tables})
        return frame.schema()


def _register(session: SessionContext, table: Table, used: set[str], *, hidden: bool) -> None:
    # What is not used is left out: the engine looks at every column many times.
    fields = [field for field in table.info.schema if field.name in used]
    schema = pa.schema(fields or list(table.info.schema)[:1])
    if hidden:
        schema = schema.append(pa.field(ROW_COLUMN, pa.uint64(), nullable=False))
    empty = pa.record_batch([pa.array([], f.type) for f in schema], schema=schema)
    session.register_record_batches(quoted(table.name), [[empty]])


def _table_problems(left: TableInfo, right: TableInfo, lookups: Sequence[TableInfo]) -> list[KallaError]:
    problems: list[KallaError] = []
    aliases = [t.alias for t in (left, right, *lookups)]
    if len({alias.casefold() for alias in aliases}) < len(aliases):
        message = "Two sources have one alias, apart from upper and lower case: give each its own."
        problems.append(KallaError(Code.INVALID_REQUEST, message))
    for table in (left, right):
        missing = [key for key in table.primary_key if key not in table.schema.names]
        if not table.primary_key:
            message = f"The source {table.alias} has no primary key: name its key columns."
            problems.append(KallaError(Code.INVALID_PRIMARY_KEY, message))
        for key in missing:
            near = candidates(key, table.schema.names)
            message = f"The primary key column {key} is not in {table.alias}; its columns are {near}."
            problems.append(KallaError(Code.INVALID_PRIMARY_KEY, message))
    for table in (left, right, *lookups):
        for name in table.schema.names:
            if name.startswith(_RESERVED):
                message = f"The column {name} of {table.alias} has a name that Kalla keeps for itself."
                problems.append(KallaError(Code.INVALID_REQUEST, message))
    return problems
