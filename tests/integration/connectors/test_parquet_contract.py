"""The connector contract for Parquet: a file, and a folder of files in an awkward layout."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.connectors.contract import ConnectorContract, SourceMaker


class ParquetMaker(SourceMaker):
    def __init__(self, folder: Path, folders: bool) -> None:
        self.roots = (folder.resolve(),)
        self.folders = folders
        self.paths = (folder / f"source-{number}" for number in itertools.count())

    def make(self, table: pa.Table) -> str:
        path = next(self.paths)
        if not self.folders:
            path = path.with_suffix(".parquet")
            pq.write_table(table, path, row_group_size=4)
            return str(path)
        path.mkdir()
        (path / "_SUCCESS").touch()
        dictionaries = [
            column.dictionary_encode() if pa.types.is_string(column.type) else column
            for column in table.columns
        ]
        odd = pa.table(dictionaries, names=table.schema.names)
        for number in range(3):
            part = odd.slice(2 * number, 2)
            pq.write_table(part, path / f"part-{number}.parquet", compression="zstd")
        return str(path)

    def change(self, uri: str) -> None:
        path = Path(uri)
        table = pq.read_table(path / "part-0.parquet" if self.folders else path)
        if self.folders:
            pq.write_table(table, path / "part-9.parquet")
        else:
            pq.write_table(table.slice(1), path)

    def missing(self) -> str:
        return str(next(self.paths))


class TestParquetContract(ConnectorContract):
    @pytest.fixture(params=["file", "folder"])
    def maker(self, tmp_path: Path, request: pytest.FixtureRequest) -> SourceMaker:
        return ParquetMaker(tmp_path, folders=request.param == "folder")
