"""Bad data, too little memory, no room, no permission: one code, one sentence, nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.limits import Limits

from tests.integration.matching.support import Staged, make_plan, run, stage


def fails(sides: tuple[Staged, Staged], folder: Path, select: str, *, memory_mib: int = 256) -> KallaError:
    plan = make_plan(
        *sides,
        (f"l.id AS left_id, r.id AS right_id, {select} AS extra", "le l JOIN re r ON l.id = r.id"),
        ("left_id", "right_id", "extra"),
        (("left_id",), ("right_id",)),
    )
    with pytest.raises(KallaError) as caught:
        run(plan, sides, folder, limits=Limits(memory_bytes=memory_mib << 20, threads=2))
    return caught.value


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Staged, Staged]:
    rows = pa.table({"id": list(range(200)), "text": [f"n{i}" for i in range(200)], "zero": [0] * 200})
    return stage(tmp_path, "le", rows, ("id",)), stage(tmp_path, "re", rows, ("id",))


@pytest.mark.parametrize(
    ("select", "part"),
    [("l.id / r.zero", "divides by zero"), ("CAST(l.text AS BIGINT)", "'n"), ("CAST(r.text AS DATE)", "'n")],
)
def test_a_value_that_does_not_fit_is_named(
    sides: tuple[Staged, Staged], tmp_path: Path, select: str, part: str
) -> None:
    error = fails(sides, tmp_path / "out", select)
    assert error.code is Code.INVALID_DATA
    assert part in error.message
    assert not list((tmp_path / "out").iterdir())


def test_trap_23_too_little_memory_is_said_with_the_limit(tmp_path: Path) -> None:
    rows = pa.table({"id": list(range(200_000)), "text": ["x" * 100] * 200_000})
    sides = stage(tmp_path, "le", rows, ("id",), cut=50_000), stage(tmp_path, "re", rows, ("id",), cut=50_000)
    error = fails(sides, tmp_path / "out", "concat(l.text, r.text)", memory_mib=8)
    assert error.code is Code.MEMORY_LIMIT
    assert "8 MiB" in error.message
    assert not list((tmp_path / "out").iterdir())


def test_trap_23_decoded_rows_beyond_the_limit_are_held_on_disk(tmp_path: Path) -> None:
    rows = pa.table({"id": list(range(100_000)), "text": ["x" * 100] * 100_000})
    few = pa.table({"id": [5], "text": ["y"]})
    left = stage(tmp_path, "le", rows, ("id",), parquet=True, cut=50_000)
    right = stage(tmp_path, "re", few, ("id",), parquet=True)
    plan = make_plan(
        left,
        right,
        ("l.id AS left_id, r.id AS right_id", "le l JOIN re r ON l.id = r.id"),
        ("left_id", "right_id"),
        (("left_id",), ("right_id",)),
    )
    # 12 MB of rows, of which an eighth of 16 MiB may stay in memory.
    result = run(plan, [left, right], tmp_path / "out", limits=Limits(memory_bytes=16 << 20, threads=2))
    assert result.outcome.left.unmatched_rows == 99_999
    assert result.left.column("id").to_pylist() == [i for i in range(100_000) if i != 5]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "matched.parquet",
        "unmatched_left.parquet",
        "unmatched_right.parquet",
    ]


@pytest.mark.parametrize("name", ["matched.parquet", "unmatched_left.parquet", "unmatched_right.parquet"])
def test_trap_12_a_full_disk_ends_the_run(sides: tuple[Staged, Staged], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    # The kernel's own full disk: every write there fails with ENOSPC.
    (folder / name).symlink_to("/dev/full")
    error = fails(sides, folder, "l.text")
    assert error.code is Code.STORAGE_FULL
    assert name in error.message
    assert not list(folder.iterdir())


def test_trap_12_a_folder_that_cannot_be_made_ends_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    error = fails(sides, tmp_path / "file" / "out", "l.text")
    assert error.code is Code.OUTPUT_NOT_WRITABLE


def test_an_output_type_without_a_portable_form_is_refused(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    error = fails(sides, tmp_path / "out", "INTERVAL '1' DAY")
    assert error.code is Code.INVALID_SQL
    assert "extra" in error.message


def test_a_staged_file_that_is_damaged_is_an_error(sides: tuple[Staged, Staged], tmp_path: Path) -> None:
    os.truncate(sides[0].table.files[1], 100)
    error = fails(sides, tmp_path / "out", "l.text")
    assert error.code is Code.INVALID_DATA
    assert "'le'" in error.message
