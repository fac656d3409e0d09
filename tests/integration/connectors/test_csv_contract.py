"""The connector contract for CSV files, plain and compressed."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from tests.integration.connectors.contract import ConnectorContract, SourceMaker
from tests.integration.connectors.csv_files import csv_text


class CsvMaker(SourceMaker):
    def __init__(self, folder: Path, ending: str) -> None:
        self.roots = (folder.resolve(),)
        self._paths = (folder / f"source-{number}{ending}" for number in itertools.count())

    def make(self, table: pa.Table) -> str:
        path = next(self._paths)
        self._write(path, csv_text(table))
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
