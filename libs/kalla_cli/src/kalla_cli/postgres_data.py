"""The data folder of the embedded PostgreSQL: in the home, or in SHARED where the home is out of reach.

Beside a data folder in SHARED lies <its name>.home, which names the home that it belongs to. So a new
home is never given the data of a former one, a copied home does not open the data of the first, and
data whose home is gone are found.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from kalla_common.errors import Code, KallaError

from kalla_cli import postgres_owner
from kalla_cli.postgres_owner import find_owner, reachable, shared_folder

_LINK: Final = "postgres"
_PREFIX: Final = "postgres-"
_RECORD: Final = ".home"


@dataclass(frozen=True, slots=True)
class LeftData:
    """Data in SHARED that no home uses any more.

    Attributes:
        path: the data folder.
        home: the home that it was made for; "" if that was not recorded.
    """

    path: Path
    home: str

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is to be removed with it."""
        return (self.path, _record(self.path))


def data_folder(home: Path) -> Path:
    """The folder of the database of `home`; made if missing, its place recorded as <home>/postgres.

    Raises:
        KallaError: ALREADY_EXISTS if it is the database of another home, of which this one is a copy;
            DATABASE_UNAVAILABLE.
    """
    place = home / _LINK
    owner = find_owner(place)
    hidden = owner.uid is not None and not reachable(place, owner.uid)
    if place.is_symlink() or (place.exists() and (not hidden or _is_open(place))):
        data = place.resolve()
    elif not hidden:
        data = place
    else:
        data = _new_name(home).resolve()
        if place.exists():
            # Restored from a backup, or the home was moved to where its user cannot pass.
            shutil.move(place, data)
    if data.parent == postgres_owner.SHARED.resolve():
        shared_folder()
        _take(data, home)
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)
        owner.give(data)
    elif owner.uid is not None and data.stat().st_uid == 0:
        # Data that root put here, as a copy or from a backup: PostgreSQL does not run as root.
        for path in (data, *data.rglob("*")):
            owner.give(path)
    if data != place and not place.is_symlink():
        place.symlink_to(data)
    return data.resolve()


def left_data(home: Path) -> tuple[LeftData, ...]:
    """Data in SHARED that neither their own home links to nor `home`, and that no server has open.

    Root's matter: nobody else keeps data there, or can read whose they are.
    """
    if os.geteuid() != 0:
        return ()
    return tuple(
        LeftData(data, recorded)
        for data in _data_folders()
        if not _uses(recorded := _recorded_home(data), data)
        and not _uses(str(home), data)
        and not _is_open(data)
    )


def remove_data(home: Path) -> None:
    """Remove the database of `home`, wherever it is, and what is known of it; its server must not run."""
    place = home / _LINK
    data = place.resolve()
    if data.exists():
        shutil.rmtree(data)
    if place.is_symlink():
        place.unlink()
        _record(data).unlink(missing_ok=True)
    for name in ("postgres.password", "postgres.port"):
        (home / name).unlink(missing_ok=True)


def _data_folders() -> Generator[Path]:
    try:
        entries = sorted(postgres_owner.SHARED.resolve().glob(f"{_PREFIX}*"))
    except OSError:
        return
    for entry in entries:
        if not entry.suffix and entry.is_dir():
            yield entry


def _new_name(home: Path) -> Path:
    """A name in SHARED that is not taken, also not by data of a home that was here before."""
    stem = f"{_PREFIX}{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    shared, count = shared_folder(), 1
    while (data := shared / (stem if count == 1 else f"{stem}-{count}")).exists():
        count += 1
    return data


def _take(data: Path, home: Path) -> None:
    recorded = _recorded_home(data)
    if recorded == str(home):
        return
    if recorded and _uses(recorded, data):
        raise KallaError(
            Code.ALREADY_EXISTS,
            f"{home} is a copy of {recorded} and links to the database of that one; "
            "start with another --home, and move data with pg_dump.",
        )
    _record(data).write_text(f"{home}\n", encoding="utf-8", errors="surrogateescape")


def _record(data: Path) -> Path:
    return data.with_name(data.name + _RECORD)


def _recorded_home(data: Path) -> str:
    try:
        return _record(data).read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
    except FileNotFoundError:
        return ""


def _is_open(data: Path) -> bool:
    """Whether a server may have it open."""
    try:
        pid = (data / "postmaster.pid").read_text().partition("\n")[0].strip()
    except OSError:
        return False
    return pid.isdigit() and psutil.pid_exists(int(pid))


def _uses(home: str, data: Path) -> bool:
    """Whether the home is there and links to the data."""
    return bool(home) and (Path(home) / _LINK).resolve() == data
