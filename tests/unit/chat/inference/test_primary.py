"""The primary key is what tells every row from every other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from kalla_chat.inference import Source, profile

ROWS = 60


def key(alias: str, **columns: Any) -> tuple[str, ...]:
    table = pa.table(columns)
    return profile(Source(alias, table, table.num_rows)).primary_key


def test_the_column_named_after_its_table_wins_over_other_unique_columns() -> None:
    numbers = list(range(ROWS))
    assert key("invoices", aaa=[f"x{n}" for n in numbers], invoice_id=numbers, order_ref=numbers) == (
        "invoice_id",
    )


def test_amounts_and_dates_that_happen_to_be_unique_are_no_key() -> None:
    lines = [f"L{n}" for n in range(ROWS)]
    assert key(
        "bank", amount=pa.array([Decimal(n) for n in range(ROWS)], pa.decimal128(9, 2)), line=lines
    ) == ("line",)


def test_several_columns_are_a_key_where_one_is_not_enough() -> None:
    found = key("sales", store=[n % 6 for n in range(ROWS)], receipt=[n // 6 for n in range(ROWS)])
    assert sorted(found) == ["receipt", "store"]


def test_a_column_with_a_null_is_no_key() -> None:
    assert key("t", id=[None, *range(1, ROWS)], code=[f"c{n}" for n in range(ROWS)]) == ("code",)


def test_a_key_with_slips_is_told() -> None:
    table = pa.table({"id": [*range(ROWS), 5, 6]})
    found = profile(Source("t", table, table.num_rows))
    assert found.primary_key == ("id",)
    assert "2 rows repeat the key" in found.key_objection


def test_a_key_that_is_given_is_kept_and_judged() -> None:
    table = pa.table({"id": [1, 2, 3], "kind": ["a", "a", "b"]})
    found = profile(Source("t", table, 3, primary_key=("kind",)))
    assert found.primary_key == ("kind",)
    assert "1 rows repeat" in found.key_objection


@pytest.mark.parametrize("rows", [0, 1])
def test_a_source_of_hardly_any_rows_has_a_profile(rows: int) -> None:
    table = pa.table(
        {"id": pa.array(list(range(rows)), pa.int64()), "x": pa.array([None] * rows, pa.string())}
    )
    found = profile(Source("t", table, rows))
    assert [c.name for c in found.columns] == ["id", "x"]
    assert found.columns[1].nulls == rows
