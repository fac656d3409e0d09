"""The JSON of the worker callbacks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from kalla_gateway.runs.service import Completion, Progress

_RUN_ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"

MAX_BIGINT = 2**63 - 1
RunId = Annotated[str, Field(min_length=1)]
Count = Annotated[StrictInt, Field(ge=0, le=MAX_BIGINT)]


class ProgressReport(BaseModel):
    """How far a run is."""

    run_id: RunId
    stage: Literal["staging", "matching"]
    progress: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    matched_count: Count | None = None
    total_left: Count | None = None
    total_right: Count | None = None
    sequence: Count | None = Field(
        default=None, description="Grows with every report of a run; an older report is ignored."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"run_id": _RUN_ID, "stage": "matching", "progress": 0.75, "matched_count": 3000}
        }
    )

    def domain(self) -> Progress:
        """The same as a domain object."""
        return Progress(
            self.stage, self.progress, self.matched_count, self.total_left, self.total_right, self.sequence
        )


class OutputPathsBody(BaseModel):
    """Where the three outputs lie."""

    matched: str
    unmatched_left: str
    unmatched_right: str


class WitnessBody(BaseModel):
    """What a second engine found: the figures that both engines have, or why it has none."""

    status: Literal["agreed", "not_possible"]
    reason: str | None = None
    engine: str
    seconds: Annotated[float, Field(ge=0.0)]
    matched_count: Count | None = None
    unmatched_left_count: Count | None = None
    unmatched_right_count: Count | None = None
    matched_hash: str | None = None
    unmatched_left_hash: str | None = None
    unmatched_right_hash: str | None = None


class CompletionReport(BaseModel):
    """A run is completed."""

    run_id: RunId
    matched_count: Count
    unmatched_left_count: Count
    unmatched_right_count: Count
    output_paths: OutputPathsBody
    diagnostics: dict[str, Any] | None = None
    witness: WitnessBody | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_id": _RUN_ID,
                "matched_count": 4500,
                "unmatched_left_count": 500,
                "unmatched_right_count": 300,
                "output_paths": {
                    "matched": "/data/runs/a1b2c3d4/matched.parquet",
                    "unmatched_left": "/data/runs/a1b2c3d4/unmatched_left.parquet",
                    "unmatched_right": "/data/runs/a1b2c3d4/unmatched_right.parquet",
                },
            }
        }
    )

    def domain(self) -> Completion:
        """The same as a domain object."""
        return Completion(
            matched_count=self.matched_count,
            unmatched_left_count=self.unmatched_left_count,
            unmatched_right_count=self.unmatched_right_count,
            output_matched=self.output_paths.matched,
            output_unmatched_left=self.output_paths.unmatched_left,
            output_unmatched_right=self.output_paths.unmatched_right,
            diagnostics=self.diagnostics
            if self.witness is None
            else {**(self.diagnostics or {}), "witness": self.witness.model_dump(exclude_none=True)},
        )


class ErrorReport(BaseModel):
    """A run has failed, or was cancelled (code CANCELLED)."""

    run_id: RunId
    error: str
    code: str | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_id": _RUN_ID,
                "error": "The database at db.example.com:5432 refuses the connection.",
                "code": "SOURCE_UNREACHABLE",
            }
        }
    )


class Ok(BaseModel):
    """The report was taken."""

    ok: Literal[True] = True
