"""What a recipe must have, and that its JSON form loses nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kalla_common.domain import Recipe, RecipeSource
from kalla_common.errors import Code, KallaError
from kalla_gateway.catalog.convert import masked
from kalla_gateway.recipes.schemas import EXAMPLE, RecipeBody, recipe_json, recipe_of
from kalla_gateway.recipes.service import check

RECIPE = Recipe(
    recipe_id="r",
    name="R",
    match_sql="SELECT 1",
    left=RecipeSource(
        "l", "postgres", ("id", "part"), "postgres://u:secret@db/x?table=t", ("id:text", "part")
    ),
    right=RecipeSource("r", "file", ("id",)),
    description="d",
    match_description="m",
    lookups=(RecipeSource("rates", "file", (), "/rates.csv"),),
    allow_quadratic=True,
)


def test_the_stored_form_is_the_same_recipe() -> None:
    assert recipe_of(recipe_json(RECIPE, masked=False)) == RECIPE


def test_trap_18_the_shown_forms_hide_the_secret() -> None:
    assert "secret" not in str(recipe_json(RECIPE))
    assert "secret" not in repr(masked(RECIPE))


def test_the_example_of_the_reference_is_valid_and_comes_back_as_it_was() -> None:
    recipe = RecipeBody.model_validate(EXAMPLE).domain()
    check(recipe)
    assert recipe_json(recipe) == EXAMPLE


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, recipe_id=" "),
        replace(RECIPE, name=""),
        replace(RECIPE, match_sql="\n"),
        replace(RECIPE, right=replace(RECIPE.right, alias="l")),
        replace(RECIPE, right=replace(RECIPE.right, alias="rates")),
        replace(RECIPE, right=replace(RECIPE.right, alias="Rates")),
        replace(RECIPE, right=replace(RECIPE.right, alias="")),
        replace(RECIPE, right=replace(RECIPE.right, type="oracle")),
        replace(RECIPE, right=replace(RECIPE.right, primary_key=())),
    ],
)
def test_an_incomplete_recipe_is_refused(recipe: Recipe) -> None:
    with pytest.raises(KallaError) as caught:
        check(recipe)
    assert caught.value.code is Code.INVALID_REQUEST


def test_a_lookup_needs_no_key() -> None:
    check(RECIPE)
