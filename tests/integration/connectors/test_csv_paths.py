"""Which local files may be read, and which connector reads a URI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.csv import CsvSource
from kalla_runner.connectors.paths import allowed_path
from kalla_runner.connectors.registry import connector_name, open_source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "allowed").resolve()
    root.mkdir()
    (root / "a b%20?.csv").write_text("a\n1\n")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    return root


def code_of(text: str, root: Path) -> Code:
    with pytest.raises(KallaError) as failure:
        allowed_path(text, (root,))
    return failure.value.code


def test_a_file_below_a_root_is_found_by_path_and_by_file_uri(root: Path) -> None:
    path = root / "a b%20?.csv"
    assert allowed_path(str(path), (root,)) == path
    assert allowed_path(path.as_uri(), (root,)) == path
    assert allowed_path("file://localhost" + path.as_uri().removeprefix("file://"), (root,)) == path


def test_a_relative_path_starts_in_the_working_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert allowed_path("./a b%20?.csv", (root,)) == root / "a b%20?.csv"


def test_a_path_outside_the_roots_is_refused_and_the_way_out_named(root: Path) -> None:
    outside = root.parent / "secret.csv"
    with pytest.raises(KallaError, match="--allow-path") as failure:
        allowed_path(str(outside), (root,))
    assert failure.value.code is Code.PATH_NOT_ALLOWED
    assert code_of(str(root / ".." / "secret.csv"), root) is Code.PATH_NOT_ALLOWED
    assert code_of(str(root.parent / "allowed-not"), root) is Code.PATH_NOT_ALLOWED


def test_nothing_is_told_about_files_outside_the_roots(root: Path) -> None:
    assert code_of(str(root.parent / "secret.csv"), root) is code_of(str(root.parent / "absent.csv"), root)


def test_a_symbolic_link_does_not_lead_out_of_the_roots(root: Path) -> None:
    (root / "link.csv").symlink_to(root.parent / "secret.csv")
    assert code_of(str(root / "link.csv"), root) is Code.PATH_NOT_ALLOWED


def test_what_is_no_readable_file_is_told(root: Path) -> None:
    (root / "loop.csv").symlink_to(root / "loop.csv")
    os.mkfifo(root / "pipe.csv")
    for name in ("absent.csv", "loop.csv", "pipe.csv", "."):
        assert code_of(str(root / name), root) is Code.DATA_NOT_FOUND
    for uri in ("", "file://server/x.csv", "a\0b", "file://"):
        assert code_of(uri, root) is Code.INVALID_URI


def test_a_csv_file_is_opened_through_the_registry(root: Path) -> None:
    with ReadSession((root,)) as session:
        source = open_source(SourceSpec("src", str(root / "a b%20?.csv")), session)
        assert isinstance(source, CsvSource)
        assert source.count() == 1


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/data/a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.csv.gz", "csv"),
        ("x/y.tsv", "csv"),
        ("file:///a.tsv.gz", "csv"),
        ("/data/a.parquet", "parquet"),
        ("/data/a.csv/part-0", "parquet"),
        ("file:///data/a", "parquet"),
        ("postgres://host/db?table=t", "postgres"),
        ("PostgreSQL://host/db?table=t.csv", "postgresql"),
    ],
)
def test_the_connector_is_found_by_scheme_else_by_file_name(uri: str, name: str) -> None:
    assert connector_name(uri) == name


@pytest.mark.parametrize("uri", ["ftp://host/a.csv", "csv://a", "parquet://a", "mysql://user:secret@host/db"])
def test_a_scheme_that_nothing_reads_is_told_with_what_is_installed(uri: str) -> None:
    with pytest.raises(KallaError) as failure, ReadSession(()) as session:
        open_source(SourceSpec("src", uri), session)
    assert failure.value.code is Code.CONNECTOR_MISSING
    assert "postgresql://" in failure.value.message
    assert "csv" in failure.value.message
    assert "secret" not in failure.value.message
