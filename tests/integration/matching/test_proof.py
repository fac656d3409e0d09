"""The proof looks at what was written: each defect here is a real one, put in where it could happen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching import engine
from kalla_runner.matching.duplicates import Bits
from kalla_runner.matching.matched import Marks, MatchedRows, MatchQuery, match_in_one_pass
from kalla_runner.outputs import writer
from kalla_runner.outputs.writer import ParquetSink
from kalla_runner.staging import StagedTable

from tests.integration.matching.support import Staged, make_plan, run, stage

ROWS = 500


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Staged, Staged]:
    left = pa.table({"id": list(range(ROWS)), "ref": [f"r{i}" for i in range(ROWS)]})
    right = pa.table({"id": list(range(ROWS)), "ref": [f"r{i + 50}" for i in range(ROWS)]})
    return stage(tmp_path, "lp", left, ("id",)), stage(tmp_path, "rp", right, ("id",))


def fails(sides: tuple[Staged, Staged], folder: Path) -> KallaError:
    plan = make_plan(
        *sides,
        ("l.id AS left_id, r.id AS right_id", "lp l JOIN rp r ON l.ref = r.ref"),
        ("left_id", "right_id"),
        (("left_id",), ("right_id",)),
    )
    with pytest.raises(KallaError) as caught:
        run(plan, sides, folder)
    assert caught.value.code is Code.CONSERVATION_FAILED
    assert not list(folder.iterdir()), "a failed run must leave nothing that could be published"
    return caught.value


def test_trap_06_a_row_lost_by_the_writer_fails_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = writer.portable_batch

    def lossy(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        return whole(batch.slice(1), schema)

    monkeypatch.setattr(writer, "portable_batch", lossy)
    error = fails(sides, tmp_path / "out")
    assert int(error.details["accounted_rows"]) < int(error.details["source_rows"])


def test_trap_06_marks_that_change_while_rows_are_written_fail_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupted(query: MatchQuery, sink: ParquetSink) -> MatchedRows:
        found = match_in_one_pass(query, sink)
        return MatchedRows(found.rows, Marks(_Flipping(found.left.matched), found.left.unsure), found.right)

    monkeypatch.setattr(engine, "match_in_one_pass", corrupted)
    error = fails(sides, tmp_path / "out")
    assert error.details["source"] == "lp"
    assert error.details["source_rows"] == str(ROWS)
    assert str(ROWS) in error.message


def _Flipping(marks: Bits) -> Bits:  # noqa: N802 - makes the array below
    return marks.view(_FlippingArray)


class _FlippingArray(np.ndarray[tuple[int], np.dtype[np.bool_]]):
    """Marks that read differently in slices than as a whole, as memory that was overwritten would."""

    def __getitem__(self, index: object) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        part = np.asarray(self)[index]  # pyright: ignore[reportArgumentType, reportCallIssue]
        return ~part if isinstance(index, slice) else part


def test_trap_12_matched_rows_that_never_reach_the_file_fail_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(query: MatchQuery, sink: ParquetSink) -> MatchedRows:
        found = match_in_one_pass(query, sink)
        return MatchedRows(found.rows + 1, found.left, found.right)

    monkeypatch.setattr(engine, "match_in_one_pass", forgetful)
    error = fails(sides, tmp_path / "out")
    assert "451" in error.message
    assert "450" in error.message


def test_staged_files_with_fewer_rows_than_stated_fail_the_run(
    sides: tuple[Staged, Staged], tmp_path: Path
) -> None:
    left = sides[0].table
    short = StagedTable(left.alias, left.schema, left.format, left.files[:1], left.row_count)
    error = fails((Staged(short, ("id",)), sides[1]), tmp_path / "out")
    assert "lp" in error.message
