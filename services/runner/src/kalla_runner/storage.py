"""What the operating system says about storage, as errors of the catalogue."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kalla_common.errors import Code, KallaError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

RESERVED_BYTES = 256 * 1024 * 1024
"""What staging leaves free, or the share below of a small disk: a database on it could not go on without."""
RESERVED_SHARE: Final = 0.02


def check_room(folder: Path) -> None:
    """Raise OSError (ENOSPC) if staging would take the last of the disk; cheap enough for every batch."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < min(RESERVED_BYTES, RESERVED_SHARE * disk.f_blocks * disk.f_frsize):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def storage_errors(path: Path) -> Generator[None]:
    """Turn an OSError below into a KallaError that names `path`.

    Raises:
        KallaError: STORAGE_FULL if there is no room, OUTPUT_NOT_WRITABLE for anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise KallaError(
                Code.STORAGE_FULL, f"There is no room to write {path}; free some space and run again."
            ) from error
        reason = error.strerror or "the write failed"
        raise KallaError(Code.OUTPUT_NOT_WRITABLE, f"{path} cannot be written: {reason}.") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
