"""The REST endpoints of uploads."""

from __future__ import annotations

from fastapi import APIRouter

from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute
from kalla_gateway.uploads.schemas import (
    ConfirmedUpload,
    ConfirmUpload,
    PresignedUpload,
    PresignUpload,
    PreviewUpload,
    UploadPreview,
)

router = APIRouter(prefix="/api/uploads", tags=["Uploads"], route_class=ExactJsonRoute)

_READING = documented(400, 403, 404, 409, 413, 422, 502, 503, 504, 507)


@router.post("/presign", responses=documented(400, 503))
async def presign_upload(body: PresignUpload, services: Services) -> PresignedUpload:
    """Sign an address in the S3 store, at which one HTTP PUT uploads a CSV file."""
    signed = await services.uploads.presign(body.filename, body.session_id)
    place = signed.place
    return PresignedUpload(upload_id=place.upload_id, presigned_url=signed.url, s3_uri=place.uri)


@router.post("/preview", responses=_READING)
async def preview_upload(body: PreviewUpload, services: Services) -> UploadPreview:
    """Show the columns, the number of rows and the first rows of an uploaded CSV file."""
    content, sample = await services.uploads.preview(body.s3_uri)
    rows = [dict(zip(content.columns, row, strict=True)) for row in sample]
    return UploadPreview(columns=list(content.columns), row_count=content.row_count, sample=rows)


@router.post("/{upload_id}/confirm", responses=_READING)
async def confirm_upload(upload_id: str, body: ConfirmUpload, services: Services) -> ConfirmedUpload:
    """Take an upload as complete; confirming it again answers the same."""
    row, content = await services.uploads.confirm(upload_id, body.s3_uri, body.filename)
    return ConfirmedUpload(
        upload_id=row.upload_id,
        filename=row.filename,
        s3_uri=row.s3_uri,
        columns=list(content.columns),
        row_count=content.row_count,
    )
