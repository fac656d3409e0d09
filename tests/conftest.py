"""What all tests share: real servers of PostgreSQL, S3 and OpenSearch; a fresh database or bucket a test."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import psycopg
import pytest
from hypothesis import settings
from kalla_cli.buckets import bucket_store
from kalla_cli.embedded_s3 import embedded_s3
from kalla_cli.ports import on_free_ports
from kalla_common.s3 import S3Settings, take_s3_settings
from obstore.store import S3Store
from psycopg import sql

from tests.guard import start_guard
from tests.opensearch.server import UnavailableError, opensearch
from tests.postgres import postgres_server

# A slow machine is no defect: what a test may take is bounded by pytest-timeout alone.
settings.register_profile("kalla", deadline=None)
settings.load_profile("kalla")

# What the shell says about somebody's own S3 store must not reach a test.
take_s3_settings()

# Nor must a model that somebody uses: a Kalla under test would ask it, and send it rows.
for _name in [name for name in os.environ if name.startswith(("KALLA_", "OPENAI_", "ANTHROPIC_"))]:
    del os.environ[_name]


start_guard()


def pytest_configure() -> None:
    """End in good order, all fixtures closed, where the run is asked to end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, _end_once)
    pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)


def _end_once(_number: int, _frame: FrameType | None) -> None:
    """It ends already; the processes that fixtures start meanwhile must not ignore the signal."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL (postgresql://user:password@127.0.0.1:port/postgres) of a real server, password required."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of a fresh, empty database, dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)


@dataclass(frozen=True)
class S3Bucket:
    """A bucket of a real S3 server.

    Attributes:
        name: of the bucket.
        settings: where the server is, and credentials for it.
        store: a client of this bucket.
    """

    name: str
    settings: S3Settings
    store: S3Store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Settings]:
    """Address and credentials of a real S3 server, the one that `kalla up` starts."""
    with (
        tempfile.TemporaryDirectory(prefix="kalla-s3-") as folder,
        on_free_ports(lambda: ready_s3(Path(folder))) as settings,
    ):
        yield settings


@contextmanager
def ready_s3(home: Path) -> Generator[S3Settings]:
    """A server that is ready, with its data in `home`."""
    with embedded_s3(home, home / "s3.log", ("ready",)) as server:
        server.wait_until_ready()
        yield server.settings


@pytest.fixture
def s3_bucket(s3_server: S3Settings) -> Iterator[S3Bucket]:
    """A fresh, empty bucket, removed after the test with all that is in it."""
    name = f"test-{secrets.token_hex(6)}"
    key_id, secret, _ = s3_server.credentials()
    client: Any = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        region_name=s3_server.signing_region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    store = bucket_store(s3_server, name)
    client.create_bucket(Bucket=name)
    try:
        yield S3Bucket(name, s3_server, store)
    finally:
        # This server empties a bucket that it deletes.
        client.delete_bucket(Bucket=name)
        client.close()


@pytest.fixture(scope="session")
def opensearch_url() -> Iterator[str]:
    """Address (http://127.0.0.1:port) of a real server without security, the same for all test processes."""
    try:
        with opensearch(shared=os.environ.get("PYTEST_XDIST_TESTRUNUID", "")) as address:
            yield address
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
