"""Every spelling is the same in SQL, as the engine runs it, and over texts, as inference computes it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datafusion import SessionContext
from hypothesis import given, settings
from hypothesis import strategies as st
from kalla_chat.inference.embedded import extractor
from kalla_chat.inference.views import LADDER, View, affixes, chained, without

TEXTS = st.lists(
    st.text(st.characters(codec="latin-1", exclude_characters="ßµÿ", exclude_categories=["Cc"]), max_size=14),
    min_size=1,
    max_size=12,
)


def by_engine(view: View, texts: list[str]) -> list[str | None]:
    context = SessionContext()
    context.register_record_batches("t", [[pa.record_batch({"x": pa.array(texts, pa.string())})]])
    return context.sql(f"SELECT {view.sql.replace('{c}', 'x')} AS y FROM t").to_arrow_table()["y"].to_pylist()


def computed(view: View, texts: list[str]) -> list[str | None]:
    return view.apply(pa.array(texts, pa.string())).to_pylist()


@pytest.mark.parametrize("view", LADDER, ids=lambda v: str(v.rank))
@given(texts=TEXTS)
@settings(max_examples=25)
def test_sql_and_computation_agree(view: View, texts: list[str]) -> None:
    assert by_engine(view, texts) == computed(view, texts)


@pytest.mark.parametrize("prefix", ["INV-", "O'NEIL/", "A.B(", "X\\", "R ", "É#"])
def test_a_prefix_of_any_characters_is_taken_off(prefix: str) -> None:
    texts = [f"{prefix}{n:04d}" for n in range(50)]
    found = affixes(pa.array(texts))
    view = without(found)
    assert by_engine(view, texts) == computed(view, texts)


def test_a_usual_prefix_and_suffix_are_found() -> None:
    found = affixes(pa.array([f"inv-{n:05d}/2024" for n in range(80)]))
    assert (found.prefix, found.suffix) == ("INV-", "/2024")


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    "ids",
    [["RE1234567", "RE7654321"], ["AB-12/X", "CD-34/Y"], ["100200", "300400"], ["o'k-12.5", "o'k-99.1"]],
)
def test_an_id_is_taken_out_of_a_text(ids: list[str], *, loose: bool) -> None:
    view = extractor(pa.array(ids), loose=loose)
    assert view is not None
    texts = [f"pay {ids[0]} now", f"{ids[1]}", "nothing 12 here", ""]
    assert by_engine(view, texts) == computed(view, texts)
    assert computed(view, texts)[0] == (ids[0].upper() if loose else ids[0])


def test_short_ids_are_not_looked_for_in_texts() -> None:
    assert extractor(pa.array(["1", "22", "333"]), loose=False) is None


def test_views_one_after_another_are_one_view() -> None:
    view = chained(without(affixes(pa.array([f"C{n:03d}" for n in range(50)]))), LADDER[3])
    texts = ["C007", " c070 ", "X1"]
    assert by_engine(view, texts) == computed(view, texts) == ["7", "70", "X1"]
