"""A real PostgreSQL server for tests and for the differential fuzz."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from kalla_cli.ports import free_port
from kalla_cli.postgres_owner import find_owner, programs


@contextmanager
def postgres_server() -> Generator[str]:
    """Run a fresh server; gives its URL (postgresql://user:password@127.0.0.1:port/postgres).

    Raises:
        RuntimeError: if it does not start, with its log.
    """
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
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        try:
            psycopg.connect(url, connect_timeout=1).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PostgreSQL was not ready within 15 s")
