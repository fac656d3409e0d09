"""What is inside a NULL struct is NULL, at any depth and in any slice."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_runner.matching.struct_nulls import with_null_fields

INNER = pa.struct([("n", pa.int64()), ("t", pa.string())])
OUTER = pa.struct([("inner", INNER), ("x", pa.decimal128(5, 2)), ("list", pa.list_(INNER))])
PARTS = st.none() | st.fixed_dictionaries(
    {"n": st.none() | st.integers(0, 9), "t": st.none() | st.text(max_size=2)}
)
ROWS = st.lists(
    st.none()
    | st.fixed_dictionaries(
        {"inner": PARTS, "x": st.none(), "list": st.none() | st.lists(PARTS, max_size=3)}
    ),
    min_size=1,
    max_size=8,
)


def cleared(array: pa.Array) -> Any:
    schema = pa.schema([("v", array.type)])
    (batch,) = with_null_fields([pa.record_batch([array], schema=schema)], schema)
    return batch.column(0)


def test_builders_put_zeros_where_nulls_belong_and_they_are_cleared() -> None:
    array = pa.array([{"n": 1, "t": "a"}, None], INNER)
    assert array.field(0).to_pylist() == [1, 0], "no need for this module any more"
    assert cleared(array).field(0).to_pylist() == [1, None]
    assert cleared(array).field(1).to_pylist() == ["a", None]


@given(ROWS, st.integers(0, 3))
def test_values_stay_what_they_are(rows: list[Any], start: int) -> None:
    for data_type, values in ((OUTER, rows), (pa.list_(OUTER), [rows, None, []])):
        array = pa.array(values, data_type).slice(start)
        assert cleared(array).to_pylist() == array.to_pylist()
        assert cleared(array).type == array.type


@given(ROWS)
def test_no_field_of_a_null_struct_holds_a_value(rows: list[Any]) -> None:
    found = cleared(pa.array(rows, OUTER))
    inner = found.field(0)
    for row, (outer_valid, inner_valid, n, t) in enumerate(
        zip(
            found.is_valid().to_pylist(),
            inner.is_valid().to_pylist(),
            inner.field(0).to_pylist(),
            inner.field(1).to_pylist(),
            strict=True,
        )
    ):
        assert not (inner_valid and not outer_valid), row
        if not inner_valid:
            assert (n, t) == (None, None)


@pytest.mark.parametrize("data_type", [pa.int64(), pa.list_(pa.int64()), pa.struct([])])
def test_what_has_no_fields_is_not_copied(data_type: pa.DataType) -> None:
    array = pa.nulls(2, data_type)
    assert cleared(array).equals(array)
