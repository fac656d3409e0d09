"""The way from a request to an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import pyarrow as pa

from kalla_chat.inference.answer import (
    Candidate,
    Contradiction,
    DraftRecipe,
    Inference,
    ProposedPair,
    Shape,
    SourceProfile,
    TrialRun,
    Trials,
    TrialSummary,
    Verdict,
)
from kalla_chat.inference.columns import read_side
from kalla_chat.inference.draft import Drafts, find_drafts, pairs_of, recipe_of, rules_of
from kalla_chat.inference.hypothesis import Hypothesis
from kalla_chat.inference.judge import contradictions
from kalla_chat.inference.profiles import describe
from kalla_chat.inference.proposals import choose_pairs
from kalla_chat.inference.request import MAX_ROWS, Example, Request, Source

_TRIALS: Final = 3
_CANDIDATES: Final = 5
_FETCHED: Final = 2 * MAX_ROWS


async def infer(request: Request, trials: Trials) -> Inference:
    """Find the rule by which the rows of two sources match, and run it.

    Computing is done in a thread, so that the event loop stays free. The answer depends on the rows
    only: not on their order, nor on the order of columns.

    Returns:
        READY with a recipe that passed `check` and whose trial run matched rows, or NO_RELIABLE_RULE.

    Raises:
        KallaError: INVALID_REQUEST for more than MAX_ROWS rows, an example that names no row, or a hint
            that names no column; whatever `trials` raises when the runner cannot be used.
    """
    drafts = await asyncio.to_thread(find_drafts, request)
    tried: dict[int, str] = {}
    for place, made in enumerate(drafts.hypotheses[:_TRIALS]):
        if made.objection:
            break
        recipe = recipe_of(drafts, made)
        problem, run = await _try(recipe, made, request, trials)
        if run is not None and not problem:
            return await asyncio.to_thread(_ready, drafts, (made, recipe, run), request, tried)
        tried[place] = problem
    return _none(drafts, tried)


async def _try(
    recipe: DraftRecipe, made: Hypothesis, request: Request, trials: Trials
) -> tuple[str, TrialRun | None]:
    """What is wrong with a draft, and its run."""
    check = await trials.check(recipe)
    if not check.ok:
        return "the check refuses it: " + " ".join(p.message for p in check.problems), None
    run = await trials.run(recipe, _FETCHED)
    if run.matched_count == 0:
        return "its trial run matched no row", run
    if request.left.whole and request.right.whole:
        seen, ran = made.matched, (run.left.matched_rows, run.right.matched_rows)
        if seen != ran:
            return f"its trial run matched {_rows(ran)}, where {_rows(seen)} were to be matched", run
    return "", run


def _rows(counts: tuple[int, int]) -> str:
    return f"{counts[0]:,} left and {counts[1]:,} right rows"


def _ready(
    drafts: Drafts,
    passed: tuple[Hypothesis, DraftRecipe, TrialRun],
    request: Request,
    tried: dict[int, str],
) -> Inference:
    made, recipe, run = passed
    against = [
        Contradiction(examples[i], confirmed, _broken(drafts, made, examples[i], confirmed=confirmed))
        for examples, confirmed in ((request.confirmed, True), (request.rejected, False))
        for i in contradictions(pairs_of(examples), made, confirmed=confirmed)
    ]
    return Inference(
        Verdict.READY,
        _reason(made),
        drafts.left,
        drafts.right,
        recipe,
        rules_of(drafts, made),
        summarise(recipe, run),
        tuple(against),
        _candidates(drafts, tried),
        _notes(drafts, made, request),
    )


def _broken(drafts: Drafts, made: Hypothesis, example: Example, *, confirmed: bool) -> str:
    if not confirmed:
        return "it was rejected, but every condition of the recipe holds for it"
    held = made.conditions(pairs_of([example]))
    broken = [p.text for p in drafts.written(made).parts if not held[p.name][0]]
    return f"it was confirmed, but this does not hold for it: {'; '.join(broken)}"


def _reason(made: Hypothesis) -> str:
    told = "; ".join(made.reasons)
    return f"The rule matches {_rows(made.matched)}{': ' if told else ''}{told}."


def _notes(drafts: Drafts, made: Hypothesis, request: Request) -> tuple[str, ...]:
    notes: list[str] = []
    for profile, source in ((drafts.left, request.left), (drafts.right, request.right)):
        if profile.key_objection:
            key = ", ".join(profile.primary_key)
            notes.append(f"The primary key of {profile.alias}, {key}: {profile.key_objection}.")
        if not source.whole:
            seen = f"{profile.rows:,} of {profile.total_rows:,} rows"
            notes.append(f"The rule was found on {seen} of {profile.alias}.")
    days = [(link.left, link.right) for link in made.links if link.kind == "day"]
    if made.window is not None:
        days.append((made.window.left, made.window.right))
    for pair in days:
        for column, alias in zip(pair, (drafts.left.alias, drafts.right.alias), strict=True):
            if column.days is not None and column.days.note:
                notes.append(f"{alias}.{column.name} {column.days.note}.")
    return tuple(notes)


def _candidates(drafts: Drafts, tried: dict[int, str]) -> tuple[Candidate, ...]:
    found: list[Candidate] = []
    for place, made in enumerate(drafts.hypotheses[:_CANDIDATES]):
        written = drafts.written(made)
        objection = tried.get(place, made.objection)
        text = ", and ".join(part.text for part in written.parts)
        found.append(Candidate(text, written.sql, *made.matched, not objection, objection))
    return tuple(found)


def _none(drafts: Drafts, tried: dict[int, str]) -> Inference:
    candidates = _candidates(drafts, tried)
    if not drafts.left.rows or not drafts.right.rows:
        empty = drafts.left.alias if not drafts.left.rows else drafts.right.alias
        reason = f"There is nothing to learn from: {empty} has no rows."
    elif not candidates:
        pair = f"{drafts.left.alias} and {drafts.right.alias}"
        reason = f"No two columns of {pair} share values, in any spelling."
    else:
        best = candidates[0]
        reason = f"No rule is reliable. The best candidate: {best.text}; but {best.objection}."
    return Inference(Verdict.NO_RELIABLE_RULE, reason, drafts.left, drafts.right, candidates=candidates)


def summarise(recipe: DraftRecipe, run: TrialRun) -> TrialSummary:
    """The figures of a trial run, with the rows that have more partners than the shape allows."""
    left = right = 0
    if not recipe.summed:
        size = len(recipe.left_key)
        many_right = recipe.shape in (Shape.ONE_TO_MANY, Shape.MANY_TO_MANY)
        many_left = recipe.shape in (Shape.MANY_TO_ONE, Shape.MANY_TO_MANY)
        left = 0 if many_right else _repeated(run.matched, range(size))
        right = 0 if many_left else _repeated(run.matched, range(size, size + len(recipe.right_key)))
    return TrialSummary(
        run.matched_count,
        run.left.matched_rows,
        run.right.matched_rows,
        run.left.unmatched_rows,
        run.right.unmatched_rows,
        left,
        right,
        run.matched.num_rows == run.matched_count,
        run,
    )


def _repeated(rows: pa.Table, places: range) -> int:
    """Keys that come more than once among the rows."""
    if not rows.num_rows:
        return 0
    keys = pa.table([rows.column(place) for place in places], names=[f"k{place}" for place in places])
    counted = keys.group_by(keys.schema.names).aggregate([([], "count_all")])
    return int((counted.column("count_all").to_numpy() > 1).sum())


def profile(source: Source) -> SourceProfile:
    """Describe a source: its columns in figures, and its primary key."""
    return describe(read_side(source))


def propose_pairs(request: Request, count: int = 6) -> tuple[ProposedPair, ...]:
    """Choose pairs to show to a person for confirmation: clear ones first, then those that ask something.

    Empty if no column pair links the two sources. Blocking; a few seconds at most.
    """
    drafts = find_drafts(replace(request, confirmed=(), rejected=()))
    return choose_pairs(drafts, count)
