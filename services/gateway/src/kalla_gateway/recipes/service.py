"""What can be done with recipes."""

from __future__ import annotations

from dataclasses import replace

from kalla_common.db import ReadSession, WriteSession
from kalla_common.domain import Recipe, RecipeSource
from kalla_common.errors import Code, KallaError

from kalla_gateway.recipes import repository
from kalla_gateway.recipes.schemas import recipe_json, recipe_of
from kalla_gateway.sources import repository as source_repository
from kalla_gateway.sources.uris import SOURCE_TYPES, check_source, with_secret


async def newest_first(session: ReadSession) -> list[Recipe]:
    """All recipes, with their secrets."""
    return [recipe_of(row.body) for row in await repository.newest_first(session)]


async def require(session: ReadSession | WriteSession, recipe_id: str) -> Recipe:
    """Return the recipe with this id, with its secrets.

    Raises:
        KallaError: RECIPE_NOT_FOUND.
    """
    row = await repository.find(session, recipe_id)
    if row is None:
        raise KallaError(
            Code.RECIPE_NOT_FOUND,
            f"No recipe has the id {recipe_id!r}; GET /api/recipes lists them.",
            recipe_id=recipe_id,
        )
    return recipe_of(row.body)


async def save(session: WriteSession, recipe: Recipe) -> Recipe:
    """Add or update a recipe, and return it as stored.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_URI.
    """
    complete = await completed(session, recipe)
    await repository.save(session, recipe.recipe_id, recipe_json(complete, masked=False))
    return complete


async def completed(session: WriteSession, recipe: Recipe) -> Recipe:
    """Check a recipe that came from outside and put the stored secrets in the place of `***`.

    A secret comes from the stored recipe of that id, else from the registered source of
    that alias, and only for the server it was stored for.

    Raises:
        KallaError: INVALID_REQUEST, INVALID_URI.
    """
    check(recipe)
    sides = (recipe.left, recipe.right, *recipe.lookups)
    if all(side.uri is None for side in sides):
        return recipe
    row = await repository.find(session, recipe.recipe_id)
    before = recipe_of(row.body) if row is not None else None
    old = {side.alias: side.uri for side in _sides(before)}
    registered = await source_repository.find_all(session, [side.alias for side in sides])

    def restored(side: RecipeSource) -> RecipeSource:
        if side.uri is None:
            return side
        known = registered.get(side.alias)
        uri = with_secret(side.alias, side.uri, [old.get(side.alias), known.uri if known else None])
        check_source(side.alias, side.type, uri)
        return replace(side, uri=uri)

    return replace(
        recipe,
        left=restored(recipe.left),
        right=restored(recipe.right),
        lookups=tuple(restored(lookup) for lookup in recipe.lookups),
    )


def check(recipe: Recipe) -> None:
    """Require what every recipe must have, wherever it came from.

    Raises:
        KallaError: INVALID_REQUEST.
    """
    for field in ("recipe_id", "name", "match_sql"):
        if not str(getattr(recipe, field)).strip():
            raise KallaError(Code.INVALID_REQUEST, f"A recipe needs {field}.", field=field)
    seen: set[str] = set()
    for side in _sides(recipe):
        _check_side(side, needs_key=side in (recipe.left, recipe.right))
        if side.alias.casefold() in seen:
            raise KallaError(
                Code.INVALID_REQUEST,
                f"Two sources of the recipe have the alias {side.alias!r}, apart from upper and lower case; "
                "give each its own.",
                alias=side.alias,
            )
        seen.add(side.alias.casefold())


def _check_side(side: RecipeSource, *, needs_key: bool) -> None:
    if not side.alias.strip():
        raise KallaError(Code.INVALID_REQUEST, "Every source of a recipe needs an alias.", field="alias")
    if side.type not in SOURCE_TYPES:
        known = ", ".join(SOURCE_TYPES)
        raise KallaError(
            Code.INVALID_REQUEST,
            f"Source {side.alias!r} has an unknown type; known are {known}.",
            alias=side.alias,
        )
    if needs_key and not side.primary_key:
        raise KallaError(
            Code.INVALID_REQUEST,
            f"Source {side.alias!r} needs a primary_key with at least one column.",
            alias=side.alias,
        )


def _sides(recipe: Recipe | None) -> tuple[RecipeSource, ...]:
    return () if recipe is None else (recipe.left, recipe.right, *recipe.lookups)
