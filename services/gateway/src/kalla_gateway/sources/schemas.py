"""The JSON of sources."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from kalla_common.domain import ColumnInfo
from kalla_common.openapi import WORDS, conditions_schema
from kalla_common.runner.ports import Page
from kalla_common.telemetry import redact
from kalla_common.uris import mask_uri
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from kalla_gateway.rest.schemas import Saved, whole
from kalla_gateway.sources.contact import Look
from kalla_gateway.sources.tables import SourceRow
from kalla_gateway.sources.uris import SOURCE_TYPES

DEFAULT_PREVIEW, MAX_PREVIEW = 10, 100
DEFAULT_LOAD, MAX_LOAD = 200, 1000


class SourceOut(BaseModel):
    """A registered source; the password in its URI is masked."""

    alias: str
    uri: str
    source_type: str
    status: str = Field(description="How the last contact ended: connected, unreachable or unknown.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "alias": "invoices",
                "uri": "postgres://reader:***@db.example.com:5432/sales?table=invoices",
                "source_type": "postgres",
                "status": "connected",
            }
        }
    )

    @classmethod
    def of(cls, row: SourceRow) -> SourceOut:
        """The public form of a row."""
        return cls(alias=row.alias, uri=mask_uri(row.uri), source_type=row.source_type, status=row.status)


class RegisterSource(BaseModel):
    """A source to add, or to update by its alias."""

    alias: Annotated[str, Field(min_length=1, json_schema_extra=WORDS)]
    uri: Annotated[
        str,
        Field(
            min_length=1,
            description="A password written as *** keeps the one that is stored.",
            json_schema_extra=WORDS,
        ),
    ]
    source_type: Annotated[
        str, Field(description="postgres, elasticsearch or file", json_schema_extra={"enum": [*SOURCE_TYPES]})
    ]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "alias": "payments",
                "uri": "/data/payments.csv",
                "source_type": "file",
            }
        }
    )


class SourceSaved(Saved):
    """A source is registered, whatever the look at it showed."""

    replaced: bool = Field(description="Whether the alias was in use: what had it is gone.")
    status: Literal["connected", "error", "unknown"] = Field(
        description="error: it cannot be read now, `error` says why; unknown: there is no answer yet."
    )
    error: str | None = Field(default=None, description="One sentence a person can act on.")
    code: str | None = Field(default=None, description="Of the error, as in every error of the API.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "message": "Source registered",
                "replaced": False,
                "status": "error",
                "error": "The file /data/payments.csv does not exist.",
                "code": "DATA_NOT_FOUND",
            }
        }
    )

    @classmethod
    def of(cls, look: Look, *, replaced: bool) -> SourceSaved:
        """The answer after a look."""
        error = look.error
        return cls(
            message="Source registered",
            replaced=replaced,
            status=look.status,
            error=redact(error.message) if error else None,
            code=error.code.value if error else None,
        )


class LoadScoped(BaseModel):
    """Which rows of a source to load."""

    conditions: list[Any] | None = Field(
        default=None,
        description="FilterCondition[]: column, op (eq, neq, gt, gte, lt, lte, between, in, like), value",
        json_schema_extra=conditions_schema,
    )
    limit: Annotated[StrictInt, Field(ge=1), BeforeValidator(whole)] | None = Field(
        default=None, description=f"Default {DEFAULT_LOAD}; more than {MAX_LOAD} counts as {MAX_LOAD}."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "conditions": [{"column": "amount", "op": "gte", "value": 1000}],
                "limit": 200,
            }
        }
    )


class ColumnOut(BaseModel):
    """A column with its plain type name."""

    name: str
    data_type: str
    nullable: bool

    @classmethod
    def of(cls, column: ColumnInfo) -> ColumnOut:
        """The public form of a column."""
        return cls(name=column.name, data_type=column.data_type, nullable=column.nullable)


class SourceRowsOut(BaseModel):
    """Rows of a source as text cells, NULL as null."""

    alias: str
    columns: list[ColumnOut]
    rows: list[list[str | None]]
    total_rows: int
    preview_rows: int

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "alias": "invoices",
                "columns": [
                    {"name": "id", "data_type": "integer", "nullable": False},
                    {"name": "amount", "data_type": "decimal(12,2)", "nullable": True},
                ],
                "rows": [["1", "100.00"], ["2", None]],
                "total_rows": 5000,
                "preview_rows": 2,
            }
        }
    )

    @classmethod
    def of(cls, alias: str, page: Page) -> SourceRowsOut:
        """The public form of a page."""
        return cls(
            alias=alias,
            columns=[ColumnOut.of(column) for column in page.columns],
            rows=page.rows,
            total_rows=page.total_rows,
            preview_rows=len(page.rows),
        )
