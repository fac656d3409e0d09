"""The JSON of the worker callbacks."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Literal

from kalla_common.openapi import MAX_COUNT, TEXT
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from kalla_gateway.rest.schemas import whole
from kalla_gateway.runs.service import Completion, Progress

_RUN_ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"

RunId = Annotated[str, Field(min_length=1, json_schema_extra=TEXT)]
Count = Annotated[StrictInt, Field(ge=0, le=MAX_COUNT), BeforeValidator(whole)]


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
            diagnostics=_storable(
                self.diagnostics
                if self.witness is None
                else {**(self.diagnostics or {}), "witness": self.witness.model_dump(exclude_none=True)}
            ),
        )


def _storable(value: Any) -> Any:
    """A JSON value as PostgreSQL takes it: a fraction as a float if that is exact, else as its text."""
    if isinstance(value, dict):
        return {key: _storable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    if isinstance(value, Decimal):
        near = float(value)
        return near if isfinite(near) and Decimal(repr(near)) == value else str(value)
    return value


class ErrorReport(BaseModel):
    """A run has failed, or was cancelled (code CANCELLED)."""

    run_id: RunId
    error: Annotated[str, Field(json_schema_extra=TEXT)]
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
