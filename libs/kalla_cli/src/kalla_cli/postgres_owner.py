"""The user that the embedded PostgreSQL runs as, and the folder that this user can always reach.

PostgreSQL refuses to run as root. An ordinary user runs it as himself, in place. Root runs it as
an unprivileged user, who can pass neither /root nor a virtual environment below it: what that user
cannot reach is kept below SHARED instead, and no permission of a folder that is not Kalla's own is
ever changed.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kalla_common.errors import Code, KallaError

SHARED: Final = Path("/var/lib/kalla")
"""Where root keeps what its home hides from the unprivileged user."""

_CANDIDATES: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that PostgreSQL runs as; None stays the user that runs Kalla."""

    uid: int | None
    gid: int | None

    @property
    def identity(self) -> tuple[int, int] | None:
        """(uid, gid) to start a process with; None: as we are."""
        return None if self.uid is None or self.gid is None else (self.uid, self.gid)

    def give(self, path: Path) -> None:
        """Make `path` this user's own."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def find_owner(data: Path) -> Owner:
    """The user to run PostgreSQL as; a data folder that is there keeps its owner.

    Raises:
        KallaError: DATABASE_UNAVAILABLE if root finds no unprivileged user.
    """
    if os.geteuid() != 0:
        return Owner(None, None)
    if (data / "PG_VERSION").exists() and (state := data.stat()).st_uid != 0:
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


def shared_folder() -> Path:
    """SHARED, made if missing, passable for everybody.

    Raises:
        KallaError: DATABASE_UNAVAILABLE if it cannot be made.
    """
    try:
        SHARED.mkdir(mode=0o755, exist_ok=True)
        # The mode of mkdir is cut by the umask.
        SHARED.chmod(0o755)
    except OSError as error:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"{SHARED} cannot be made for the embedded PostgreSQL ({error.strerror}); "
            "choose a --home that every user can pass, or give --database-url.",
        ) from error
    return SHARED
