"""From words to filters: looked up, never guessed."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from kalla_chat.agents.language.narrowings import Narrowing
from kalla_chat.agents.narrowing import narrow
from kalla_chat.conversation.state import Column, Side
from kalla_chat.work.reading import Rows, find_row
from kalla_common.domain import FilterCondition, FilterOp

LEFT = pa.table(
    {
        "id": ["a", "b", "c"],
        "currency": ["USD", "EUR", None],
        "amount": [Decimal("1.50"), Decimal("2.00"), None],
    }
)
RIGHT = pa.table({"ref": ["x", "y"], "kind": ["usd", "fee"], "booked": ["2026-01-01", "2026-01-02"]})
TYPES = {"amount": "decimal(18,2)", "booked": "date"}


def make(alias: str, table: pa.Table) -> tuple[Side, Rows]:
    columns = [Column(name=name, data_type=TYPES.get(name, "text")) for name in table.column_names]
    return Side(alias=alias, source_type="file", columns=columns), Rows(table, tuple(columns), table.num_rows)


def filters(*narrowings: Narrowing) -> tuple[dict[str, list[FilterCondition]], list[str]]:
    (left, left_rows), (right, right_rows) = make("left", LEFT), make("right", RIGHT)
    return narrow(list(narrowings), (left, right), {"left": left_rows, "right": right_rows})


def test_a_value_is_found_in_both_sources_in_the_spelling_of_each() -> None:
    found, problems = filters(Narrowing("", "eq", "usd"))
    assert found == {
        "left": [FilterCondition("currency", FilterOp.EQ, ("USD",))],
        "right": [FilterCondition("kind", FilterOp.EQ, ("usd",))],
    }
    assert not problems


def test_a_number_is_compared_as_the_number_that_was_written() -> None:
    found, _ = filters(Narrowing("amount", "gt", "1.5"))
    assert found["left"] == [FilterCondition("amount", FilterOp.GT, (Decimal("1.5"),))]


def test_a_date_goes_to_the_only_column_of_dates() -> None:
    found, _ = filters(Narrowing("", "gte", "2026-01-02"))
    assert found["right"] == [FilterCondition("booked", FilterOp.GTE, ("2026-01-02",))]
    assert not found["left"]


@pytest.mark.parametrize(
    "narrowing",
    [Narrowing("", "eq", "GBP"), Narrowing("colour", "gt", "3"), Narrowing("amount", "gt", "many")],
)
def test_what_is_found_nowhere_sets_no_filter_and_is_said_so(narrowing: Narrowing) -> None:
    found, problems = filters(narrowing)
    assert found == {"left": [], "right": []}
    assert len(problems) == 1
    assert narrowing.value in problems[0]


def test_a_turn_of_phrase_is_no_filter_and_no_problem() -> None:
    assert filters(Narrowing("everything", "eq", "fine", loose=True)) == ({"left": [], "right": []}, [])


def test_a_row_is_found_again_by_its_cells() -> None:
    (_, rows) = make("left", LEFT)
    for number in range(LEFT.num_rows):
        assert find_row(LEFT, rows.cells(number)) == number
    assert find_row(LEFT, {**rows.cells(0), "currency": "EUR"}) is None
    assert find_row(LEFT, {"id": "a"}) is None
