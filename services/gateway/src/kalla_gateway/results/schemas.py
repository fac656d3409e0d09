"""The JSON of results."""

from __future__ import annotations

from kalla_common.runner.ports import Page
from pydantic import BaseModel, ConfigDict

from kalla_gateway.sources.schemas import ColumnOut

DEFAULT_PAGE, MAX_PAGE = 200, 1000


class ResultPage(BaseModel):
    """Rows of an output in file order, as text cells, NULL as null."""

    columns: list[ColumnOut]
    rows: list[list[str | None]]
    total_rows: int
    limit: int
    offset: int

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "columns": [
                    {"name": "invoice_id", "data_type": "text", "nullable": True},
                    {"name": "payment_id", "data_type": "integer", "nullable": True},
                ],
                "rows": [["INV-001", "17"]],
                "total_rows": 4500,
                "limit": 1,
                "offset": 0,
            }
        }
    )

    @classmethod
    def of(cls, page: Page, limit: int, offset: int) -> ResultPage:
        """The public form of a page."""
        columns = [ColumnOut.of(column) for column in page.columns]
        return cls(columns=columns, rows=page.rows, total_rows=page.total_rows, limit=limit, offset=offset)
