"""Domain values to protobuf messages and back; the one place that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp
from kalla.common.v1 import column_pb2, recipe_pb2, source_pb2
from kalla.runner.v1 import job_pb2, runner_service_pb2

from kalla_common.domain import (
    ColumnInfo,
    FilterCondition,
    FilterOp,
    FilterScalar,
    JobProgress,
    JobResult,
    JobSpec,
    JobState,
    OutputPaths,
    Recipe,
    RecipeSource,
    SideDiagnostics,
    SourceSpec,
    SqlCheck,
    SqlProblem,
    WitnessReport,
)
from kalla_common.errors import Code, KallaError

_OPERATORS = {op: source_pb2.FilterOperator.Value(f"FILTER_OPERATOR_{op.name}") for op in FilterOp}
_OPERATORS_BACK = {number: op for op, number in _OPERATORS.items()}
_STATES = {state: job_pb2.JobState.Value(f"JOB_STATE_{state.name}") for state in JobState}
_STATES_BACK = {number: state for state, number in _STATES.items()}


def timestamp(moment: datetime) -> Timestamp:
    """A zone-aware moment as a protobuf timestamp."""
    result = Timestamp()
    result.FromDatetime(moment.astimezone(UTC))
    return result


def moment(value: Timestamp) -> datetime:
    """A protobuf timestamp as a moment in UTC."""
    return value.ToDatetime(tzinfo=UTC)


def source_to_proto(source: SourceSpec) -> source_pb2.ResolvedSource:
    """Pack a source; its filters keep their exact numbers."""
    return source_pb2.ResolvedSource(
        alias=source.alias,
        uri=source.uri,
        filters=[filter_to_proto(condition) for condition in source.filters],
        schema=source.schema,
    )


def source_from_proto(message: source_pb2.ResolvedSource) -> SourceSpec:
    """Unpack a source; raises INVALID_FILTER for an operator or value left out."""
    filters = tuple(filter_from_proto(condition) for condition in message.filters)
    return SourceSpec(message.alias, message.uri, filters, tuple(message.schema))


def filter_to_proto(condition: FilterCondition) -> source_pb2.FilterCondition:
    """Pack a filter."""
    return source_pb2.FilterCondition(
        column=condition.column,
        op=_OPERATORS[condition.op],
        values=[_value_to_proto(value) for value in condition.values],
    )


def _value_to_proto(value: FilterScalar) -> source_pb2.FilterValue:
    if isinstance(value, bool):
        return source_pb2.FilterValue(boolean=value)
    if isinstance(value, str):
        return source_pb2.FilterValue(text=value)
    return source_pb2.FilterValue(number=str(value))


def filter_from_proto(message: source_pb2.FilterCondition) -> FilterCondition:
    """Unpack a filter; raises INVALID_FILTER."""
    if message.op not in _OPERATORS_BACK:
        raise KallaError(Code.INVALID_FILTER, f"The filter on {message.column!r} has no known operator.")
    op = _OPERATORS_BACK[message.op]
    values = tuple(_value_from_proto(message.column, value) for value in message.values)
    needed = {FilterOp.BETWEEN: "exactly two values", FilterOp.IN: "at least one value"}
    fits = {FilterOp.BETWEEN: len(values) == 2, FilterOp.IN: len(values) > 0}  # noqa: PLR2004
    if not fits.get(op, len(values) == 1):
        wanted = needed.get(op, "exactly one value")
        raise KallaError(Code.INVALID_FILTER, f"{op.value} on {message.column!r} needs {wanted}.")
    return FilterCondition(message.column, op, values)


def _value_from_proto(column: str, message: source_pb2.FilterValue) -> FilterScalar:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "boolean":
            return message.boolean
        case "number":
            return _number(column, message.number)
        case _:
            raise KallaError(Code.INVALID_FILTER, f"A value of the filter on {column!r} is empty.")


def _number(column: str, text: str) -> int | Decimal:
    try:
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    except (ValueError, ArithmeticError):
        raise KallaError(
            Code.INVALID_FILTER, f"{text!r} in the filter on {column!r} is not a number."
        ) from None


def column_to_proto(column: ColumnInfo) -> column_pb2.Column:
    """Pack a column."""
    return column_pb2.Column(name=column.name, data_type=column.data_type, nullable=column.nullable)


def column_from_proto(message: column_pb2.Column) -> ColumnInfo:
    """Unpack a column."""
    return ColumnInfo(message.name, message.data_type, message.nullable)


def recipe_to_proto(recipe: Recipe) -> recipe_pb2.Recipe:
    """Pack a recipe."""
    return recipe_pb2.Recipe(
        recipe_id=recipe.recipe_id,
        name=recipe.name,
        description=recipe.description,
        match_sql=recipe.match_sql,
        match_description=recipe.match_description,
        left=_side_to_proto(recipe.left),
        right=_side_to_proto(recipe.right),
        lookups=[_side_to_proto(source) for source in recipe.lookups],
        allow_quadratic=recipe.allow_quadratic,
        witness=recipe.witness,
    )


def recipe_from_proto(message: recipe_pb2.Recipe) -> Recipe:
    """Unpack a recipe."""
    return Recipe(
        recipe_id=message.recipe_id,
        name=message.name,
        description=message.description,
        match_sql=message.match_sql,
        match_description=message.match_description,
        left=_side_from_proto(message.left),
        right=_side_from_proto(message.right),
        lookups=tuple(_side_from_proto(source) for source in message.lookups),
        allow_quadratic=message.allow_quadratic,
        witness=message.witness if message.HasField("witness") else None,
    )


def _side_to_proto(side: RecipeSource) -> recipe_pb2.RecipeSource:
    return recipe_pb2.RecipeSource(
        alias=side.alias, type=side.type, uri=side.uri, schema=side.schema, primary_key=side.primary_key
    )


def _side_from_proto(message: recipe_pb2.RecipeSource) -> RecipeSource:
    return RecipeSource(
        alias=message.alias,
        type=message.type,
        primary_key=tuple(message.primary_key),
        uri=message.uri if message.HasField("uri") else None,
        schema=tuple(message.schema),
    )


def primary_keys_to_proto(keys: Mapping[str, tuple[str, ...]]) -> dict[str, job_pb2.PrimaryKey]:
    """Pack the primary keys by alias."""
    return {alias: job_pb2.PrimaryKey(columns=columns) for alias, columns in keys.items()}


def primary_keys_from_proto(keys: Mapping[str, job_pb2.PrimaryKey]) -> dict[str, tuple[str, ...]]:
    """Unpack the primary keys by alias."""
    return {alias: tuple(key.columns) for alias, key in keys.items()}


def job_spec_to_proto(spec: JobSpec) -> job_pb2.JobSpec:
    """Pack a job."""
    return job_pb2.JobSpec(
        run_id=spec.run_id,
        callback_url=spec.callback_url,
        match_sql=spec.match_sql,
        sources=[source_to_proto(source) for source in spec.sources],
        output_path=spec.output_path,
        primary_keys=primary_keys_to_proto(spec.primary_keys),
        allow_quadratic=spec.allow_quadratic,
        trial=spec.trial,
        witness=spec.witness,
    )


def job_spec_from_proto(message: job_pb2.JobSpec) -> JobSpec:
    """Unpack a job."""
    return JobSpec(
        run_id=message.run_id,
        match_sql=message.match_sql,
        sources=tuple(source_from_proto(source) for source in message.sources),
        output_path=message.output_path,
        primary_keys=primary_keys_from_proto(message.primary_keys),
        callback_url=message.callback_url,
        allow_quadratic=message.allow_quadratic,
        trial=message.trial,
        witness=message.witness if message.HasField("witness") else None,
    )


def state_to_proto(state: JobState) -> job_pb2.JobState.ValueType:
    """Pack a state."""
    return _STATES[state]


def state_from_proto(message: job_pb2.JobState.ValueType) -> JobState:
    """Unpack a state; raises INTERNAL for one that this version does not know."""
    try:
        return _STATES_BACK[message]
    except KeyError:
        raise KallaError(Code.INTERNAL, f"The runner sent the unknown job state {message}.") from None


def progress_to_proto(progress: JobProgress, updated_at: datetime) -> job_pb2.JobProgress:
    """Pack progress."""
    return job_pb2.JobProgress(
        stage=progress.stage,
        progress=progress.progress,
        matched_count=progress.matched_count,
        total_left=progress.total_left,
        total_right=progress.total_right,
        source=progress.source,
        updated_at=timestamp(updated_at),
    )


def progress_from_proto(message: job_pb2.JobProgress) -> JobProgress:
    """Unpack progress."""
    return JobProgress(
        stage=message.stage,
        progress=message.progress,
        matched_count=message.matched_count if message.HasField("matched_count") else None,
        total_left=message.total_left if message.HasField("total_left") else None,
        total_right=message.total_right if message.HasField("total_right") else None,
        source=message.source if message.HasField("source") else None,
    )


def result_to_proto(result: JobResult) -> job_pb2.JobResult:
    """Pack the end of a completed job."""
    paths = result.output_paths
    return job_pb2.JobResult(
        matched_count=result.matched_count,
        unmatched_left_count=result.unmatched_left_count,
        unmatched_right_count=result.unmatched_right_count,
        output_paths=job_pb2.OutputPaths(
            matched=paths.matched,
            unmatched_left=paths.unmatched_left,
            unmatched_right=paths.unmatched_right,
            manifest=paths.manifest,
        ),
        left=_diagnostics_to_proto(result.left),
        right=_diagnostics_to_proto(result.right),
        match_path=result.match_path,
        witness=None if result.witness is None else job_pb2.WitnessReport(**asdict(result.witness)),
    )


def result_from_proto(message: job_pb2.JobResult) -> JobResult:
    """Unpack the end of a completed job."""
    paths = message.output_paths
    return JobResult(
        matched_count=message.matched_count,
        unmatched_left_count=message.unmatched_left_count,
        unmatched_right_count=message.unmatched_right_count,
        output_paths=OutputPaths(paths.matched, paths.unmatched_left, paths.unmatched_right, paths.manifest),
        left=_diagnostics_from_proto(message.left),
        right=_diagnostics_from_proto(message.right),
        match_path=message.match_path,
        witness=_witness_from_proto(message.witness) if message.HasField("witness") else None,
    )


def _witness_from_proto(message: job_pb2.WitnessReport) -> WitnessReport:
    # Read off the message by the fields that it has: those left out stay None.
    return WitnessReport(**{field.name: value for field, value in message.ListFields()})


def _diagnostics_to_proto(side: SideDiagnostics) -> job_pb2.SideDiagnostics:
    return job_pb2.SideDiagnostics(
        alias=side.alias,
        total_rows=side.total_rows,
        matched_rows=side.matched_rows,
        unmatched_rows=side.unmatched_rows,
        null_key_rows=side.null_key_rows,
        duplicate_keys=side.duplicate_keys,
        duplicate_key_examples=side.duplicate_key_examples,
        would_match_trimmed=side.would_match_trimmed,
        would_match_case_folded=side.would_match_case_folded,
        shared_key_rows=side.shared_key_rows,
        shared_key_examples=side.shared_key_examples,
        would_match_normalized=side.would_match_normalized,
    )


def _diagnostics_from_proto(message: job_pb2.SideDiagnostics) -> SideDiagnostics:
    return SideDiagnostics(
        alias=message.alias,
        total_rows=message.total_rows,
        matched_rows=message.matched_rows,
        unmatched_rows=message.unmatched_rows,
        null_key_rows=message.null_key_rows,
        duplicate_keys=message.duplicate_keys,
        duplicate_key_examples=tuple(message.duplicate_key_examples),
        would_match_trimmed=message.would_match_trimmed,
        would_match_case_folded=message.would_match_case_folded,
        shared_key_rows=message.shared_key_rows,
        shared_key_examples=tuple(message.shared_key_examples),
        would_match_normalized=message.would_match_normalized,
    )


def sql_check_to_proto(check: SqlCheck) -> runner_service_pb2.CheckMatchSqlResponse:
    """Pack what a check of match_sql found."""
    return runner_service_pb2.CheckMatchSqlResponse(
        ok=check.ok,
        output_columns=[column_to_proto(column) for column in check.output_columns],
        join_keys=[runner_service_pb2.JoinKey(left=left, right=right) for left, right in check.join_keys],
        added_columns=check.added_columns,
        match_path=check.match_path,
        problems=[
            runner_service_pb2.SqlProblem(
                code=problem.code, message=problem.message, line=problem.line, column=problem.column
            )
            for problem in check.problems
        ],
    )


def sql_check_from_proto(message: runner_service_pb2.CheckMatchSqlResponse) -> SqlCheck:
    """Unpack what a check of match_sql found."""
    return SqlCheck(
        ok=message.ok,
        output_columns=tuple(column_from_proto(column) for column in message.output_columns),
        join_keys=tuple((key.left, key.right) for key in message.join_keys),
        added_columns=tuple(message.added_columns),
        match_path=message.match_path,
        problems=tuple(SqlProblem(p.code, p.message, p.line, p.column) for p in message.problems),
    )
