"""What the connectors hand to the match engine: a source whose rows lie ready on local disk.

connectors (read) -> StagedTable -> matching (match) -> outputs (keep)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from kalla_common.domain import FilterCondition

StageProgress = Callable[[float], None]
"""Called with the fraction of a source that is staged, 0.0 to 1.0, any number of times."""


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A pinned source with exact types, its rows in local files.

    Attributes:
        alias: the table name in match_sql.
        schema: the exact Arrow schema, strings as utf8 (never string views).
        files: the files in row order. `arrow` files are uncompressed Arrow IPC files,
            meant to be memory-mapped; `parquet` files are the source's own, read in place.
        row_count: rows in the files, before `filters`.
        filters: conditions that the source did not apply itself; already checked
            against the schema. The engine applies them before anything else.
    """

    alias: str
    schema: pa.Schema
    format: Literal["arrow", "parquet"]
    files: tuple[Path, ...]
    row_count: int
    filters: tuple[FilterCondition, ...] = ()
