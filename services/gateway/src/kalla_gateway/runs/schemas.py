"""The JSON of runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from kalla_common.domain import SourceSpec
from kalla_common.filters_json import parse_conditions
from kalla_common.openapi import conditions_schema
from pydantic import BaseModel, ConfigDict, Field

from kalla_gateway.recipes.schemas import RecipeBody
from kalla_gateway.runs.planning import RunRequest
from kalla_gateway.runs.tables import RunRow

_RUN_ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


class ResolvedSourceBody(BaseModel):
    """Another URI, and filters, for one source of the recipe."""

    alias: Annotated[str, Field(min_length=1)]
    uri: Annotated[str, Field(min_length=1)]
    filters: list[Any] | None = Field(
        default=None,
        description="FilterCondition[]: column, op, value",
        json_schema_extra=conditions_schema,
    )

    def domain(self) -> SourceSpec:
        """The same as a domain object; raises INVALID_FILTER."""
        return SourceSpec(self.alias, self.uri, parse_conditions(self.filters or []))


class CreateRun(BaseModel):
    """A run of a stored recipe or of one given here."""

    recipe_id: str | None = None
    recipe: RecipeBody | None = None
    resolved_sources: list[ResolvedSourceBody] | None = None
    witness: bool | None = Field(
        default=None,
        strict=True,
        description="Let a second engine answer too, and fail if it disagrees; absent: as the recipe says.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["recipe_id"], "properties": {"recipe_id": {"type": "string", "minLength": 1}}},
                {"required": ["recipe"], "properties": {"recipe": {"type": "object"}}},
            ],
            "example": {
                "recipe_id": "invoice-payment-match",
                "resolved_sources": [
                    {
                        "alias": "payments",
                        "uri": "/data/payments-2026-02.csv",
                        "filters": [{"column": "paid_amount", "op": "gt", "value": 0}],
                    }
                ],
            },
        }
    )

    def domain(self) -> RunRequest:
        """The same as a domain object; raises INVALID_FILTER."""
        return RunRequest(
            recipe_id=self.recipe_id,
            recipe=self.recipe.domain() if self.recipe is not None else None,
            overrides=tuple(source.domain() for source in self.resolved_sources or ()),
            witness=self.witness,
        )


class RunState(BaseModel):
    """A run's id and where it stands."""

    run_id: str
    status: str

    model_config = ConfigDict(json_schema_extra={"example": {"run_id": _RUN_ID, "status": "submitted"}})


class RunSummary(BaseModel):
    """A run as the list shows it."""

    run_id: str
    recipe_id: str
    status: str = Field(description="submitted, running, completed, failed or cancelled")
    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RunRow) -> RunSummary:
        """The public form of a row."""
        return cls.model_validate(row, from_attributes=True)


class ProgressOut(BaseModel):
    """The latest progress; what the runner did not report is null."""

    stage: str
    progress: float | None
    matched_count: int | None
    total_left: int | None
    total_right: int | None
    updated_at: datetime


class RunDetails(BaseModel):
    """A run with everything that is known of it."""

    run_id: str
    recipe_id: str
    status: str = Field(description="submitted, running, completed, failed or cancelled")
    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    output_matched: str | None
    output_unmatched_left: str | None
    output_unmatched_right: str | None
    error_message: str | None
    error_code: str | None
    created_at: datetime
    updated_at: datetime
    latest_progress: ProgressOut | None
    diagnostics: dict[str, Any] | None = Field(
        description="Of a completed run: left and right (totals, rows that share the key of a matched row "
        "and were not matched themselves, duplicate and NULL keys), match_path"
    )
    witness: dict[str, Any] | None = Field(
        description="Of a completed run that asked for it: status (agreed or not_possible), engine, seconds; "
        "the counts and hashes that both engines have, or the reason"
    )

    @classmethod
    def of(cls, row: RunRow) -> RunDetails:
        """The public form of a row."""
        derived = ("latest_progress", "diagnostics", "witness")
        values = {name: getattr(row, name) for name in cls.model_fields if name not in derived}
        values["latest_progress"] = (
            None if row.progress is None else {**row.progress, "updated_at": row.progress_at}
        )
        diagnostics = None if row.diagnostics is None else dict(row.diagnostics)
        values["witness"] = None if diagnostics is None else diagnostics.pop("witness", None)
        return cls.model_validate({**values, "diagnostics": diagnostics})
