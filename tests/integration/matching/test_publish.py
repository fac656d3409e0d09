"""Outputs appear all at once, once, and only where nothing else lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.outputs.manifest import MANIFEST, OUTPUT_FILES, RunIdentity, read_manifest, verify_manifest
from kalla_runner.outputs.publish import attempt_folder, check_output_path, publish, published_by

from tests.integration.matching.support import make_plan, run, stage

RUN = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


TWO_ROWS = pa.table({"id": [1, 2], "ref": ["a", "b"]})


def attempt(
    tmp_path: Path, output: Path, run_id: str = RUN, number: int = 1, rows: pa.Table = TWO_ROWS
) -> Path:
    sides = stage(tmp_path / "in", "lo", rows, ("id",)), stage(tmp_path / "in", "ro", rows.slice(1), ("id",))
    plan = make_plan(
        *sides,
        ("l.id AS left_id, r.id AS right_id", "lo l JOIN ro r ON l.ref = r.ref"),
        ("left_id", "right_id"),
        (("left_id",), ("right_id",)),
    )
    folder = attempt_folder(output, run_id, number)
    identity = RunIdentity(run_id, "hash", {"lo": {"size": 7}})
    run(plan, sides, folder, identity=identity)
    return folder


def refused(folder: Path, output: Path, run_id: str = RUN) -> KallaError:
    with pytest.raises(KallaError) as caught:
        publish(folder, output, run_id)
    return caught.value


def test_all_files_appear_with_a_true_manifest(tmp_path: Path) -> None:
    output = tmp_path / "runs" / "r1"
    folder = attempt(tmp_path, output)
    publish(folder, output, RUN)
    assert sorted(p.name for p in output.iterdir()) == sorted([*OUTPUT_FILES, MANIFEST])
    manifest = verify_manifest(output)
    assert manifest.identity == RunIdentity(RUN, "hash", {"lo": {"size": 7}})
    assert [entry.rows for entry in manifest.files] == [1, 1, 0]
    assert manifest.left.unmatched_rows == 1
    assert not folder.exists()


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "r1"
    output.mkdir()
    publish(attempt(tmp_path, output), output, RUN)
    assert published_by(output, RUN)


def test_publishing_again_after_a_crash_changes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "r1"
    publish(attempt(tmp_path, output), output, RUN)
    before = (output / MANIFEST).stat().st_mtime_ns
    # The process died after the rename: the attempt is gone, and a later attempt may lie there.
    publish(attempt_folder(output, RUN, 1), output, RUN)
    again = attempt(tmp_path, output, number=2)
    publish(again, output, RUN)
    assert (output / MANIFEST).stat().st_mtime_ns == before
    assert not again.exists()


def test_the_outputs_of_another_run_are_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "r1"
    publish(attempt(tmp_path, output, OTHER), output, OTHER)
    assert refused(attempt(tmp_path, output), output).code is Code.OUTPUT_NOT_WRITABLE
    assert published_by(output, OTHER)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_lies_there_is_not_touched(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "r1"
    folder = attempt(tmp_path, output)
    if kind == "file":
        output.write_text("mine")
    else:
        output.mkdir()
        (output / "mine").write_text("mine")
    error = refused(folder, output)
    assert error.code is Code.OUTPUT_NOT_WRITABLE
    assert str(output) in error.message
    assert (output if kind == "file" else output / "mine").read_text() == "mine"


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_trap_12_a_damaged_attempt_is_not_published(tmp_path: Path, damage: str) -> None:
    output = tmp_path / "r1"
    folder = attempt(tmp_path, output)
    victim = folder / "unmatched_left.parquet"
    if damage == "cut":
        os.truncate(victim, victim.stat().st_size - 1)
    elif damage == "changed":
        content = bytearray(victim.read_bytes())
        content[10] ^= 1
        victim.write_bytes(content)
    else:
        victim.unlink()
    assert refused(folder, output).code is Code.CONSERVATION_FAILED
    assert not output.exists()


def test_trap_12_an_attempt_that_never_finished_is_not_published(tmp_path: Path) -> None:
    output = tmp_path / "r1"
    folder = attempt(tmp_path, output)
    (folder / MANIFEST).unlink()
    assert refused(folder, output).code is Code.DATA_NOT_FOUND
    assert not output.exists()


@pytest.fixture
def other_file_system() -> Iterator[Path]:
    """A folder on another file system than the tests' own; skips where there is none."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("there is only one file system here")
    folder = memory / f"kalla-test-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def test_an_attempt_on_another_file_system_is_published_at_once_too(
    tmp_path: Path, other_file_system: Path
) -> None:
    output = tmp_path / "r1"
    folder = attempt(tmp_path, other_file_system / "r1")
    publish(folder, output, RUN)
    verify_manifest(output)
    assert not folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "r1"]


def test_an_output_path_below_an_allowed_folder_is_taken(tmp_path: Path) -> None:
    path = check_output_path(str(tmp_path / "new" / "deep" / "r1"), [tmp_path], RUN)
    assert path == tmp_path / "new" / "deep" / "r1"
    assert not list(tmp_path.iterdir()), "a check leaves nothing behind"


def test_an_output_path_outside_is_refused_even_over_a_link(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link").symlink_to(tmp_path)
    for path in (tmp_path / "r1", allowed / ".." / "r1", allowed / "link" / "r1", allowed):
        with pytest.raises(KallaError) as caught:
            check_output_path(str(path), [allowed], RUN)
        assert caught.value.code is Code.PATH_NOT_ALLOWED


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_an_impossible_output_path_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(KallaError) as caught:
        check_output_path(path, [tmp_path], RUN)
    assert caught.value.code is Code.INVALID_REQUEST


def test_an_output_path_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KallaError) as caught:
        check_output_path(str(tmp_path / "file" / "r1"), [tmp_path], RUN)
    assert caught.value.code is Code.OUTPUT_NOT_WRITABLE


def test_a_path_that_this_run_has_published_passes_the_check(tmp_path: Path) -> None:
    output = tmp_path / "r1"
    publish(attempt(tmp_path, output), output, RUN)
    assert check_output_path(str(output), [tmp_path], RUN) == output
    with pytest.raises(KallaError) as caught:
        check_output_path(str(output), [tmp_path], OTHER)
    assert caught.value.code is Code.OUTPUT_NOT_WRITABLE


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = attempt(tmp_path, tmp_path / "r1")
    manifest = read_manifest(folder)
    assert manifest.to_json() == (folder / MANIFEST).read_bytes()
    assert manifest.engine["datafusion"] == "55.0.0"
