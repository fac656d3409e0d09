"""A file is read where it was checked, whatever takes its place between check and read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.pinned import open_regular, pin_file


def secret_link(path: Path) -> None:
    secret = path.parent / "secret"
    secret.write_text("id,ref\n1,secret\n")
    path.symlink_to(secret)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


TAKES_ITS_PLACE = pytest.mark.parametrize("replacement", [secret_link, pipe, device, folder])


@TAKES_ITS_PLACE
def test_what_takes_a_file_s_place_after_the_check_is_not_read(
    tmp_path: Path, replacement: Callable[[Path], None]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,ref\n1,a\n")
    pinned = pin_file(path)
    path.unlink()
    replacement(path)
    began = time.monotonic()
    for read in (lambda: pinned.opened().__enter__(), pinned.arrow_file, lambda: pin_file(path)):
        with pytest.raises(KallaError) as refused:
            read()
        assert refused.value.code is Code.SOURCE_CHANGED
    assert time.monotonic() - began < 2


def test_a_folder_on_the_way_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("in", "out"):
        (tmp_path / name / "rows.csv").write_text("id\n1\n")
    os.close(open_regular(tmp_path / "in" / "rows.csv"))
    (tmp_path / "in").rename(tmp_path / "was")
    (tmp_path / "in").symlink_to(tmp_path / "out")
    with pytest.raises(KallaError) as refused:
        open_regular(tmp_path / "in" / "rows.csv")
    assert refused.value.code is Code.SOURCE_CHANGED


@TAKES_ITS_PLACE
def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path, replacement: Callable[[Path], None]) -> None:
    roots = (tmp_path / "in",)
    roots[0].mkdir()
    path = roots[0] / "rows.csv"
    replacement(path)
    if path.is_symlink() and not str(path.readlink()).startswith("/dev"):
        path.unlink()
        path.symlink_to(tmp_path / "outside.csv")
        (tmp_path / "outside.csv").write_text("id\n1\n")
    with ReadSession(roots) as session, pytest.raises(KallaError) as refused:
        open_source(SourceSpec("rows", str(path)), session)
    assert refused.value.code in (Code.DATA_NOT_FOUND, Code.PATH_NOT_ALLOWED)


def test_a_parquet_file_cut_short_while_it_is_read_is_an_error_and_not_the_end_of_the_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"id": pa.array(range(400_000)), "text": [f"some text {n}" for n in range(400_000)]})
    pq.write_table(table, path, row_group_size=100_000, compression="none")
    with ReadSession((tmp_path,)) as session:
        batches = open_source(SourceSpec("rows", str(path)), session).rows()
        next(batches)
        os.truncate(path, 4096)
        with pytest.raises(KallaError) as failed:
            list(batches)
    assert failed.value.code is Code.SOURCE_CHANGED
