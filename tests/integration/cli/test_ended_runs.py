"""A test run that is ended from outside leaves no server and no Kalla behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kalla_cli.processes import wait_until

from tests.guard import WORD

pytestmark = pytest.mark.timeout(120)

_REPOSITORY = Path(__file__).parents[3]
_TEST = """
import subprocess, sys, time
from pathlib import Path

def test_that_does_not_end(postgres_url, s3_server):
    tmp_path = Path(sys.argv[-1]).parent
    command = [sys.executable, "-m", "kalla_cli", "up", "--home", str(tmp_path / "home")]
    with (tmp_path / "log").open("wb") as log:
        kalla = subprocess.Popen([*command, "--port", "0", "--runner-port", "0"], stdout=log, stderr=log)
    try:
        while not (tmp_path / "home" / "kalla.json").exists():
            time.sleep(0.02)
        Path(sys.argv[-1]).with_name("running").touch()
        time.sleep(100)
    finally:
        kalla.terminate()
        kalla.wait(20)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kalla-ended-") as made:
        path = Path(made)
        path.chmod(0o711)
        (path / "test_endless.py").write_text(_TEST)
        yield path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    before = {process.pid for process in psutil.process_iter()}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", _REPOSITORY]
    command += ["--confcutdir", _REPOSITORY, "-c", _REPOSITORY / "pyproject.toml", "-p", "tests.conftest"]
    command += [f"--basetemp={folder / 'temporary'}", folder / "test_endless.py"]
    with (folder / "log").open("wb") as log:
        run = subprocess.Popen(
            [str(part) for part in command],
            cwd=_REPOSITORY,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if name != WORD} | {"TMPDIR": str(folder)},
        )
    try:
        running = wait_until((folder / "running").exists, 60)
        started = servers_started_since(before, folder)
        assert running, (folder / "log").read_text()
        assert {"postgres", "weed", "kalla_cli", "kalla_runner"} <= set(started.values())
        run.send_signal(number)
        code = run.wait(40)
    finally:
        run.kill()
        run.wait()
    if number is not signal.SIGKILL:
        assert code == 128 + number, (folder / "log").read_text()
    left = wait_for_end(started, 20)
    assert not left, left


def servers_started_since(before: set[int], folder: Path) -> dict[psutil.Process, str]:
    """What runs below `folder`, by what it is."""
    kinds = ("postgres", "weed", "kalla_cli", "kalla_runner", "kalla_gateway", "kalla_chat")
    found: dict[psutil.Process, str] = {}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = " ".join(process.info["cmdline"] or ())
        ours = str(folder) in command + str(process.info["cwd"])
        try:
            ours = ours or str(folder) in " ".join(process.environ().values())
        except psutil.Error:
            continue
        kind = next((kind for kind in kinds if kind in command), None)
        if process.pid not in before and ours and kind is not None:
            found[process] = kind
    return found


def wait_for_end(processes: dict[psutil.Process, str], seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    while alive := [kind for process, kind in processes.items() if _runs(process)]:
        if time.monotonic() > end:
            return alive
        time.sleep(0.05)
    return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
