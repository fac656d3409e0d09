"""The directories of a run: one for each attempt of a step, so that a dead attempt spoils nothing.

    <work_dir>/<run_id>/stage-<attempt>/    staged sources
    <output's parent>/.<name>.<run_id>.<n>  outputs before they are published
    <work_dir>/<run_id>/outputs-<attempt>/  the same where they go to an S3 store

Outputs are written beside their destination, because only a rename within one file system
is atomic.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from glob import escape
from pathlib import Path

from kalla_runner.outputs.publish import attempt_folder
from kalla_runner.s3.address import is_s3

LOCK_FILE = ".lock"
_OUTPUTS = "outputs-"


class WorkDirInUseError(Exception):
    """Another process works in this directory."""


class RunFolders:
    """The folders of all runs of this runner.

    Args:
        work_dir: made if missing; locked while this process lives.
    """

    def __init__(self, work_dir: Path) -> None:
        self._work_dir = work_dir
        work_dir.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(work_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            msg = f"another runner works in {work_dir}: give each runner a work_dir of its own"
            raise WorkDirInUseError(msg) from None

    def close(self) -> None:
        """Let another process use the directory."""
        os.close(self._lock)

    def new_stage(self, run_id: str) -> Path:
        """A fresh, empty folder for staged sources."""
        folder = self._run(run_id) / f"stage-{secrets.token_hex(6)}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def new_output(self, run_id: str, output: str) -> Path:
        """The name of a folder for outputs that are not published yet; it does not exist."""
        if is_s3(output):
            return self._run(run_id) / f"{_OUTPUTS}{time.time_ns()}"
        return attempt_folder(Path(output), run_id, time.time_ns())

    def remove(self, run_id: str, output: str) -> None:
        """Remove all that attempts of the run left here, published outputs apart."""
        shutil.rmtree(self._run(run_id), ignore_errors=True)
        self.remove_outputs(run_id, output)

    def remove_outputs(self, run_id: str, output: str) -> None:
        """Remove unpublished outputs of the run's dead attempts."""
        path = Path(output)
        attempts = (
            self._run(run_id).glob(f"{_OUTPUTS}*")
            if is_s3(output)
            else path.parent.glob(f".{escape(path.name)}.{run_id}.*")
        )
        for folder in attempts:
            shutil.rmtree(folder, ignore_errors=True)

    def known_runs(self) -> tuple[str, ...]:
        """Runs that have a folder here."""
        return tuple(entry.name for entry in self._work_dir.iterdir() if entry.is_dir())

    def keep_only(self, run_ids: Iterable[str]) -> None:
        """Remove the folders of all other runs."""
        kept = set(run_ids)
        for run_id in self.known_runs():
            if run_id not in kept:
                shutil.rmtree(self._run(run_id), ignore_errors=True)

    def _run(self, run_id: str) -> Path:
        return self._work_dir / run_id
