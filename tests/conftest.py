"""What all tests share: one real PostgreSQL server, a fresh database a test, one real OpenSearch server."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from kalla_cli.postgres_owner import find_owner, programs
from psycopg import sql

from tests.opensearch.server import UnavailableError, opensearch

# A slow machine is no defect: what a test may take is bounded by pytest-timeout alone.
settings.register_profile("kalla", deadline=None)
settings.load_profile("kalla")


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL (postgresql://user:password@127.0.0.1:port/postgres) of a real server, password required."""
    folder = Path(tempfile.mkdtemp(prefix="kalla-pg-"))
    data, password_file = folder / "data", folder / "password"
    owner = find_owner(data)
    bin_path = programs(owner)
    password, port = secrets.token_hex(12), free_port()
    password_file.write_text(password)
    data.mkdir()
    for path in (folder, data, password_file):
        owner.give(path)
    server: subprocess.Popen[bytes] | None = None
    try:
        initdb = [bin_path / "initdb", "-D", data, "-U", "kalla", "-A", "scram-sha-256"]
        initdb += ["--pwfile", password_file, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(initdb, user=owner.uid, check=True, capture_output=True)
        command = [bin_path / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        command += ["-c", "fsync=off", "-c", "max_connections=200"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, user=owner.uid, stdout=log, stderr=log)
        url = f"postgresql://kalla:{password}@127.0.0.1:{port}/postgres"
        _wait_until_ready(url, server, folder / "log")
        yield url
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
        try:
            psycopg.connect(url, connect_timeout=1).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("PostgreSQL was not ready within 15 s")


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
