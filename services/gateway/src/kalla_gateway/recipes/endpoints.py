"""The REST endpoints of recipes."""

from __future__ import annotations

from fastapi import APIRouter

from kalla_gateway.recipes import service
from kalla_gateway.recipes.schemas import RecipeBody, RecipeSaved, recipe_json
from kalla_gateway.rest.context import Services
from kalla_gateway.rest.errors import documented
from kalla_gateway.rest.exact_json import ExactJsonRoute

router = APIRouter(prefix="/api/recipes", tags=["Recipes"], route_class=ExactJsonRoute)

# What a source does not have (uri, schema) is left out, as in the recipes that users write.


@router.get("", responses=documented(503), response_model_exclude_none=True)
async def list_recipes(services: Services) -> list[RecipeBody]:
    """List all recipes, newest first."""
    async with services.database.reading() as session:
        recipes = await service.newest_first(session)
    return [RecipeBody.model_validate(recipe_json(recipe)) for recipe in recipes]


@router.post("", responses=documented(400, 503), response_model_exclude_none=True)
async def save_recipe(body: RecipeBody, services: Services) -> RecipeSaved:
    """Create a recipe, or update the one with its id; its SQL is checked where its sources can be read."""
    async with services.database.writing() as session:
        recipe = await service.save(session, body.domain())
    checked = await services.recipe_check.check(recipe)
    return RecipeSaved(
        message="Recipe saved", warnings=list(checked.warnings), not_checked=checked.not_checked
    )


@router.get("/{recipe_id:path}", responses=documented(404, 503), response_model_exclude_none=True)
async def get_recipe(recipe_id: str, services: Services) -> RecipeBody:
    """Return one recipe."""
    async with services.database.reading() as session:
        recipe = await service.require(session, recipe_id)
    return RecipeBody.model_validate(recipe_json(recipe))
