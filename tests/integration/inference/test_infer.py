"""What a person says is followed or answered, and nothing is ready that did not pass check and trial."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kalla_chat.inference import (
    DraftRecipe,
    Example,
    Hints,
    Inference,
    Request,
    Source,
    Trials,
    Verdict,
    infer,
    propose_pairs,
)
from kalla_common.domain import SqlCheck, SqlProblem
from kalla_common.errors import Code, KallaError

from benchmarks.inference.engine import EngineTrials, source_of, stage
from tests.integration.inference.sources import invoices_and_payments, staged


class Refusing(EngineTrials):
    """The engine behind a check that refuses everything."""

    async def check(self, draft: DraftRecipe) -> SqlCheck:
        return SqlCheck(ok=False, problems=(SqlProblem("INVALID_SQL", "No such column."),))


def answer(request: Request, trials: Trials) -> Inference:
    return asyncio.run(infer(request, trials))


def engine(folder: Path, left: pa.Table, right: pa.Table) -> EngineTrials:
    return EngineTrials(staged(folder, "invoices", left), staged(folder, "payments", right), folder)


def request_of(left: pa.Table, right: pa.Table, **more: Any) -> Request:
    sources = [Source(alias, t, t.num_rows) for alias, t in (("invoices", left), ("payments", right))]
    return Request(sources[0], sources[1], **more)


def test_a_recipe_is_ready_with_rules_support_and_the_figures_of_its_run(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    found = answer(request_of(left, right), engine(tmp_path, left, right))
    assert found.verdict is Verdict.READY
    assert found.recipe is not None
    assert found.trial is not None
    assert (found.recipe.left_key, found.recipe.right_key) == (("invoice_id",), ("payment_id",))
    assert [rule.sql for rule in found.rules] == [
        "i.invoice_id = p.reference",
        "tolerance_match(i.amount, p.paid, 0.02)",
    ]
    assert (found.rules[0].support, found.rules[1].tested, found.rules[1].support) == (180, 180, 171)
    assert found.rules[1].counter_examples
    assert found.trial.matched_left + found.trial.unmatched_left == left.num_rows
    assert found.trial.matched_right + found.trial.unmatched_right == right.num_rows


def test_a_recipe_that_the_check_refuses_is_never_ready(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    trials = engine(tmp_path, left, right)
    found = answer(request_of(left, right), Refusing(trials.left, trials.right, tmp_path))
    assert found.verdict is Verdict.NO_RELIABLE_RULE
    assert found.recipe is None
    assert "the check refuses it: No such column." in found.candidates[0].objection


def test_a_recipe_whose_trial_gives_other_rows_is_never_ready(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    trials = engine(tmp_path, left.slice(0, 150), right)
    found = answer(request_of(left, right), trials)
    assert found.verdict is Verdict.NO_RELIABLE_RULE
    assert "its trial run matched" in found.candidates[0].objection


def test_a_wrong_confirmed_pair_is_pointed_out_and_does_not_change_the_rule(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    good = [Example(n, n) for n in (0, 1, 2)]
    wrong = Example(3, 150)
    plain = answer(request_of(left, right), engine(tmp_path / "a", left, right))
    found = answer(request_of(left, right, confirmed=(*good, wrong)), engine(tmp_path / "b", left, right))
    assert found.recipe == plain.recipe
    assert [c.example for c in found.contradictions] == [wrong]
    assert "invoices.invoice_id equals payments.reference" in found.contradictions[0].reason


def test_rejected_pairs_bound_the_tolerance(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    cents = [
        n for n in range(150) if abs(left["amount"][n].as_py() - right["paid"][n].as_py()) == Decimal("0.02")
    ]
    request = request_of(left, right, rejected=tuple(Example(n, n) for n in cents))
    found = answer(request, engine(tmp_path, left, right))
    assert found.rules[1].sql == "tolerance_match(i.amount, p.paid, 0.01)"


def test_a_tolerance_and_columns_that_were_asked_for_are_followed(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    hints = Hints(columns=(("invoice_id", "reference"), ("amount", "paid")), tolerance=Decimal("1.50"))
    found = answer(request_of(left, right, hints=hints), engine(tmp_path, left, right))
    assert found.rules[1].sql == "tolerance_match(i.amount, p.paid, 1.50)"


def test_columns_without_common_values_lead_to_no_rule_with_the_reason(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    hints = Hints(ignored_left=frozenset({"invoice_id"}), ignored_right=frozenset({"paid"}))
    found = answer(request_of(left, right, hints=hints), engine(tmp_path, left, right))
    assert found.verdict is Verdict.NO_RELIABLE_RULE
    assert found.reason


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_source_without_rows_is_named(tmp_path: Path, side: str) -> None:
    left, right = invoices_and_payments(50)
    left, right = (left.slice(0, 0), right) if side == "left" else (left, right.slice(0, 0))
    found = answer(request_of(left, right), engine(tmp_path, left, right))
    assert (
        found.reason
        == f"There is nothing to learn from: {'invoices' if side == 'left' else 'payments'} has no rows."
    )


@pytest.mark.parametrize(
    "more",
    [
        {"confirmed": (Example(10**6, 0),)},
        {"rejected": (Example(0, -1),)},
        {"hints": Hints(columns=(("no", "paid"),))},
    ],
)
def test_examples_and_hints_that_name_nothing_are_an_error(tmp_path: Path, more: dict[str, Any]) -> None:
    left, right = invoices_and_payments(20)
    with pytest.raises(KallaError) as caught:
        answer(request_of(left, right, **more), engine(tmp_path, left, right))
    assert caught.value.code is Code.INVALID_REQUEST


def _mixed(table: pa.Table, random: Random) -> pa.Table:
    rows, names = list(range(table.num_rows)), list(table.schema.names)
    random.shuffle(rows)
    random.shuffle(names)
    return table.take(pa.array(rows)).select(names)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_and_columns_decides_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    left, right = invoices_and_payments(120)
    random = Random(seed)  # noqa: S311  # an order of rows
    mixed = [_mixed(t, random) for t in (left, right)]
    folder = tmp_path_factory.mktemp("mixed")
    plain = answer(request_of(left, right), engine(folder / "a", left, right))
    found = answer(request_of(*mixed), engine(folder / "b", *mixed))
    assert found.recipe == plain.recipe
    assert [(r.sql, r.support, r.tested) for r in found.rules] == [
        (r.sql, r.support, r.tested) for r in plain.rules
    ]


def test_other_names_for_columns_change_only_names(tmp_path: Path) -> None:
    left, right = invoices_and_payments(120)
    names = {"invoice_id": "Beleg Nr", "amount": "order", "customer": "Kunde", "issued": "c"}
    renamed = left.rename_columns([names[name] for name in left.schema.names])
    found = answer(request_of(renamed, right), engine(tmp_path, renamed, right))
    assert [rule.sql for rule in found.rules] == [
        'i."Beleg Nr" = p.reference',
        'tolerance_match(i."order", p.paid, 0.02)',
    ]


def test_the_rows_of_a_csv_file_lead_to_a_recipe_that_runs(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("no,sum\n" + "".join(f"00{n}7,{n}.50\n" for n in range(10, 60)))
    (tmp_path / "r.csv").write_text("x,ref,paid\n" + "".join(f"k{n},{n}7,{n}.50\n" for n in range(10, 60)))
    tables = [stage(tmp_path / f"{name}.csv", name, tmp_path) for name in ("l", "r")]
    sources = [source_of(table) for table in tables]
    found = answer(Request(sources[0], sources[1]), EngineTrials(tables[0], tables[1], tmp_path))
    assert [rule.sql for rule in found.rules] == [
        "ltrim(upper(trim(l.no)), '0') = CAST(r.ref AS TEXT)",
        "l.sum = r.paid",
    ]


def test_proposed_pairs_are_clear_ones_and_one_that_asks(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    pairs = propose_pairs(request_of(left, right), 5)
    assert len(pairs) == 5
    assert [p.clear for p in pairs] == sorted((p.clear for p in pairs), reverse=True)
    assert any(not p.clear for p in pairs)
    for pair in pairs:
        same = left["invoice_id"][pair.example.left_row] == right["reference"][pair.example.right_row]
        assert same, pair.why


def test_a_sample_says_so(tmp_path: Path) -> None:
    left, right = invoices_and_payments(200)
    request = request_of(left, right)
    request = replace(request, left=replace(request.left, rows=left.slice(0, 100)))
    found = answer(request, engine(tmp_path, left, right))
    assert found.verdict is Verdict.READY
    assert "The rule was found on 100 of 200 rows of invoices." in found.notes
