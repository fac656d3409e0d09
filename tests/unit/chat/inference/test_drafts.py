"""Which rule is found, how it is written, and when it is not proposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kalla_chat.inference import Example, Hints, Request, Shape, Source
from kalla_chat.inference.draft import Drafts, find_drafts, recipe_of

RANDOM = np.random.default_rng(9)
N = 120
AMOUNTS = RANDOM.integers(1_000, 900_000, N)


def money(units: np.ndarray) -> pa.Array:
    return pa.array(
        [f"{'-' if u < 0 else ''}{abs(u) // 100}.{abs(u) % 100:02d}" for u in units.tolist()]
    ).cast(pa.decimal128(18, 2))


def drafts(
    left: dict[str, Any], right: dict[str, Any], aliases: tuple[str, str] = ("bills", "wires"), **more: Any
) -> Drafts:
    one, two = pa.table(left), pa.table(right)
    return find_drafts(
        Request(Source(aliases[0], one, one.num_rows), Source(aliases[1], two, two.num_rows), **more)
    )


def sql(found: Drafts) -> list[str]:
    assert not found.hypotheses[0].objection
    return [part.sql for part in found.written(found.hypotheses[0]).parts]


def codes(prefix: str = "") -> list[str]:
    return [f"{prefix}{n * 7919 + 10_000_000:08d}" for n in range(N)]


def test_integers_are_compared_as_they_are() -> None:
    keys = [n * 7919 for n in range(N)]
    found = drafts({"id": keys, "amt": money(AMOUNTS)}, {"ref": keys, "paid": money(AMOUNTS)})
    assert sql(found) == ["b.id = w.ref", "b.amt = w.paid"]


def test_a_number_beside_text_is_cast_in_writing() -> None:
    keys = [n * 7919 + 11 for n in range(N)]
    found = drafts(
        {"id": keys, "amt": money(AMOUNTS)}, {"ref": [f"{k:012d}" for k in keys], "paid": money(-AMOUNTS)}
    )
    assert sql(found)[0] == "CAST(b.id AS TEXT) = ltrim(upper(trim(w.ref)), '0')"
    assert sql(found)[1] == "b.amt = -w.paid"


def test_names_that_need_quotes_have_them_and_aliases_of_one_letter_are_l_and_r() -> None:
    found = drafts(
        {"My Key": codes(), "order": money(AMOUNTS)}, {'a"b': codes(), "x": money(AMOUNTS)}, ("pa", "pb")
    )
    assert sql(found) == ['l."My Key" = r."a""b"', 'l."order" = r.x']


def test_running_numbers_are_no_key_and_the_reason_is_told() -> None:
    found = drafts(
        {"id": list(range(N)), "amt": money(AMOUNTS)},
        {"id": list(range(N)), "amt": money(RANDOM.permutation(AMOUNTS) + 1_000_000)},
    )
    assert "by accident" in found.hypotheses[0].objection


def test_confirmed_pairs_make_running_numbers_a_key() -> None:
    left = {"id": list(range(N)), "x": ["a"] * N}
    right = {"id": list(range(N)), "y": ["b"] * N}
    pairs = tuple(Example(n, n) for n in (3, 40, 77))
    assert drafts(left, right).hypotheses[0].objection
    assert sql(drafts(left, right, confirmed=pairs)) == ["b.id = w.id"]


def test_rejected_pairs_speak_against_a_key() -> None:
    pairs = tuple(Example(n, n) for n in range(4))
    found = drafts({"k": codes(), "x": ["a"] * N}, {"k": codes(), "y": ["b"] * N}, rejected=pairs)
    assert "4 of 4 rejected pairs contradict it" in found.hypotheses[0].objection


def test_one_row_with_many_partners_is_no_accident() -> None:
    found = drafts({"k": codes("C"), "n": list(range(N))}, {"k": codes("C") * 2, "m": list(range(2 * N))})
    assert recipe_of(found, found.hypotheses[0]).shape is Shape.ONE_TO_MANY


def test_split_amounts_are_summed_in_the_query() -> None:
    first = AMOUNTS // 3
    right = {
        "ref": codes() * 2,
        "paid": money(np.append(first, AMOUNTS - first)),
        "pid": [f"p{n}" for n in range(2 * N)],
    }
    found = drafts({"id": codes(), "amt": money(AMOUNTS)}, right)
    recipe = recipe_of(found, found.hypotheses[0])
    assert recipe.summed
    assert recipe.match_sql == (
        "WITH wires_by_key AS (\n"
        "  SELECT ref AS match_key, sum(paid) AS total, array_agg(pid) AS pid\n"
        "  FROM wires\n"
        "  GROUP BY ref\n"
        ")\n"
        "SELECT b.id, w.pid, b.amt, w.total\n"
        "FROM bills b\n"
        "JOIN wires_by_key w\n"
        "  ON b.id = w.match_key\n"
        "  AND b.amt = w.total"
    )


def test_a_description_says_every_condition() -> None:
    found = drafts({"id": codes(), "amt": money(AMOUNTS)}, {"ref": codes(), "paid": money(AMOUNTS - 500)})
    assert recipe_of(found, found.hypotheses[0]).match_description == (
        "Matches bills to wires where bills.id equals wires.ref, "
        "and wires.paid is exactly bills.amt and a fixed 5.00 less."
    )


def test_a_window_that_was_asked_for_is_part_of_the_rule() -> None:
    days = pa.array(RANDOM.integers(19_000, 19_300, N), pa.int32()).cast(pa.date32())
    left = {"id": codes(), "amt": money(AMOUNTS), "due": days}
    right = {"ref": codes(), "paid": money(AMOUNTS), "got": days}
    found = drafts(left, right, hints=Hints(window_days=(-1, 3)))
    assert sql(found)[-1] == "w.got BETWEEN b.due - INTERVAL '1 day' AND b.due + INTERVAL '3 days'"


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_rows_prove_nothing(rows: int) -> None:
    left = {"id": pa.array(codes()[:rows], pa.string())}
    assert all(h.objection for h in drafts(left, left).hypotheses)


def test_columns_of_nulls_and_odd_types_do_no_harm() -> None:
    odd = {
        "id": codes(),
        "nothing": pa.nulls(N),
        "flags": [n % 2 == 0 for n in range(N)],
        "list": [[n] for n in range(N)],
        "bytes": [b"x"] * N,
    }
    assert sql(drafts(odd, odd)) == ["b.id = w.id"]


def test_columns_that_were_asked_for_must_be_compared() -> None:
    words = [["".join(chr(first + int(digit)) for digit in c) for c in codes()] for first in (97, 110)]
    left = {"id": codes(), "other": words[0], "amt": money(AMOUNTS)}
    right = {"ref": codes(), "note": words[1], "paid": money(AMOUNTS)}
    asked = drafts(left, right, hints=Hints(columns=(("other", "note"),)))
    assert all(h.objection for h in asked.hypotheses)
    assert sql(drafts(left, right, hints=Hints(columns=(("id", "ref"),))))[0] == "b.id = w.ref"


def test_few_pairs_are_a_rule_only_where_the_person_vouches_for_it() -> None:
    left = {"id": codes()[:5], "amt": money(AMOUNTS[:5])}
    right = {"ref": codes()[:3], "paid": money(AMOUNTS[:3])}
    alone = drafts(left, right)
    assert alone.hypotheses[0].objection == "it matches only 3 pairs"
    named = Hints(columns=(("id", "ref"),))
    assert sql(drafts(left, right, hints=named)) == ["b.id = w.ref", "b.amt = w.paid"]
    confirmed = tuple(Example(row, row) for row in range(3))
    assert sql(drafts(left, right, confirmed=confirmed)) == ["b.id = w.ref", "b.amt = w.paid"]
    assert drafts(left, right, confirmed=confirmed[:2]).hypotheses[0].objection


def test_a_key_that_was_named_may_match_few_rows_but_not_none() -> None:
    left = {"id": codes(), "amt": money(AMOUNTS)}
    strangers = ["".join(chr(97 + int(digit)) for digit in code) for code in codes()]
    right = {"ref": [*codes()[:9], *strangers[9:]], "paid": money(AMOUNTS)}
    named = Hints(columns=(("id", "ref"),))
    assert sql(drafts(left, right, hints=named))[0] == "b.id = w.ref"
    nothing = {"ref": strangers, "paid": money(AMOUNTS)}
    assert all(h.objection for h in drafts(left, nothing, hints=named).hypotheses)


def test_days_that_were_asked_for_are_compared_day_by_day() -> None:
    days = pa.array(RANDOM.integers(19_000, 19_300, N), pa.int32()).cast(pa.date32())
    left, right = {"id": codes(), "due": days}, {"ref": codes(), "got": days}
    found = drafts(left, right, hints=Hints(columns=(("id", "ref"), ("due", "got"))))
    assert sql(found) == ["b.id = w.ref", "b.due = w.got"]
