"""The directories of a run: one for each attempt of a step, so that a dead attempt spoils nothing.

    <work_dir>/<run_id>/stage-<attempt>/    staged sources
    <output's parent>/.<name>.<run_id>.<n>  outputs before they are published

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

LOCK_FILE = ".lock"


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

    @staticmethod
    def new_output(run_id: str, output_path: Path) -> Path:
        """The name of a folder for outputs that are not published yet; it does not exist."""
        return attempt_folder(output_path, run_id, time.time_ns())

    def remove(self, run_id: str, output_path: Path) -> None:
        """Remove all that attempts of the run left, published outputs apart."""
        shutil.rmtree(self._run(run_id), ignore_errors=True)
        self.remove_outputs(run_id, output_path)

    @staticmethod
    def remove_outputs(run_id: str, output_path: Path) -> None:
        """Remove unpublished outputs of the run's dead attempts."""
        for folder in output_path.parent.glob(f".{escape(output_path.name)}.{run_id}.*"):
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
