"""Both paths give the same three outputs, and the same again on every run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.matching.support import make_plan, run, stage

ROW = st.tuples(
    st.sampled_from([None, 1, 2, 3, 4, 5, 6]),
    st.sampled_from([None, "", "a", "A", " a", "b"]),
    st.integers(-2, 2),
)
ROWS = st.lists(ROW, max_size=25)
CONDITIONS = st.sampled_from(
    ["l.ref = r.ref", "l.ref = r.ref AND abs(l.v - r.v) <= 1", "l.id = r.id", "l.ref = r.ref AND l.v < r.v"]
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([r[0] for r in rows], pa.int64()),
            "ref": pa.array([r[1] for r in rows], pa.string()),
            "v": pa.array([r[2] for r in rows], pa.int64()),
        }
    )


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, CONDITIONS, st.sampled_from([("id",), ("id", "ref")]), st.integers(1, 10))
def test_trap_20_one_pass_and_general_agree_every_time(
    left_rows: list[tuple[Any, ...]],
    right_rows: list[tuple[Any, ...]],
    condition: str,
    key: tuple[str, ...],
    cut: int,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        left = stage(folder, "la", table(left_rows), key, cut=cut)
        right = stage(folder, "ra", table(right_rows), key, cut=cut)
        columns = (*(f"left_{k}" for k in key), *(f"right_{k}" for k in key), "v")
        select = ", ".join([f"l.{k} AS left_{k}" for k in key] + [f"r.{k} AS right_{k}" for k in key])
        results = [
            run(
                make_plan(
                    left,
                    right,
                    (f"{select}, l.v AS v", f"la l JOIN ra r ON {condition}"),
                    columns,
                    (columns[: len(key)], columns[len(key) : -1]),
                    path=path,
                    join_keys=(('"ref"', '"ref"'),),
                ),
                [left, right],
                folder / str(number),
            )
            for number, path in enumerate(("one_pass", "general", "one_pass"))
        ]
        assert results[0].rows == results[1].rows == results[2].rows
        assert results[0].outcome.left == results[1].outcome.left == results[2].outcome.left
        assert results[0].outcome.right == results[1].outcome.right == results[2].outcome.right
