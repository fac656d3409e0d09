"""The tools of a model: the same work that the guided agent does, one function a tool of `phases`.

A refusal is an answer that the model can act on, not an error.
"""

# pydantic-ai reads the docstrings: they are what the model is told of a tool.
from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Concatenate, Final, Literal, ParamSpec

from kalla_common.errors import Code, KallaError
from kalla_common.filters_json import parse_conditions
from kalla_common.telemetry import redact
from pydantic_ai import FunctionToolset, RunContext

from kalla_chat.agents.briefing import recipe_words
from kalla_chat.agents.guided import RAISED, run_words
from kalla_chat.agents.masking import Rows
from kalla_chat.conversation.phases import PhaseName, go_back
from kalla_chat.work import recipes, runs, sources
from kalla_chat.work.turn import Means, Turn

QUOTING: Final = frozenset({Code.INVALID_DATA, Code.SCHEMA_MISMATCH, Code.TYPE_MISMATCH})
"""Errors whose sentences quote values of rows."""


@dataclass(slots=True)
class Workplace:
    """What the tools work on. `consents`: whether the person's own message says yes or run."""

    turn: Turn
    means: Means
    rows: Rows
    consents: bool


P = ParamSpec("P")
Context = RunContext[Workplace]
Answer = dict[str, Any]

tools: FunctionToolset[Workplace] = FunctionToolset()


def tool(
    function: Callable[Concatenate[Context, P], Awaitable[Answer]],
) -> Callable[Concatenate[Context, P], Awaitable[Answer]]:
    """Register a tool; what it refuses becomes its answer."""

    @functools.wraps(function)
    async def call(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        phase = ctx.deps.turn.phase
        if function.__name__ not in set(phase.tools):
            # Several tools may be called at once, and an earlier one may have ended the phase.
            return {"refused": f"{function.__name__} is no tool of the phase {phase.name}."}
        try:
            answer = await function(ctx, *args, **kwargs)
        except KallaError as error:
            if error.code in RAISED:
                raise
            if error.code in QUOTING:
                # What cannot be read is told to the person in full, and to the model without the values.
                ctx.deps.turn.say(error.message)
                return {
                    "refused": "The data cannot be read; the person is told why.",
                    "code": error.code.value,
                }
            return {"refused": redact(error.message), "code": error.code.value}
        return answer | {"phase": ctx.deps.turn.phase.name.value}

    tools.add_function(call, takes_ctx=True, name=function.__name__, sequential=True)
    return call


@tool
async def list_sources(ctx: Context) -> Answer:
    """List the registered sources, and show the person buttons to choose one or to upload a file."""
    ctx.deps.turn.state.begun = True
    found = await sources.show_sources(ctx.deps.turn, ctx.deps.means)
    return {"sources": [{"alias": s.alias, "type": s.source_type} for s in found]}


@tool
async def choose_sources(ctx: Context, left: str, right: str) -> Answer:
    """Choose the left and the right source by their aliases, as the person named them."""
    turn, means = ctx.deps.turn, ctx.deps.means
    turn.state.begun = True
    if turn.state.left is not None and turn.state.left.alias == right:
        go_back(turn.state, PhaseName.SOURCE_SELECTION)
    chosen = [
        await sources.choose_source(turn, means, "left", left),
        await sources.choose_source(turn, means, "right", right),
    ]
    return {"columns": {side.alias: {c.name: c.data_type for c in side.columns} for side in chosen}}


@tool
async def show_rows(ctx: Context) -> Answer:
    """Count the rows of both sources after their filters, and show the person the first ones."""
    found = await sources.show_rows(ctx.deps.turn, ctx.deps.means)
    return {
        alias: {"rows": rows.total_rows, "first_rows": ctx.deps.rows.rows(rows.first(sources.SAMPLE_ROWS))}
        for alias, rows in found.items()
    }


@tool
async def set_filters(
    ctx: Context, side: Literal["left", "right"], conditions: list[dict[str, Any]]
) -> Answer:
    """Replace all filters of a side; an empty list takes every row.

    Each condition is {"column", "op", "value"} with op eq, neq, gt, gte, lt, lte, between, in or like;
    between takes two values in a list, in takes a list. Only filter as the person asked.
    """
    sources.set_filters(ctx.deps.turn.state, side, list(parse_conditions(conditions)))
    return {"set": len(conditions)}


@tool
async def confirm_scope(ctx: Context) -> Answer:
    """Go on with the rows as they are scoped now; only if the person agrees with them."""
    ctx.deps.turn.state.scoped = True
    ctx.deps.turn.replace({"sample_table"})
    return {"confirmed": True}


@tool
async def set_wishes(
    ctx: Context,
    tolerance: str | None = None,
    columns: list[tuple[str, str]] | None = None,
    earliest_day: int | None = None,
    latest_day: int | None = None,
) -> Answer:
    """Note what the person asks of the rule; what is left out stays as it was.

    tolerance: largest difference of amounts as decimal text, such as "0.02". columns: pairs [left column,
    right column] that must decide the match. earliest_day and latest_day: how many days the right date may
    lie after (or, negative, before) the left one.
    """
    state = ctx.deps.turn.state
    wishes = state.wishes.model_copy(deep=True)
    if tolerance is not None:
        wishes.tolerance = _amount(tolerance)
    if columns is not None:
        for left, right in columns:
            for name, side in ((left, state.left), (right, state.right)):
                if side is not None and name not in side.names:
                    known = ", ".join(side.names)
                    raise KallaError(
                        Code.INVALID_REQUEST, f"{side.alias} has no column {name}; it has {known}."
                    )
        wishes.columns = list(columns)
    if earliest_day is not None and latest_day is not None:
        wishes.window_days = (earliest_day, latest_day)
    if wishes != state.wishes:
        state.wishes = wishes
        go_back(state, PhaseName.INFERENCE)
    return {"noted": wishes.model_dump(mode="json", exclude={"words", "narrowings"})}


@tool
async def propose_pairs(ctx: Context) -> Answer:
    """Show the person pairs of rows that may belong together, to be judged by number."""
    pairs = await recipes.propose(ctx.deps.turn, ctx.deps.means)
    if not pairs:
        ctx.deps.turn.state.demonstrated = True
    return {"pairs": ctx.deps.rows.pairs(pairs)}


@tool
async def judge_pairs(ctx: Context, confirmed: list[int], rejected: list[int]) -> Answer:
    """Note which pairs the person called right and which wrong, by number; both empty to skip them."""
    recipes.judge(ctx.deps.turn.state, confirmed, rejected)
    return {"confirmed": confirmed, "rejected": rejected}


@tool
async def infer_recipe(ctx: Context) -> Answer:
    """Find the rule, check it and run it in a trial; show the person what came out."""
    found = await recipes.find_recipe(ctx.deps.turn, ctx.deps.means)
    state = ctx.deps.turn.state
    if state.draft is None:
        return {"no_reliable_rule": ctx.deps.rows.text(found.reason)}
    return {"recipe": recipe_words(state, ctx.deps.rows)}


@tool
async def show_recipe(ctx: Context) -> Answer:
    """Show the person the recipe again."""
    recipes.show_draft(ctx.deps.turn)
    return {"recipe": recipe_words(ctx.deps.turn.state, ctx.deps.rows)}


@tool
async def accept_recipe(ctx: Context) -> Answer:
    """Take the recipe as right; only if the person says so in this message. Then start_run may be called."""
    _require_consent(ctx)
    ctx.deps.turn.state.accepted = True
    return {"accepted": True}


@tool
async def start_run(ctx: Context) -> Answer:
    """Start the full run of the accepted recipe; only if the person says so in this message."""
    _require_consent(ctx)
    run = await runs.start_run(ctx.deps.turn, ctx.deps.means)
    return {"run_id": run.run_id, "status": run.status}


@tool
async def run_state(ctx: Context) -> Answer:
    """Say where the full run stands."""
    return {"run": run_words(ctx.deps.turn.state)}


@tool
async def go_back_to(
    ctx: Context, phase: Literal["source-selection", "scoping", "demonstration", "inference"]
) -> Answer:
    """Return to an earlier phase, because the person wants something else there."""
    go_back(ctx.deps.turn.state, PhaseName(phase))
    return {"returned": phase}


def _require_consent(ctx: Context) -> None:
    """A model may misunderstand, or follow what it read in a row: only the person's own words count."""
    if not ctx.deps.consents:
        raise KallaError(
            Code.INVALID_REQUEST, "The person did not say yes or run in this message; ask, and wait for it."
        )


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise KallaError(
            Code.INVALID_REQUEST, f"A tolerance is a decimal number that is not negative, not {text!r}."
        )
    return amount
