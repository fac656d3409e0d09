"""The PostgreSQL server that comes with Kalla: made once, started and stopped with `kalla up`.

Its programs come from an installed wheel; its life is ours. It listens on a loopback port
with a password, never on a Unix socket (whose path may not be longer than about 100
characters), and the port is kept, so that source URIs that name it stay right.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg
from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_cli.home import secret_file
from kalla_cli.ports import LOOPBACK, PortLostError, free_port, is_free, on_free_ports
from kalla_cli.postgres_data import data_folder
from kalla_cli.postgres_owner import Owner, find_owner
from kalla_cli.postgres_programs import programs
from kalla_cli.processes import Child, end_all, start

USER: Final = "kalla"
DATABASE: Final = "kalla"
_MAJOR: Final = "18"
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_BUSY: Final = "still in use"


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running embedded server."""

    child: Child
    port: int
    password: str

    def url(self, database: str = DATABASE) -> str:
        """postgresql:// URL of one of its databases, password included."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"


@contextmanager
def embedded_postgres(
    home: Path,
    log: Path,
    check: Callable[[], None] = lambda: None,
    *,
    avoid: Collection[int] = (),
    durable: bool = True,
) -> Generator[EmbeddedPostgres]:
    """A running server with its data in <home>/postgres, stopped on leaving; `home` must be locked.

    Args:
        home: Kalla's home.
        log: where the server's log goes.
        check: called while waiting; what it raises ends the start.
        avoid: ports that something else is about to use.
        durable: whether its data outlive a crash of the machine; False is quicker, for tests.

    Raises:
        KallaError: ALREADY_EXISTS if `home` is a copy of another; DATABASE_UNAVAILABLE with the reason if
            it cannot be made or started.
    """
    _check_version(home / "postgres")
    data = data_folder(home)
    owner = find_owner(data)
    site = _Site(programs(owner), data, owner, log, durable)
    password = _password(home)
    if not (data / "PG_VERSION").exists():
        _make(site, password)
    _end_leftovers(data)
    with on_free_ports(lambda: _started(site, home, avoid, check)) as server:
        running = EmbeddedPostgres(server.child, server.port, password)
        _make_database(running)
        yield running


@contextmanager
def _started(
    site: _Site, home: Path, avoid: Collection[int], check: Callable[[], None]
) -> Generator[_Started]:
    try:
        server = _start(site, _port(home, avoid), check)
    except PortLostError:
        # Whoever has it now may let go of it and take it again.
        _port_file(home).unlink(missing_ok=True)
        raise
    try:
        yield server
    finally:
        server.child.stop(_STOP_SECONDS)


def _password(home: Path) -> str:
    return secret_file(home / "postgres.password")


def _check_version(data: Path) -> None:
    file = data / "PG_VERSION"
    if file.exists() and (found := file.read_text().strip()) != _MAJOR:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"The database in {data} was made by PostgreSQL {found}, and this Kalla has PostgreSQL {_MAJOR}; "
            "start with another --home, or move the data with pg_dump.",
        )


def _make(site: _Site, password: str) -> None:
    """Make the data aside and put it in place when it is whole: half-made data would never start."""
    fresh = site.data.with_name(site.data.name + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    site.owner.give(fresh)
    # Beside the data, which the owner can reach: the system's temporary folder may be root's alone.
    file = fresh.with_suffix(".word")
    file.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as word:
            word.write(password)
        site.owner.give(file)
        done = _initdb(site, fresh, file)
    finally:
        file.unlink(missing_ok=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise KallaError(
            Code.DATABASE_UNAVAILABLE, f"PostgreSQL could not make its data in {site.data}: {reason}"
        )
    fresh.rename(site.data)


def _initdb(site: _Site, fresh: Path, password_file: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [site.programs / "initdb", "-D", fresh, "-U", USER]
    command += ["-A", "scram-sha-256", "--pwfile", password_file]
    # The collation that PostgreSQL brings itself: the system's differ and change.
    command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    if not site.durable:
        command += ["--no-sync"]
    user = site.owner.identity
    return subprocess.run(
        command,
        user=None if user is None else user[0],
        group=None if user is None else user[1],
        extra_groups=None if user is None else (),
        # A locale of the caller's that this machine does not have would be complained about.
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
    )


def _port_file(home: Path) -> Path:
    return home / "postgres.port"


def _port(home: Path, avoid: Collection[int]) -> int:
    """The port of the last time while it is free, else another."""
    file = _port_file(home)
    known = file.read_text().strip() if file.exists() else ""
    if known.isdigit() and int(known) not in avoid and is_free(int(known)):
        return int(known)
    port = free_port(avoid)
    file.write_text(f"{port}\n")
    return port


def _end_leftovers(data: Path) -> None:
    """End the server that a killed `kalla up` left on `data`, and drop a pid file that names a stranger.

    Only the holder of the home's lock comes here, so a server on this data is a leftover.
    """
    mine = [process for process in psutil.process_iter(["name"]) if _serves(process, data)]
    pid_file = data / "postmaster.pid"
    if mine:
        main = _pid(pid_file)
        # SIGINT is PostgreSQL's fast shutdown; its other processes end with the main one.
        end_all([process for process in mine if process.pid == main], signal.SIGINT, _STOP_SECONDS)
        end_all([process for process in mine if process.is_running()], signal.SIGQUIT, 5)
    elif (pid := _pid(pid_file)) is not None and psutil.pid_exists(pid):
        # After a restart of the machine another program may have that number.
        pid_file.unlink()


def _pid(file: Path) -> int | None:
    if not file.exists():
        return None
    text = (file.read_text().splitlines() or [""])[0].strip()
    return int(text) if text.isdigit() else None


def _serves(process: psutil.Process, data: Path) -> bool:
    if process.info["name"] != "postgres":
        return False
    try:
        # Every PostgreSQL process works in its data folder.
        return Path(process.cwd()) == data
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@dataclass(frozen=True, slots=True)
class _Site:
    """What makes and starts the server, and where its data and its log lie."""

    programs: Path
    data: Path
    owner: Owner
    log: Path
    durable: bool


@dataclass(frozen=True, slots=True)
class _Started:
    child: Child
    port: int


def _start(site: _Site, port: int, check: Callable[[], None]) -> _Started:
    end = time.monotonic() + _READY_SECONDS
    while True:
        command: list[str | Path] = [site.programs / "postgres", "-D", site.data, "-p", str(port)]
        command += ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="]
        command += ["-c", "max_connections=200", "-c", "logging_collector=off"]
        if not site.durable:
            command += ["-c", "fsync=off"]
        # SIGINT: fast shutdown; the SIGTERM one would wait for clients to leave.
        child = start(
            "PostgreSQL",
            command,
            site.log,
            ports=(port,),
            user=site.owner.identity,
            folder=Path("/"),
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )
        try:
            _wait_until_ready(child, site.data, end, check)
        except KallaError as error:
            child.stop(_STOP_SECONDS)
            said = site.log.read_bytes()[child.log_begin :].decode("utf-8", "replace")
            if _BUSY in said and time.monotonic() < end:
                # Processes of a server that was killed are still on their way out.
                time.sleep(0.2)
                continue
            raise (error if _BUSY in said else child.explained(error)) from error
        except BaseException:
            child.stop(_STOP_SECONDS)
            raise
        return _Started(child, port)


def _wait_until_ready(child: Child, data: Path, end: float, check: Callable[[], None]) -> None:
    """Wait for the status line that the server writes into its pid file."""
    pid_file = data / "postmaster.pid"
    while True:
        check()
        if not child.running:
            reason = child.last_words(1)
            raise KallaError(
                Code.DATABASE_UNAVAILABLE, f"PostgreSQL did not start ({child.how_it_ended()}): {reason}"
            )
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            lines = []
        # Recovery after an unclean end says "starting" until it is through.
        if len(lines) > 7 and lines[0].strip() == str(child.process.pid) and lines[7].strip() == "ready":  # noqa: PLR2004
            return
        if time.monotonic() > end:
            raise KallaError(
                Code.DATABASE_UNAVAILABLE,
                f"PostgreSQL was not ready within {_READY_SECONDS:.0f} s; its log is {child.log}.",
            )
        time.sleep(0.02)


def _make_database(server: EmbeddedPostgres) -> None:
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.OperationalError as error:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"The embedded PostgreSQL refused Kalla; if postgres.password was changed, put it back: {error}",
        ) from error
