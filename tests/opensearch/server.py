"""A real OpenSearch server for tests and benchmarks: from Maven's jars, shared, gone with its users."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from kalla_cli.ports import free_ports

_HERE: Final = Path(__file__).parent
_JARS: Final = _HERE.parents[1] / ".cache" / "opensearch-2.19.1.0"
_MAVEN_SECONDS: Final = 300
_START_SECONDS: Final = 90.0
_TRIES: Final = 5
_ENOUGH_MEMORY: Final = 4 << 30
_JVM: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""A small heap, and a start that is quick rather than a server that is fast."""


class UnavailableError(Exception):
    """Why no server can be started here: no Java, or no way to Maven's packages."""


@contextmanager
def opensearch(*, shared: str = "", options: tuple[str, ...] = _JVM) -> Generator[str]:
    """The address (http://127.0.0.1:port) of a running server.

    Args:
        shared: processes that give the same word share one server; "" for one of its own.
        options: of the Java machine.

    Raises:
        UnavailableError: see there.
    """
    name = f"kalla-opensearch-{shared or os.getpid()}"
    folder = _room() / name
    users = folder / "users"
    users.mkdir(parents=True, exist_ok=True)
    me = users / str(os.getpid())
    try:
        with _locked(folder.with_suffix(".lock")):
            me.touch()
            address = _running(folder) or _start(folder, options)
        yield address
    finally:
        with _locked(folder.with_suffix(".lock")):
            me.unlink(missing_ok=True)
            if not any(users.iterdir()):
                _wait_for_end(folder)
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_suffix(".lock").unlink()


def _room() -> Path:
    """Memory where there is enough of it: a new index waits for the disk several times (0.3 s, else 0.08)."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ENOUGH_MEMORY:
        return memory
    return Path(tempfile.gettempdir())


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _running(folder: Path) -> str | None:
    try:
        address = (folder / "address").read_text()
        return address if _answers(address) else None
    except FileNotFoundError:
        return None


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _start(folder: Path, options: tuple[str, ...]) -> str:
    jars = _jars()
    for _ in range(_TRIES):
        if (address := _tried(folder, jars, options)) is not None:
            return address
    msg = f"OpenSearch did not start:\n{(folder / 'log').read_text()[-3000:]}"
    raise RuntimeError(msg)


def _tried(folder: Path, jars: Path, options: tuple[str, ...]) -> str | None:
    """The address of a server that has started; None if another program took one of its ports."""
    http, transport = free_ports(2)
    # A process group of its own, and no child of this process: others may still use it when this one ends.
    command = ["setsid", "--fork", "java", *options, "-cp", f"{jars}/*", str(_HERE / "Launcher.java")]
    log = folder / "log"
    with log.open("wb") as output:
        subprocess.run(
            [*command, str(folder), str(http), str(transport)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )
    address = f"http://127.0.0.1:{http}"
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if _answers(address):
            (folder / "address").write_text(address)
            return address
        if "BindHttpException" in (said := log.read_text()) or "BindTransportException" in said:
            _wait_for_end(folder)
            return None
        time.sleep(0.1)
    msg = f"OpenSearch did not start within {_START_SECONDS:.0f} s:\n{log.read_text()[-3000:]}"
    raise RuntimeError(msg)


def _wait_for_end(folder: Path) -> None:
    """The server ends by itself when it has no user; its data is not removed under its feet."""
    try:
        process = Path("/proc") / (folder / "pid").read_text()
    except FileNotFoundError:
        return
    for _ in range(100):
        if not process.exists():
            return
        time.sleep(0.1)


def _jars() -> Path:
    """The folder of the server's jars, brought by Maven the first time."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            msg = f"a real OpenSearch server needs {program} (Java 17 and Maven), which is not on the PATH"
            raise UnavailableError(msg)
    _JARS.parent.mkdir(exist_ok=True)
    with _locked(_JARS.with_suffix(".lock")):
        if _JARS.exists():
            return _JARS
        loading = _JARS.with_suffix(".loading")
        shutil.rmtree(loading, ignore_errors=True)
        maven = ["mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"), "dependency:copy-dependencies"]
        try:
            done = subprocess.run(
                [*maven, f"-DoutputDirectory={loading}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=_MAVEN_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"Maven did not bring OpenSearch's packages within {_MAVEN_SECONDS} s"
            raise UnavailableError(msg) from error
        if done.returncode:
            first = next((line for line in done.stdout.splitlines() if "ERROR" in line), "")
            msg = f"Maven cannot bring OpenSearch's packages (is there a network?): {first[:300]}"
            raise UnavailableError(msg)
        loading.rename(_JARS)
    return _JARS
