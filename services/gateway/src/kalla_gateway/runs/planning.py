"""From a request for a run to everything that the runner needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from kalla_common.db import WriteSession
from kalla_common.domain import FilterCondition, JobSpec, Recipe, RecipeSource, SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_gateway.recipes import service as recipe_service
from kalla_gateway.sources import repository as source_repository
from kalla_gateway.sources.tables import SourceRow
from kalla_gateway.sources.uris import check_uri, with_secret


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a caller asks for: a stored recipe or one of his own, and URIs and filters by alias.

    `witness` wins over the recipe's; None leaves it to the recipe.
    """

    recipe_id: str | None = None
    recipe: Recipe | None = None
    overrides: tuple[SourceSpec, ...] = ()
    witness: bool | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A recipe whose sources all have a URI, and the job to hand over."""

    recipe: Recipe
    spec: JobSpec


async def plan_run(
    session: WriteSession, request: RunRequest, run_id: str, output_path: str, callback_url: str
) -> RunPlan:
    """Resolve the recipe and every source of it.

    A source's URI is the override's, else the recipe's, else that of the registered source of
    its alias.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_URI, RECIPE_NOT_FOUND.
    """
    recipe = await _recipe(session, request)
    sides = (recipe.left, recipe.right, *recipe.lookups)
    overrides = _overrides_by_alias(request.overrides, recipe)
    wanted = [side.alias for side in sides if side.uri is None or side.alias in overrides]
    registered = await source_repository.find_all(session, wanted) if wanted else {}
    sources = tuple(_resolved(side, overrides.get(side.alias), registered.get(side.alias)) for side in sides)
    uris = {source.alias: source.uri for source in sources}
    complete = replace(
        recipe,
        left=replace(recipe.left, uri=uris[recipe.left.alias]),
        right=replace(recipe.right, uri=uris[recipe.right.alias]),
        lookups=tuple(replace(lookup, uri=uris[lookup.alias]) for lookup in recipe.lookups),
    )
    spec = JobSpec(
        run_id=run_id,
        match_sql=recipe.match_sql,
        sources=sources,
        output_path=output_path,
        primary_keys={side.alias: side.primary_key for side in sides if side.primary_key},
        callback_url=callback_url,
        allow_quadratic=recipe.allow_quadratic,
        witness=request.witness if request.witness is not None else recipe.witness,
    )
    return RunPlan(complete, spec)


def filters_json(sources: tuple[SourceSpec, ...]) -> dict[str, Any]:
    """The filters by alias as JSON, numbers as {"number": text}, so that none is rounded."""
    return {source.alias: [_filter_json(f) for f in source.filters] for source in sources if source.filters}


async def _recipe(session: WriteSession, request: RunRequest) -> Recipe:
    if request.recipe is not None:
        if request.recipe_id not in (None, request.recipe.recipe_id):
            raise KallaError(Code.INVALID_REQUEST, "recipe_id and recipe name two recipes; give one of them.")
        return await recipe_service.completed(session, request.recipe)
    if not request.recipe_id:
        raise KallaError(Code.INVALID_REQUEST, "A run needs recipe_id or recipe; give one of them.")
    return await recipe_service.require(session, request.recipe_id)


def _overrides_by_alias(overrides: tuple[SourceSpec, ...], recipe: Recipe) -> dict[str, SourceSpec]:
    aliases = {side.alias: side.alias for side in (recipe.left, recipe.right, *recipe.lookups)}
    # Both sides also answer to these names unless another source has them.
    known = {"left_src": recipe.left.alias, "right_src": recipe.right.alias} | aliases
    found: dict[str, SourceSpec] = {}
    for override in overrides:
        alias = known.get(override.alias)
        if alias is None:
            raise KallaError(
                Code.INVALID_REQUEST,
                f"resolved_sources names {override.alias!r}, but the recipe has only {', '.join(aliases)}.",
                alias=override.alias,
            )
        if alias in found:
            raise KallaError(
                Code.INVALID_REQUEST, f"resolved_sources names {alias!r} twice; give it once.", alias=alias
            )
        found[alias] = override
    return found


def _resolved(side: RecipeSource, override: SourceSpec | None, registered: SourceRow | None) -> SourceSpec:
    known = registered.uri if registered else None
    if override is not None:
        uri = with_secret(side.alias, override.uri, [side.uri, known])
        check_uri(side.alias, uri)
        return SourceSpec(side.alias, uri, override.filters, side.schema)
    uri = side.uri or known
    if uri is None:
        raise KallaError(
            Code.INVALID_REQUEST,
            f"Source {side.alias!r} has no URI: register a source of that alias, or give a URI"
            " in the recipe or in resolved_sources.",
            alias=side.alias,
        )
    return SourceSpec(side.alias, uri, (), side.schema)


def _filter_json(condition: FilterCondition) -> dict[str, Any]:
    values = [
        {"number": str(v)} if isinstance(v, int | Decimal) and not isinstance(v, bool) else v
        for v in condition.values
    ]
    return {"column": condition.column, "op": condition.op.value, "values": values}
