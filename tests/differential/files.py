"""Writes a case's tables as the files that Kalla reads: CSV in many dialects, Parquet, staged Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from kalla_common.domain import FilterCondition, FilterOp, SourceSpec
from kalla_runner.staging import StagedTable

from tests.differential.model import Column, Kind, Table, Value
from tests.differential.oracle import arrow_table


def conditions(table: Table) -> tuple[FilterCondition, ...]:
    """Return the table's filters as the REST surface would hand them on."""
    return tuple(
        FilterCondition(f.column, FilterOp(f.op), tuple(_filter_value(cell) for cell in f.values))
        for f in table.filters
    )


def _filter_value(cell: Value) -> str | int | Decimal | bool:
    match cell:
        case datetime():
            return cell.isoformat().replace("+00:00", "Z")
        case date():
            return cell.isoformat()
        case None | float() | tuple():
            raise TypeError(cell)
        case _:
            return cell


def staged_arrow(table: Table, folder: Path, batches: int) -> StagedTable:
    """Write the rows as Arrow IPC files, as a connector stages them; the engine applies the filters."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = arrow_table(table)
    step = max(1, -(-rows.num_rows // batches))
    files: list[Path] = []
    for number, start in enumerate(range(0, max(1, rows.num_rows), step)):
        path = folder / f"{number}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows.slice(start, step))
        files.append(path)
    return StagedTable(table.alias, rows.schema, "arrow", tuple(files), rows.num_rows, conditions(table))


def parquet_source(table: Table, path: Path) -> SourceSpec:
    """Write a Parquet file with small row groups."""
    pq.write_table(arrow_table(table), path, row_group_size=16)
    return SourceSpec(table.alias, str(path), conditions(table))


def csv_source(table: Table, path: Path, rng: Random) -> SourceSpec:
    """Write a CSV file in a random dialect; types are declared where the values do not show them."""
    delimiter = rng.choice([",", ",", ",", ";", "\t"])
    newline = rng.choice(["\n", "\n", "\r\n"])
    quote_all = rng.random() < 0.3
    zone = rng.choice(["Z", "+00:00"])
    lines = [delimiter.join(_quote(column.name, delimiter, quote_all) for column in table.columns)]
    for row in table.rows:
        cells = [_field(cell, delimiter, quote_all, zone) for cell in row]
        lines.append(delimiter.join(cells))
    text = newline.join(lines) + (newline if rng.random() < 0.8 or not table.rows else "")
    path.write_bytes((b"\xef\xbb\xbf" if rng.random() < 0.2 else b"") + text.encode())
    return SourceSpec(table.alias, str(path), conditions(table), schema=_schema(table, rng))


def _schema(table: Table, rng: Random) -> tuple[str, ...]:
    declare_all = rng.random() < 0.4
    return tuple(
        f"{column.name}:{_type_name(column.kind)}"
        for at, column in enumerate(table.columns)
        if declare_all or not shows_its_type(column, [row[at] for row in table.rows])
    )


def shows_its_type(column: Column, cells: Sequence[Value]) -> bool:
    """Whether the values alone, written as text, can only have the column's kind of type."""
    present = [cell for cell in cells if cell is not None]
    if column.kind.name == "text":
        return any(
            isinstance(cell, str) and cell[:3] in ("INV", "PAY", "a,b", "ab", "x", "y", "z")
            for cell in present
        )
    if column.kind.name == "decimal" and column.kind.scale == 0:
        return False
    return bool(present)


def _type_name(kind: Kind) -> str:
    match kind.name:
        case "int":
            return "integer"
        case "decimal":
            return f"decimal({kind.precision},{kind.scale})"
        case "timestamptz":
            return "timestamp with time zone"
        case name:
            return name


def _field(cell: Value, delimiter: str, quote_all: bool, zone: str) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case str():
            return _quote(cell, delimiter, quote_all)
        case datetime():
            return cell.replace(tzinfo=None).isoformat() + (zone if cell.tzinfo else "")
        case Decimal():
            return f"{cell:f}"
        case _:
            return str(cell)


def _quote(text: str, delimiter: str, quote_all: bool) -> str:
    if quote_all or text == "" or any(mark in text for mark in (delimiter, '"', "\n", "\r", ",", ";", "\t")):
        return '"' + text.replace('"', '""') + '"'
    return text
