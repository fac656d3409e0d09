"""Kalla's home: all state of `kalla up` in one folder, used by one `kalla up` at a time.

postgres/           the embedded database (or a link to it, if only root can pass the home)
s3/                 the embedded S3 store
postgres.password   postgres.port   s3.secret   s3.ports   webhook.secret
runner/             what the runner keeps while runs are under way
runs/               the outputs of runs
logs/               one log a process
kalla.json          addresses and process ids while Kalla runs
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import psutil
from kalla_common.errors import Code, KallaError

from kalla_cli.processes import end_all

DEFAULT_HOME: Final = "~/.kalla"
_LEFTOVER_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class RunningState:
    """The content of kalla.json: where a running Kalla listens. It holds no secret.

    Attributes:
        ready: whether all services said they are ready.
        gateway, runner: base URLs.
        catalog_grpc, chat_grpc, runner_grpc, runner_flight: host:port.
        database: host:port of the embedded PostgreSQL, "" with a database of one's own.
        s3: endpoint of the embedded S3 store, "" with a store of one's own.
        pid: process id of `kalla up`.
        processes: process ids by name, and when each was started, seconds since 1970.
    """

    ready: bool
    gateway: str
    runner: str
    catalog_grpc: str
    chat_grpc: str
    runner_grpc: str
    runner_flight: str
    database: str
    s3: str
    pid: int
    processes: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder and what lies where in it."""

    path: Path

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.path / "logs"

    @property
    def state_file(self) -> Path:
        """Addresses and process ids while Kalla runs."""
        return self.path / "kalla.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one `kalla up` that uses this home."""
        return self.path / "lock"

    def write_state(self, state: RunningState) -> None:
        """Replace kalla.json in one step."""
        fresh = self.state_file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
        fresh.rename(self.state_file)

    def read_state(self) -> RunningState | None:
        """What kalla.json says; None if there is none that can be read."""
        try:
            values = json.loads(self.state_file.read_text())
            processes = {name: (int(pid), float(at)) for name, (pid, at) in values.pop("processes").items()}
            return RunningState(**values, processes=processes)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def in_use(self) -> bool:
        """Whether a `kalla up` holds this home now."""
        if not self.lock_file.exists():
            return False
        with self.lock_file.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False


def find_home(text: str | Path) -> Home:
    """The home at `text`, whether it is there or not; ~ is the user's folder."""
    try:
        return Home(_without_tilde(Path(text)).resolve())
    except RuntimeError as error:
        raise KallaError(
            Code.INVALID_REQUEST, "This user has no home folder for ~; name Kalla's with --home."
        ) from error


def _without_tilde(path: Path) -> Path:
    """`path` with the user's folder in the place of ~; an empty HOME is none, else ~ would be the root."""
    if path.parts[:1] == ("~",) and not os.environ.get("HOME"):
        try:
            return Path(pwd.getpwuid(os.getuid()).pw_dir, *path.parts[1:])
        except KeyError as error:
            raise RuntimeError from error
    return path.expanduser()


@contextmanager
def locked_home(text: str | Path) -> Generator[Home]:
    """The home, made if missing, locked for this process while inside.

    Raises:
        KallaError: ALREADY_EXISTS if a `kalla up` uses it; OUTPUT_NOT_WRITABLE.
    """
    home = find_home(text)
    try:
        _make_folder(home.path)
        home.logs.mkdir(exist_ok=True)
        lock = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KallaError(
            Code.OUTPUT_NOT_WRITABLE,
            f"Kalla's home {home.path} cannot be written ({error.strerror}); choose another with --home.",
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KallaError(Code.ALREADY_EXISTS, _in_use_message(home)) from error
        except OSError as error:
            raise KallaError(
                Code.OUTPUT_NOT_WRITABLE,
                f"Kalla's home {home.path} cannot be locked ({error.strerror}); choose one on a local disk "
                "with --home.",
            ) from error
        _end_leftover_services(home)
        try:
            yield home
        finally:
            home.state_file.unlink(missing_ok=True)
    finally:
        os.close(lock)


def secret_file(path: Path) -> str:
    """The secret in `path`, readable by its owner only; made if missing."""
    if not path.exists():
        # Written aside first: a half-written secret would lock us out for good.
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            # Hexadecimal needs no escaping in a URL and is base64 too, as webhook secrets have to be.
            file.write(secrets.token_hex(32))
        fresh.rename(path)
    return path.read_text().strip()


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(parents=True)
    # Others may pass (the database of a Kalla run by root belongs to another user), not look.
    path.chmod(0o711)


def _in_use_message(home: Home) -> str:
    state = home.read_state()
    where = "" if state is None else f" (process {state.pid}, {state.gateway})"
    return f"Kalla already runs on {home.path}{where}; stop it first, or choose another home with --home."


def _end_leftover_services(home: Home) -> None:
    """End services that a killed `kalla up` left behind: they would work on our database unseen."""
    state = home.read_state()
    if state is None:
        return
    leftovers: list[psutil.Process] = []
    for pid, started in state.processes.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            # Numbers come round again: only the time of start tells that it is the same process.
            if abs(process.create_time() - started) < 1.0:
                leftovers.append(process)
    end_all(leftovers, signal.SIGTERM, _LEFTOVER_SECONDS)
    home.state_file.unlink(missing_ok=True)
