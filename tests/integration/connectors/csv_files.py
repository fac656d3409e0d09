"""What the CSV tests share: files in a folder of their own, opened as sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from kalla_common.domain import FilterCondition, SourceSpec
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.csv.source import CsvSource
from kalla_runner.pinned import PinnedFiles, pin_file

from tests.integration.connectors.contract import read_rows, staged_rows


def csv_source(
    path: Path,
    *,
    schema: Sequence[str] = (),
    filters: Sequence[FilterCondition] = (),
    threads: int = 2,
    block_bytes: int = 1 << 23,
) -> CsvSource:
    """The file opened as a source, with blocks of a size that the test chooses."""
    spec = SourceSpec("src", str(path), tuple(filters), tuple(schema))
    return CsvSource(spec, PinnedFiles.one(pin_file(path)), ReadSession((), threads), block_bytes)


def write(folder: Path, data: bytes | str, name: str = "payments.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(source: CsvSource) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in read_rows(source).to_pylist()]


def stage(source: CsvSource, folder: Path) -> pa.Table:
    return staged_rows(source.stage(folder, lambda _: None))


def csv_text(table: pa.Table) -> str:
    """The rows as exporters write them."""
    header = ",".join(f'"{name}"' for name in table.schema.names)
    lines = [header, *(",".join(map(_field, row.values())) for row in table.to_pylist())]
    return "\n".join(lines) + "\n"


def _field(value: Any) -> str:
    """NULL as nothing, text in quotes."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace('"', '""') + '"'
        case _:
            return str(value)
