"""The full run of an accepted recipe."""

from __future__ import annotations

from typing import Any

from kalla_common.domain import JobResult
from kalla_common.errors import Code, KallaError
from kalla_common.findings import duplicated_keys, shared_keys
from kalla_common.runner.ports import RunnerControl

from kalla_chat.conversation import cards
from kalla_chat.conversation.state import Run, State
from kalla_chat.work import sources
from kalla_chat.work.ports import Catalog, CatalogRun
from kalla_chat.work.recipes import recipe_of
from kalla_chat.work.sources import counted
from kalla_chat.work.turn import Means, Turn


async def start_run(turn: Turn, means: Means) -> CatalogRun:
    """Save the accepted recipe and start its run; a run of it that is there already is taken instead.

    Raises:
        KallaError: INVALID_REQUEST if no recipe was accepted; what saving and starting raise.
    """
    state = turn.state
    recipe = recipe_of(state)
    if recipe is None or not state.accepted or state.sides is None:
        raise KallaError(Code.INVALID_REQUEST, "A run needs a recipe that was found and accepted first.")
    if state.run is not None and state.run.run_id and state.run.status != "failed":
        return await means.catalog.run(state.run.run_id)
    await means.catalog.save_recipe(recipe)
    found = await _started_before(means.catalog, state, recipe.recipe_id)
    if found is None:
        scoped = tuple([await sources.scoped(means, side) for side in state.sides])
        found = await means.catalog.create_run(recipe.recipe_id, scoped)
    state.run = Run(run_id=found.run_id, status=found.status)
    turn.show(cards.progress(found.run_id))
    return found


async def _started_before(catalog: Catalog, state: State, recipe_id: str) -> CatalogRun | None:
    """A run that an earlier try at this answer started before it broke off."""
    for run in await catalog.runs_of(recipe_id):
        failed_before = state.run is not None and state.run.run_id == run.run_id
        if not failed_before and run.status not in ("failed", "cancelled"):
            return run
    return None


async def result_card(run: CatalogRun, control: RunnerControl, state: State) -> tuple[str, cards.Card]:
    """What a completed run gave, in words and as a card."""
    left = state.left.alias if state.left else "left"
    right = state.right.alias if state.right else "right"
    result = await _result(run, control)
    sides = () if result is None else (result.left, result.right)
    content: dict[str, Any] = {
        "status": run.status,
        "matched_count": run.matched_count,
        "unmatched_left_count": run.unmatched_left_count,
        "unmatched_right_count": run.unmatched_right_count,
        "outputs": run.outputs,
        "shared_key_rows": sum(side.shared_key_rows for side in sides),
        "findings": _findings(result),
    }
    shared = [shared_keys(side.alias, side.shared_key_rows, side.shared_key_examples) for side in sides]
    text = (
        f"The run is completed: {counted(run.matched_count, 'pair')} match; "
        f"{counted(run.unmatched_left_count, 'row')} of {left} and "
        f"{counted(run.unmatched_right_count, 'row')} of {right} have no partner. "
        + " ".join([*filter(None, shared), "Every row is accounted for, on both sides."])
    )
    return text, cards.result_summary(run.run_id, content)


async def _result(run: CatalogRun, control: RunnerControl) -> JobResult | None:
    """What the run says of both sides; None if the runner can no longer be asked."""
    try:
        return (await control.job(run.run_id)).result
    except KallaError:
        return None


def _findings(result: JobResult | None) -> list[str]:
    """What the run noticed by the way."""
    if result is None:
        return []
    found: list[str] = []
    if result.witness is not None and result.witness.status == "agreed":
        found.append(f"A second engine ({result.witness.engine}) found the same pairs.")
    elif result.witness is not None:
        found.append(f"No second engine could confirm the pairs: {result.witness.reason}")
    for side in (result.left, result.right):
        if side.duplicate_keys:
            found.append(duplicated_keys(side.alias, side.duplicate_keys, side.duplicate_key_examples))
        if side.null_key_rows:
            found.append(f"{side.alias}: {counted(side.null_key_rows, 'row')} have no primary key.")
        if side.would_match_trimmed:
            found.append(
                f"{side.alias}: {counted(side.would_match_trimmed, 'row')} would match without spaces around."
            )
        if side.would_match_case_folded:
            found.append(
                f"{side.alias}: {counted(side.would_match_case_folded, 'row')} would match in one case."
            )
        if side.would_match_normalized:
            rows = counted(side.would_match_normalized, "row")
            found.append(f"{side.alias}: {rows} would match in one Unicode form.")
    return found
