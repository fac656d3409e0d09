"""The way of a run's outputs to the place where readers look: all of them at once, by one rename."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kalla_common.errors import Code, KallaError

from kalla_runner.outputs.manifest import OUTPUT_FILES, read_manifest, verify_manifest
from kalla_runner.storage import storage_errors, sync_folder


def check_output_path(output_path: str, allowed_roots: Sequence[Path], run_id: str) -> Path:
    """Check before anything runs that the outputs can be published at `output_path`.

    Args:
        output_path: where the outputs shall appear; relative paths start in the working directory.
        allowed_roots: resolved folders, one of which it must lie below.
        run_id: the run; a folder that this run has already published is fine.

    Returns:
        The real path, links followed.

    Raises:
        KallaError: INVALID_REQUEST, PATH_NOT_ALLOWED, OUTPUT_NOT_WRITABLE or STORAGE_FULL.
    """
    if not output_path or "\0" in output_path:
        raise KallaError(Code.INVALID_REQUEST, "output_path needs the path of a folder.")
    path = Path(output_path)
    with storage_errors(path):
        path = path.resolve()
    if path in allowed_roots or not any(path.is_relative_to(root) for root in allowed_roots):
        folders = ", ".join(str(root) for root in allowed_roots) or "none"
        raise KallaError(
            Code.PATH_NOT_ALLOWED,
            f"The output path {output_path} does not lie below an allowed folder ({folders}); start Kalla "
            "with --allow-path and a folder above it to allow it.",
        )
    if not published_by(path, run_id):
        with storage_errors(path):
            _check_free(path)
            _check_writable(path)
    return path


def attempt_folder(output_path: Path, run_id: str, attempt: int) -> Path:
    """Where an attempt of a run may write: hidden, beside the output path, so that publishing is a rename."""
    return output_path.parent / f".{output_path.name}.{run_id}.{attempt}"


def publish(attempt: Path, output_path: Path, run_id: str) -> None:
    """Make the outputs of an attempt appear at `output_path`; safe to repeat after a crash at any point.

    Readers see all files or none. An `output_path` that is an empty folder is replaced; one that holds
    this run's outputs already is left as it is, and what is left of the attempt is removed.

    Raises:
        KallaError: OUTPUT_NOT_WRITABLE if something else lies there or it cannot be written, STORAGE_FULL,
            CONSERVATION_FAILED if the attempt is not what its manifest states.
    """
    if published_by(output_path, run_id):
        shutil.rmtree(attempt, ignore_errors=True)
        return
    verify_manifest(attempt)
    with storage_errors(output_path):
        _check_free(output_path)
        output_path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(attempt)
        _move(attempt, output_path)
        sync_folder(output_path.parent)


def published_by(output_path: Path, run_id: str) -> bool:
    """Whether the outputs of this run lie whole at `output_path`."""
    try:
        manifest = read_manifest(output_path)
    except KallaError:
        return False
    return manifest.identity.run_id == run_id and all((output_path / name).is_file() for name in OUTPUT_FILES)


def _move(attempt: Path, output_path: Path) -> None:
    try:
        attempt.rename(output_path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the target first, or readers would see half of a run.
        near = Path(tempfile.mkdtemp(prefix=f".{output_path.name}.", dir=output_path.parent))
        try:
            for entry in sorted(attempt.iterdir()):
                _copy_synced(entry, near / entry.name)
            near.chmod(0o755)
            sync_folder(near)
            near.rename(output_path)
        except BaseException:
            shutil.rmtree(near, ignore_errors=True)
            raise
        shutil.rmtree(attempt, ignore_errors=True)


def _copy_synced(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _check_free(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise _not_writable(path, "is a file; name a folder that does not exist yet")
    if os.path.ismount(path):
        raise _not_writable(path, "is a mount point, which cannot appear at once; name a folder inside it")
    if any(path.iterdir()):
        raise _not_writable(path, "is not empty; name a folder that does not exist yet")


def _check_writable(path: Path) -> None:
    above = path.parent
    while not above.exists():
        above = above.parent
    # A real write: permission bits do not tell of read-only file systems or quotas.
    Path(tempfile.mkdtemp(prefix=".kalla-", dir=above)).rmdir()


def _not_writable(path: Path, why: str) -> KallaError:
    return KallaError(Code.OUTPUT_NOT_WRITABLE, f"The output path {path} {why}.")
