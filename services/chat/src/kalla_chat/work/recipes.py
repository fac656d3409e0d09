"""From examples to a recipe that was run: proposing pairs, inferring, trying."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from kalla_common.domain import Recipe, RecipeSource
from kalla_common.errors import Code, KallaError

from kalla_chat.conversation import cards
from kalla_chat.conversation.phases import PhaseName, go_back
from kalla_chat.conversation.state import Cells, Draft, Pair, Side, State, Trial
from kalla_chat.inference import (
    MAX_ROWS,
    Example,
    Hints,
    Inference,
    Request,
    Rule,
    Source,
    Verdict,
    infer,
    propose_pairs,
)
from kalla_chat.work.reading import Rows, cells_of, find_row
from kalla_chat.work.sources import counted, read_side
from kalla_chat.work.trials import RunnerTrialRuns
from kalla_chat.work.turn import Means, Turn

_SHOWN_ROWS: Final = 5


async def propose(turn: Turn, means: Means) -> list[Pair]:
    """Show pairs that may belong together; none if no column links the two sources.

    Raises:
        KallaError: what reading raises.
    """
    left, right = _chosen(turn.state)
    (_, left_rows), (_, right_rows) = [await read_side(turn, means, s, MAX_ROWS) for s in (left, right)]
    turn.note("Looking for rows that may belong together ...")
    request = _request(turn.state, left_rows, right_rows, (), ())
    proposed = await asyncio.to_thread(propose_pairs, request, turn.state.examples)
    turn.state.pairs = [
        Pair(
            number=number,
            left=left_rows.cells(pair.example.left_row),
            right=right_rows.cells(pair.example.right_row),
            why=pair.why,
            clear=pair.clear,
        )
        for number, pair in enumerate(proposed, start=1)
    ]
    if turn.state.pairs:
        turn.replace({"match_proposal"})
        turn.show(cards.match_proposal(turn.state.pairs, left.alias, right.alias))
    return turn.state.pairs


def judge(state: State, confirmed: Sequence[int], rejected: Sequence[int]) -> None:
    """Note which pairs belong together; pairs that are not named stay open.

    Raises:
        KallaError: INVALID_REQUEST for a number that no pair has, or one in both lists.
    """
    by_number = {pair.number: pair for pair in state.pairs}
    for number in (*confirmed, *rejected):
        if number not in by_number:
            shown = ", ".join(str(n) for n in by_number) or "none"
            raise KallaError(Code.INVALID_REQUEST, f"There is no pair {number}; shown are {shown}.")
    if both := set(confirmed) & set(rejected):
        raise KallaError(Code.INVALID_REQUEST, f"Pair {min(both)} cannot be both right and wrong.")
    before = [pair.verdict for pair in state.pairs]
    for number in confirmed:
        by_number[number].verdict = "confirmed"
    for number in rejected:
        by_number[number].verdict = "rejected"
    if [pair.verdict for pair in state.pairs] != before:
        go_back(state, PhaseName.INFERENCE)
    state.demonstrated = True


async def find_recipe(turn: Turn, means: Means) -> Inference:
    """Infer a recipe; it becomes the draft only if it was checked and its trial run matched rows.

    Raises:
        KallaError: what reading and running raise.
    """
    state = turn.state
    left, right = _chosen(state)
    (left_spec, left_rows), (right_spec, right_rows) = [
        await read_side(turn, means, side, MAX_ROWS) for side in (left, right)
    ]
    left.row_count, right.row_count = left_rows.total_rows, right_rows.total_rows
    confirmed, rejected, lost = _examples(state, left_rows, right_rows)
    trials = RunnerTrialRuns(
        means.control, means.tester, means.rows, left_spec, right_spec, means.trial_seconds, turn.note
    )
    turn.note("Looking for the rule by which rows match ...")
    found = await infer(_request(state, left_rows, right_rows, confirmed, rejected), trials)
    go_back(state, PhaseName.INFERENCE)
    if found.verdict is not Verdict.READY or found.recipe is None or found.trial is None:
        state.no_rule = found.reason
        return found
    state.drafts += 1
    state.draft = _draft(turn, found, left_rows, right_rows)
    if lost:
        state.draft.notes.append(f"{counted(lost, 'example')} could not be found in the sources any more.")
    _show(turn, found, left, right)
    return found


def show_draft(turn: Turn) -> Draft:
    """Show the draft again.

    Raises:
        KallaError: INVALID_REQUEST if there is none.
    """
    draft = turn.state.draft
    if draft is None:
        raise KallaError(Code.INVALID_REQUEST, "There is no recipe yet.")
    turn.replace({"rule_summary"})
    turn.show(cards.rule_summary(draft))
    return draft


def recipe_of(state: State) -> Recipe | None:
    """The draft as a recipe over the registered sources."""
    draft = state.draft
    if draft is None or state.left is None or state.right is None:
        return None
    scope = [
        f"{side.alias}: {', '.join(c.column for c in side.filters)}"
        for side in (state.left, state.right)
        if side.filters
    ]
    filtered = f" Found with filters on {'; '.join(scope)}, which are given at each run." if scope else ""
    return Recipe(
        recipe_id=draft.recipe_id,
        name=draft.name,
        description=f"Found in a conversation and run in a trial before it was proposed.{filtered}",
        match_sql=draft.match_sql,
        match_description=draft.match_description,
        left=RecipeSource(state.left.alias, state.left.source_type, tuple(draft.left_key)),
        right=RecipeSource(state.right.alias, state.right.source_type, tuple(draft.right_key)),
    )


def trial_words(trial: Trial, left: str, right: str) -> str:
    """What the trial gave, in a sentence or two."""
    text = (
        f"On all rows it makes {counted(trial.matched_count, 'pair')}: {trial.matched_left:,} of "
        f"{trial.matched_left + trial.unmatched_left:,} rows of {left} and {trial.matched_right:,} of "
        f"{trial.matched_right + trial.unmatched_right:,} rows of {right} have a partner."
    )
    ambiguous = trial.ambiguous_left + trial.ambiguous_right
    return text if not ambiguous else f"{text} {counted(ambiguous, 'row')} have more partners than one."


def _chosen(state: State) -> tuple[Side, Side]:
    if state.sides is None:
        raise KallaError(Code.INVALID_REQUEST, "Choose both sources first.")
    return state.sides


def _request(
    state: State,
    left: Rows,
    right: Rows,
    confirmed: tuple[Example, ...],
    rejected: tuple[Example, ...],
) -> Request:
    one, two = _chosen(state)
    wishes = state.wishes
    columns = tuple(
        (name, other) for name, other in wishes.columns if name in one.names and other in two.names
    )
    return Request(
        Source(one.alias, left.table, left.total_rows, (), one.conditions()),
        Source(two.alias, right.table, right.total_rows, (), two.conditions()),
        confirmed,
        rejected,
        Hints(columns=columns, tolerance=wishes.tolerance, window_days=wishes.window_days),
    )


def _examples(state: State, left: Rows, right: Rows) -> tuple[tuple[Example, ...], tuple[Example, ...], int]:
    """Confirmed and rejected pairs as row numbers, and how many are not there any more."""
    found: dict[str, list[Example]] = {"confirmed": [], "rejected": []}
    lost = 0
    for pair in state.pairs:
        if pair.verdict is None:
            continue
        rows = find_row(left.table, pair.left), find_row(right.table, pair.right)
        if rows[0] is None or rows[1] is None:
            lost += 1
        else:
            found[pair.verdict].append(Example(rows[0], rows[1]))
    return tuple(found["confirmed"]), tuple(found["rejected"]), lost


def _draft(turn: Turn, found: Inference, left: Rows, right: Rows) -> Draft:
    recipe, trial = found.recipe, found.trial
    assert recipe is not None  # noqa: S101 - the caller has looked
    assert trial is not None  # noqa: S101
    one, two = _chosen(turn.state)
    return Draft(
        recipe_id=f"chat-{turn.session_id}-{turn.state.drafts}",
        name=f"{one.alias} and {two.alias}",
        match_sql=recipe.match_sql,
        match_description=recipe.match_description,
        left_key=list(recipe.left_key),
        right_key=list(recipe.right_key),
        shape=recipe.shape.value,
        rules=[_rule(rule, left, right) for rule in found.rules],
        trial=Trial(
            matched_count=trial.matched_count,
            matched_left=trial.matched_left,
            matched_right=trial.matched_right,
            unmatched_left=trial.unmatched_left,
            unmatched_right=trial.unmatched_right,
            ambiguous_left=trial.ambiguous_left,
            ambiguous_right=trial.ambiguous_right,
        ),
        reason=found.reason,
        notes=list(found.notes),
        contradictions=[
            _contradiction(turn.state, c.example, c.reason, left, right) for c in found.contradictions
        ],
    )


def _rule(rule: Rule, left: Rows, right: Rows) -> dict[str, Any]:
    against = [
        {"left": left.cells(e.left_row), "right": right.cells(e.right_row)} for e in rule.counter_examples[:2]
    ]
    return {
        "text": rule.text,
        "sql": rule.sql,
        "support": rule.support,
        "tested": rule.tested,
        "counter_examples": against,
    }


def _contradiction(state: State, example: Example, reason: str, left: Rows, right: Rows) -> str:
    cells = left.cells(example.left_row), right.cells(example.right_row)
    numbers = [pair.number for pair in state.pairs if (pair.left, pair.right) == cells]
    return f"Pair {numbers[0]}: {reason}." if numbers else f"{reason[:1].upper()}{reason[1:]}."


def _show(turn: Turn, found: Inference, left: Side, right: Side) -> None:
    trial = found.trial
    draft = turn.state.draft
    if trial is None or draft is None:
        return
    turn.replace({"rule_summary", "sample_table", "match_proposal"})
    turn.show(cards.rule_summary(draft))
    tables = (
        ("Matched in the trial", trial.run.matched, trial.matched_count),
        (f"Without a partner in {left.alias}", trial.run.unmatched_left, trial.unmatched_left),
        (f"Without a partner in {right.alias}", trial.run.unmatched_right, trial.unmatched_right),
    )
    for title, table, total in tables:
        rows: list[Cells] = cells_of(table.slice(0, _SHOWN_ROWS))
        if rows:
            turn.show(cards.sample_table(title, table.column_names, rows, total))
