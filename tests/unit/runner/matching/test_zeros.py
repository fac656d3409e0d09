"""A negative zero is a zero, wherever it comes from."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kalla_runner.matching.zeros import with_one_zero

from tests.unit.runner.matching.sql.tables import run

ROWS = pa.table({"id": [1, 2], "f": [0.0, 1.5], "h": pa.array([0.0, 1.5], pa.float32()), "t": ["-0.0", "x"]})


@pytest.mark.parametrize(
    "expression",
    [
        "-l.f",
        "-l.h",
        "l.f * -3",
        "-(l.f + 4) % 2",
        "round(-0.2 * (l.f + 1), 0)",
        "ceil(l.f - 0.5)",
        "trunc(l.f - 0.5)",
        "power(l.f - 2, 3) * 0",
        "TRY_CAST(l.t AS DOUBLE)",
        "2.5 * -l.f * 1.5",
    ],
)
def test_no_expression_gives_a_negative_zero(expression: str) -> None:
    query = f"SELECT l.id, r.id AS rid, CAST({expression} AS TEXT) AS v FROM l JOIN r ON l.id = r.id"
    assert next(row["v"] for row in run(query, ROWS, ROWS)[1] if row["id"] == 1) == "0.0"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("nullif(-l.f, l.f)", None),
        ("CASE -l.f WHEN l.f THEN 1 ELSE 2 END", 1),
        ("count(*) OVER (PARTITION BY l.f * (2 * l.id - 3) * 0)", 2),
        ("array_length(array_distinct(make_array(-l.f, l.f)))", 1),
    ],
)
def test_zeros_are_one_where_the_engine_looks_at_the_sign(expression: str, expected: object) -> None:
    query = f"SELECT l.id, r.id AS rid, {expression} AS v FROM l JOIN r ON l.id = r.id"
    assert next(row["v"] for row in run(query, ROWS, ROWS)[1] if row["id"] == 1) == expected


def test_negative_zeros_of_a_source_are_zeros_also_in_slices_and_lists() -> None:
    table = pa.table(
        {
            "f": [1.0, -0.0, None, float("nan")],
            "h": pa.array([-0.0, 0.0, 2.5, None], pa.float32()),
            "s": pa.array([-0.0, 1.0, None, 2.0]).cast(pa.float16()),
            "l": [[1.0], [-0.0, None], None, []],
            "t": ["-0.0"] * 4,
        }
    )
    for start in range(4):
        (batch,) = with_one_zero(table.slice(start).combine_chunks().to_batches(), table.schema)
        assert str(batch.to_pylist()) == str(table.slice(start).to_pylist()).replace(
            "': -0.0", "': 0.0"
        ).replace("[-0.0", "[0.0")
    (batch,) = with_one_zero([table.to_batches()[0].slice(1, 2)], table.schema)
    assert str(batch.to_pydict()["l"]) == "[[0.0, None], None]"


def test_columns_without_a_negative_zero_are_handed_on_as_they_are() -> None:
    (given,) = pa.table({"f": [0.0, 1.0, None], "l": [[0.0], [], None]}).to_batches()
    (batch,) = with_one_zero([given], given.schema)
    assert [c.buffers()[-1].address for c in batch.columns] == [
        c.buffers()[-1].address for c in given.columns
    ]
