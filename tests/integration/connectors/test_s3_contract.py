"""The connector contract for objects of an S3 store: CSV and Parquet, one object or all below a prefix."""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Callable

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_cli.ports import free_port
from kalla_runner.connectors.base import ReadSession
from pydantic import SecretStr

from tests.conftest import S3Bucket
from tests.integration.connectors.contract import ConnectorContract, SourceMaker
from tests.integration.connectors.csv_files import csv_text


def as_csv(table: pa.Table) -> bytes:
    return csv_text(table).encode()


def as_gzip(table: pa.Table) -> bytes:
    return gzip.compress(as_csv(table))


def as_parquet(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, row_group_size=4)
    return target.getvalue()


class S3Maker(SourceMaker):
    """Writes objects `ending`, one a source or, for a prefix, three."""

    def __init__(
        self, bucket: S3Bucket, ending: str, write: Callable[[pa.Table], bytes], prefix: bool
    ) -> None:
        self.bucket = bucket
        self.settings = bucket.settings
        self.ending = ending
        self.write = write
        self.prefix = prefix
        self.names = (f"folder of Ünï/source {number}" for number in itertools.count())

    def session(self) -> ReadSession:
        return ReadSession((), threads=2, s3=self.settings)

    def make(self, table: pa.Table) -> str:
        key = next(self.names)
        if not self.prefix:
            self.put(key + self.ending, table)
            return f"s3://{self.bucket.name}/{key}{self.ending}"
        # Text columns that are empty in one object and full in another have one type in the end.
        for number in range(3):
            self.put(f"{key}/day={number}/part-{number}{self.ending}", table.slice(2 * number, 2))
        obstore.put(self.bucket.store, f"{key}/_SUCCESS", b"")
        return f"s3://{self.bucket.name}/{key}/"

    def put(self, key: str, table: pa.Table) -> None:
        obstore.put(self.bucket.store, key, self.write(table))

    def change(self, uri: str) -> None:
        key = uri.split("/", 3)[3]
        listed = [entry["path"] for page in obstore.list(self.bucket.store, key) for entry in page]
        key = sorted(listed)[1] if self.prefix else key
        data = bytes(obstore.get(self.bucket.store, key).bytes())
        half = len(data) // 2
        obstore.put(self.bucket.store, key, data[:half] + b"7" + data[half + 1 :])

    def missing(self) -> str:
        name = next(self.names)
        return f"s3://{self.bucket.name}/{name}" + ("/" if self.prefix else self.ending)

    def unreachable(self) -> str:
        uri = self.missing()
        nobody = f"http://127.0.0.1:{free_port()}"
        self.settings = self.settings.model_copy(update={"endpoint_url": nobody})
        return uri

    def refused(self) -> tuple[str, str]:
        uri = self.make(pa.table({"id": [1]}))
        secret = "wrongSecretKey/0123456789"
        self.settings = self.settings.model_copy(update={"secret_access_key": SecretStr(secret)})
        return uri, secret


class TestS3Contract(ConnectorContract):
    @pytest.fixture(
        params=[
            (".csv", as_csv, False),
            (".csv.gz", as_gzip, False),
            (".parquet", as_parquet, False),
            (".csv", as_csv, True),
            (".parquet", as_parquet, True),
        ],
        ids=["csv", "gzip", "parquet", "csv prefix", "parquet prefix"],
    )
    def maker(self, s3_bucket: S3Bucket, request: pytest.FixtureRequest) -> SourceMaker:
        return S3Maker(s3_bucket, *request.param)
