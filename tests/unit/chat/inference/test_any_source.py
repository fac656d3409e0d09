"""Whatever two sources hold, there are drafts or none, and never an exception."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_chat.inference import Request, Source, propose_pairs
from kalla_chat.inference.draft import find_drafts, recipe_of, rules_of

ROWS = 14
KINDS: list[tuple[pa.DataType, st.SearchStrategy[object]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9) | st.just(-(2**63))),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats() | st.sampled_from([0.1, 2.5, 1e32, math.inf])),
    (pa.decimal128(12, 2), st.decimals(-(10**9), 10**9, places=2)),
    (pa.decimal256(60, 4), st.just(Decimal("1.5000")) | st.just(Decimal(10) ** 50)),
    (
        pa.string(),
        st.text(max_size=8)
        | st.sampled_from(["A-1", "a-1 ", "007", "1.234,50", "31.12.2024", "", "1" * 45, "0." + "3" * 45]),
    ),
    (pa.large_string(), st.sampled_from(["INV-1", "INV-22", "x'y"])),
    (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    (pa.timestamp("us", "UTC"), st.integers(-(2**56), 2**56)),
    (pa.timestamp("ns"), st.integers(-(2**62), 2**62)),
    (pa.bool_(), st.booleans()),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=2)),
    (pa.null(), st.none()),
]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for place in range(draw(st.integers(1, 4))):
        data_type, values = draw(st.sampled_from(KINDS))
        drawn = draw(st.lists(st.none() | values, min_size=ROWS, max_size=ROWS))
        columns[f'c"{place} {draw(st.sampled_from(["x", "order", "é"]))}'] = pa.array(drawn, data_type)
    return pa.table(columns).slice(draw(st.integers(0, ROWS)))


@given(tables(), tables())
@settings(max_examples=40)
def test_any_two_sources_give_drafts_or_none(left: pa.Table, right: pa.Table) -> None:
    request = Request(Source("l t", left, left.num_rows), Source("r", right, right.num_rows))
    found = find_drafts(request)
    for made in found.hypotheses:
        assert recipe_of(found, made).match_sql.count("JOIN") == 1
        assert 0.0 <= made.precision <= 1.0 or made.objection
    if found.hypotheses and found.hypotheses[0].keyed >= 0:
        assert all(rule.support <= rule.tested for rule in rules_of(found, found.hypotheses[0]))
    propose_pairs(request)
