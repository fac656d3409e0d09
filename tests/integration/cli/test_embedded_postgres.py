"""The embedded PostgreSQL: its data outlive every kind of end, and no end leaves a server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from kalla_cli import postgres_owner
from kalla_cli.embedded_postgres import EmbeddedPostgres, embedded_postgres
from kalla_cli.processes import wait_until
from kalla_common.errors import Code, KallaError

pytestmark = pytest.mark.timeout(60)


def passable(folder: str) -> Path:
    """A folder that the database's user may pass, as Kalla makes its home."""
    path = Path(folder).resolve()
    path.chmod(0o711)
    return path


def listener_on(port: int) -> socket.socket:
    """A server in the way."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a table `kept` of one row, which all tests of this file use in turn."""
    with tempfile.TemporaryDirectory(prefix="kalla-home-") as folder:
        # A long path: a Unix socket in it would not work.
        path = passable(folder) / ("long-" * 25)
        path.mkdir()
        with embedded_postgres(path, path / "log") as server, psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        yield path


def kept(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_data_and_port_survive_a_restart(home: Path) -> None:
    with embedded_postgres(home, home / "log") as server:
        first = server.port
        assert kept(server) == 42
    with embedded_postgres(home, home / "log") as server:
        assert (server.port, kept(server)) == (first, 42)
    assert not server.child.running


def test_another_port_is_taken_if_the_last_one_is_in_use(home: Path) -> None:
    with embedded_postgres(home, home / "log") as server:
        pass
    port = server.port
    with listener_on(port), embedded_postgres(home, home / "log") as server:
        assert server.port != port
        assert kept(server) == 42


def test_a_killed_server_recovers_what_was_committed(home: Path) -> None:
    with embedded_postgres(home, home / "log") as server:
        with psycopg.connect(server.url()) as connection:
            connection.execute("UPDATE kept SET value = value + 1")
        server.child.process.kill()
        server.child.process.wait()
    with embedded_postgres(home, home / "log") as server:
        assert kept(server) == 43
        with psycopg.connect(server.url()) as connection:
            connection.execute("UPDATE kept SET value = 42")


def test_a_killed_kalla_leaves_no_server_in_the_way(home: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from kalla_cli.embedded_postgres import embedded_postgres\n"
        "home = Path(sys.argv[1])\n"
        "with embedded_postgres(home, home / 'log') as server:\n"
        "    print(server.child.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, home], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = int(done.stdout)
    with embedded_postgres(home, home / "log") as server:
        assert kept(server) == 42
        assert wait_until(lambda: not psutil.pid_exists(left), 5)


def test_a_pid_file_that_names_a_stranger_is_no_obstacle(home: Path) -> None:
    data = home / "postgres"
    with embedded_postgres(home, home / "log"):
        lines = (data / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with embedded_postgres(home, home / "log") as server:
        assert kept(server) == 42


def test_a_start_that_was_broken_off_while_making_the_data_is_made_good() -> None:
    with tempfile.TemporaryDirectory(prefix="kalla-home-") as folder:
        fresh_home = passable(folder)
        half = fresh_home / "postgres.new"
        half.mkdir()
        (half / "PG_VERSION").write_text("18\n")
        with (
            embedded_postgres(fresh_home, fresh_home / "log") as server,
            psycopg.connect(server.url()) as connection,
        ):
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not half.exists()


def test_data_of_another_major_version_are_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")
    with (
        pytest.raises(KallaError, match="was made by PostgreSQL 17") as caught,
        embedded_postgres(tmp_path, tmp_path / "log"),
    ):
        pass
    assert caught.value.code is Code.DATABASE_UNAVAILABLE
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_the_password_is_required_and_readable_by_its_owner_alone(home: Path) -> None:
    assert (home / "postgres.password").stat().st_mode & 0o777 == 0o600
    with embedded_postgres(home, home / "log") as server:
        wrong = server.url().replace(server.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_keeps_data_outside_a_home_that_nobody_else_can_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tempfile.TemporaryDirectory(prefix="kalla-shared-")
    request.addfinalizer(folder.cleanup)
    shared = passable(folder.name)
    monkeypatch.setattr(postgres_owner, "SHARED", shared)
    hidden = tmp_path / "root"
    hidden.mkdir(mode=0o700)
    home = hidden / "home"
    home.mkdir()
    with embedded_postgres(home, home / "log") as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert (home / "postgres").is_symlink()
    assert (home / "postgres").resolve().parent == shared
    assert hidden.stat().st_mode & 0o777 == 0o700, "permissions of folders that are not Kalla's stay"
    with embedded_postgres(home, home / "log") as server:
        assert server.child.running
