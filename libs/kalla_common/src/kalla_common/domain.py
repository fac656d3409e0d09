"""The words that all services share, free of any wire format."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum

FilterScalar = str | int | Decimal | bool
"""A filter literal. JSON numbers arrive as int or Decimal, never as float."""


class FilterOp(StrEnum):
    """The nine filter operators of the API reference."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"
    IN = "in"
    LIKE = "like"


@dataclass(frozen=True, slots=True)
class FilterCondition:
    """One condition on one column.

    `values` holds one literal; two for BETWEEN; one or more for IN.
    """

    column: str
    op: FilterOp
    values: tuple[FilterScalar, ...]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source with a resolved URI, ready to be read.

    `schema` lists expected columns as "name" or "name:type"; empty takes what is there.
    """

    alias: str
    uri: str
    filters: tuple[FilterCondition, ...] = ()
    schema: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column as people see it: `data_type` is a plain name such as decimal(12,2)."""

    name: str
    data_type: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """One side of a recipe. `type` is postgres, elasticsearch or file."""

    alias: str
    type: str
    primary_key: tuple[str, ...]
    uri: str | None = None
    schema: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which SQL says what a match is, and over which sources."""

    recipe_id: str
    name: str
    match_sql: str
    left: RecipeSource
    right: RecipeSource
    description: str = ""
    match_description: str = ""
    lookups: tuple[RecipeSource, ...] = ()
    allow_quadratic: bool = False
    witness: bool | None = None
    """Whether a second engine answers too; None leaves it to the runner."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything the runner needs for one run.

    The first source is the left one, the second the right one, further ones are
    look-up tables. `callback_url` is the base of the HTTP callbacks, "" for none. The outputs
    of a `trial` stay with the runner until they are discarded; its `output_path` is "". `witness`
    says whether a second engine answers too; None leaves it to the runner's settings.
    """

    run_id: str
    match_sql: str
    sources: tuple[SourceSpec, ...]
    output_path: str
    primary_keys: dict[str, tuple[str, ...]]
    callback_url: str = ""
    allow_quadratic: bool = False
    trial: bool = False
    witness: bool | None = None


class JobState(StrEnum):
    """Where a job stands; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is: `progress` runs from 0.0 to 1.0 within `stage`."""

    stage: str
    progress: float
    matched_count: int | None = None
    total_left: int | None = None
    total_right: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class SideDiagnostics:
    """What a run says about one of its two sides; all figures are rows unless named keys.

    `shared_key_rows` are rows with the primary key of a matched row that the result of the query does not
    contain themselves.
    """

    alias: str
    total_rows: int
    matched_rows: int
    unmatched_rows: int
    null_key_rows: int
    duplicate_keys: int
    duplicate_key_examples: tuple[str, ...] = ()
    would_match_trimmed: int = 0
    would_match_case_folded: int = 0
    shared_key_rows: int = 0
    shared_key_examples: tuple[str, ...] = ()
    would_match_normalized: int = 0


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """Where the outputs of a run lie."""

    matched: str
    unmatched_left: str
    unmatched_right: str
    manifest: str


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """What a second engine found for the same question on the same rows.

    `status` is agreed or not_possible; `reason` says why it was not possible. Of an agreement there
    are the figures that both engines have: rows, and for each output a hash over all its keys,
    whatever their order.
    """

    status: str
    reason: str | None = None
    engine: str = ""
    seconds: float = 0.0
    matched_count: int | None = None
    unmatched_left_count: int | None = None
    unmatched_right_count: int | None = None
    matched_hash: str | None = None
    unmatched_left_hash: str | None = None
    unmatched_right_hash: str | None = None

    def as_json(self) -> dict[str, str | int | float]:
        """JSON values; what is not known is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class JobResult:
    """The end of a completed job. `match_path` is one_pass or general; `witness` None if none was asked."""

    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    output_paths: OutputPaths
    left: SideDiagnostics
    right: SideDiagnostics
    match_path: str
    witness: WitnessReport | None = None


@dataclass(frozen=True, slots=True)
class SqlProblem:
    """One thing wrong with a query; line and column are 1-based, 0 where unknown."""

    code: str
    message: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """What a check of match_sql against the real schemas found."""

    ok: bool
    output_columns: tuple[ColumnInfo, ...] = ()
    join_keys: tuple[tuple[str, str], ...] = ()
    added_columns: tuple[str, ...] = ()
    match_path: str = ""
    problems: tuple[SqlProblem, ...] = field(default=())
