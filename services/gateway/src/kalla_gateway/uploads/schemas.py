"""The JSON of uploads."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_UPLOAD_ID = "6f1c1f0e-3c0b-4a9d-9d57-0d5a3f4e8b21"
_URI = f"s3://kalla-uploads/session-1/{_UPLOAD_ID}/payments.csv"

# Patterns for the document alone: the checks themselves give a better sentence.
_URI_PATTERN = r"^s3://[^/\u0000]+/[^/\u0000]+/[^/\u0000]+/[^/\u0000]+$"
_NAME_PATTERN = r"^[^/\\\u0000-\u001f]*[^/\\\u0000-\u0020.][^/\\\u0000-\u001f]*\.[cC][sS][vV]$"
_SESSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"

S3Uri = Annotated[
    str,
    Field(description="As /api/uploads/presign returned it.", json_schema_extra={"pattern": _URI_PATTERN}),
]


class PresignUpload(BaseModel):
    """A CSV file that a client wants to upload."""

    filename: Annotated[
        str,
        Field(
            description="The file's name, without folders; ends with .csv",
            json_schema_extra={"pattern": _NAME_PATTERN},
        ),
    ]
    session_id: Annotated[
        str,
        Field(
            description="Chat session it belongs to: 1 to 128 letters, digits, - and _",
            json_schema_extra={"pattern": _SESSION_PATTERN},
        ),
    ]

    model_config = ConfigDict(
        json_schema_extra={"example": {"filename": "payments.csv", "session_id": "session-1"}}
    )


class PresignedUpload(BaseModel):
    """Where the file goes: one HTTP PUT of its bytes to `presigned_url`, without credentials."""

    upload_id: str
    presigned_url: str
    s3_uri: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "upload_id": _UPLOAD_ID,
                "presigned_url": f"https://s3.example.com/{_URI[5:]}?X-Amz-Algorithm=AWS4-HMAC-SHA256&...",
                "s3_uri": _URI,
            }
        }
    )


class PreviewUpload(BaseModel):
    """An upload to look at."""

    s3_uri: S3Uri

    model_config = ConfigDict(json_schema_extra={"example": {"s3_uri": _URI}})


class UploadPreview(BaseModel):
    """Column names, the exact number of rows, and the first rows as text, NULL as null."""

    columns: list[str]
    row_count: int
    sample: list[dict[str, str | None]]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "columns": ["invoice_id", "amount", "date"],
                "row_count": 1500,
                "sample": [{"invoice_id": "INV-001", "amount": "100.00", "date": "2026-01-15"}],
            }
        }
    )


class ConfirmUpload(BaseModel):
    """An upload that is complete."""

    s3_uri: S3Uri
    filename: Annotated[
        str,
        Field(description="As given to /api/uploads/presign.", json_schema_extra={"pattern": _NAME_PATTERN}),
    ]

    model_config = ConfigDict(json_schema_extra={"example": {"s3_uri": _URI, "filename": "payments.csv"}})


class ConfirmedUpload(BaseModel):
    """A confirmed upload; its `s3_uri` can be the `uri` of a source."""

    upload_id: str
    filename: str
    s3_uri: str
    columns: list[str]
    row_count: int

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "upload_id": _UPLOAD_ID,
                "filename": "payments.csv",
                "s3_uri": _URI,
                "columns": ["payment_id", "reference_number", "amount"],
                "row_count": 1500,
            }
        }
    )
