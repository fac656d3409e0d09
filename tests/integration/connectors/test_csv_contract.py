"""The connector contract for CSV files, plain and compressed."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.integration.connectors.contract import ConnectorContract, SourceMaker


def field(value: Any) -> str:
    """A value as exporters write it: NULL as nothing, text in quotes."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace('"', '""') + '"'
        case _:
            return str(value)


class CsvMaker(SourceMaker):
    def __init__(self, folder: Path, ending: str) -> None:
        self.roots = (folder.resolve(),)
        self._paths = (folder / f"source-{number}{ending}" for number in itertools.count())

    def make(self, table: pa.Table) -> str:
        header = ",".join(f'"{name}"' for name in table.schema.names)
        lines = [header, *(",".join(map(field, row.values())) for row in table.to_pylist())]
        path = next(self._paths)
        self._write(path, "\n".join(lines) + "\n")
        return str(path)

    def change(self, uri: str) -> None:
        path = Path(uri)
        self._write(path, self._read(path) + "," * 7 + "\n")

    def missing(self) -> str:
        return str(next(self._paths))

    @staticmethod
    def _write(path: Path, text: str) -> None:
        data = text.encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    @staticmethod
    def _read(path: Path) -> str:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


class TestCsvContract(ConnectorContract):
    @pytest.fixture(params=[".csv", ".csv.gz"])
    def maker(self, tmp_path: Path, request: pytest.FixtureRequest) -> SourceMaker:
        return CsvMaker(tmp_path, request.param)
