"""The endpoints of recipes."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from kalla_common.domain import SqlCheck, SqlProblem
from kalla_common.runner.ports import JobView
from kalla_gateway.recipes.checking import Checked, RecipeCheck
from kalla_gateway.recipes.schemas import RecipeBody

from tests.integration.gateway.conftest import RECIPE, Gateway

MASKED = "postgres://reader:***@db.internal:5432/sales?table=invoices"


def _changed(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RECIPE) | changes


def _masked() -> dict[str, Any]:
    shown = copy.deepcopy(RECIPE)
    shown["sources"]["left"]["uri"] = MASKED
    return shown


async def test_a_saved_recipe_is_returned_as_it_was_with_the_password_masked(gateway: Gateway) -> None:
    answer = await gateway.post("/api/recipes", RECIPE)
    # The runner is away, so nobody has checked its SQL.
    not_checked = "The runner cannot be reached; check that it runs and try again."
    saved = {"success": True, "message": "Recipe saved", "warnings": [], "not_checked": not_checked}
    assert (answer.status_code, answer.json()) == (200, saved)
    one = await gateway.get(f"/api/recipes/{RECIPE['recipe_id']}")
    assert (one.status_code, one.json()) == (200, _masked())
    assert (await gateway.get("/api/recipes")).json() == [_masked()]


class Trials:
    """A runner that finds these problems after so many seconds."""

    def __init__(self, *codes: str, seconds: float = 0.0) -> None:
        self._problems = tuple(SqlProblem(code, f"It is {code}.", 2, 7) for code in codes)
        self._seconds = seconds

    async def check_sql(self, match_sql: Any, sources: Any, primary_keys: Any) -> SqlCheck:
        await asyncio.sleep(self._seconds)
        return SqlCheck(ok=not self._problems, problems=self._problems)

    async def ended(self, run_id: str, seconds: float) -> JobView:
        raise NotImplementedError

    async def discard_trial(self, run_id: str) -> None:
        raise NotImplementedError


async def _checked(gateway: Gateway, trials: Trials, **changes: Any) -> Checked:
    await gateway.post("/api/recipes", _changed(**changes))
    recipe = RecipeBody.model_validate(_changed(**changes)).domain()
    return await RecipeCheck(gateway.services.database, trials, 0.2).check(recipe)


async def test_a_warning_names_its_place(gateway: Gateway) -> None:
    checked = await _checked(gateway, Trials("INVALID_SQL", "TYPE_MISMATCH"))
    places = "(line 2, column 7)"
    assert checked.warnings == (f"It is INVALID_SQL. {places}", f"It is TYPE_MISMATCH. {places}")


async def test_a_quadratic_query_is_a_warning_unless_the_recipe_allows_it(gateway: Gateway) -> None:
    assert (await _checked(gateway, Trials("QUADRATIC_PLAN"))).warnings
    assert (await _checked(gateway, Trials("QUADRATIC_PLAN"), allow_quadratic=True)).warnings == ()


async def test_a_check_that_takes_long_does_not_hold_up_the_answer(gateway: Gateway) -> None:
    checked = await _checked(gateway, Trials("INVALID_SQL", seconds=60))
    assert (checked.warnings, "0.2 s" in (checked.not_checked or "")) == ((), True)


async def test_recipes_are_listed_newest_first_and_an_update_keeps_the_place(gateway: Gateway) -> None:
    for recipe_id in ("a", "b", "c"):
        await gateway.post("/api/recipes", _changed(recipe_id=recipe_id))
    await gateway.post("/api/recipes", _changed(recipe_id="a", name="changed"))
    listed = (await gateway.get("/api/recipes")).json()
    assert [(r["recipe_id"], r["name"]) for r in listed] == [
        ("c", RECIPE["name"]),
        ("b", RECIPE["name"]),
        ("a", "changed"),
    ]


async def test_trap_18_posting_the_masked_recipe_back_keeps_the_password(gateway: Gateway) -> None:
    await gateway.post("/api/recipes", RECIPE)
    assert (await gateway.post("/api/recipes", _masked())).status_code == 200
    async with gateway.services.database.reading() as session:
        from kalla_gateway.recipes.service import require  # noqa: PLC0415

        stored = await require(session, RECIPE["recipe_id"])
    assert stored.left.uri == RECIPE["sources"]["left"]["uri"]


async def test_trap_18_a_masked_uri_in_a_new_recipe_takes_the_password_of_the_registered_source(
    gateway: Gateway,
) -> None:
    source = {"alias": "invoices", "uri": RECIPE["sources"]["left"]["uri"], "source_type": "postgres"}
    await gateway.post("/api/sources", source)
    assert (await gateway.post("/api/recipes", _masked())).status_code == 200
    assert "s3cret" not in (await gateway.get("/api/recipes")).text


async def test_trap_18_a_masked_uri_that_nothing_is_stored_for_is_a_400(gateway: Gateway) -> None:
    answer = await gateway.post("/api/recipes", _masked())
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_URI")
    assert (await gateway.get("/api/recipes")).json() == []


async def test_optional_parts_may_be_absent_and_further_ones_come_back(gateway: Gateway) -> None:
    recipe = copy.deepcopy(RECIPE)
    del recipe["description"]
    del recipe["match_description"]
    recipe["sources"]["left"] = {"alias": "invoices", "type": "postgres", "primary_key": ["id", "part"]}
    recipe["sources"]["right"]["schema"] = ["id:text", "ref"]
    recipe["sources"]["lookups"] = [{"alias": "rates", "type": "file", "uri": "/data/rates.csv"}]
    recipe["allow_quadratic"] = True
    recipe["unknown"] = {"kept": False}
    assert (await gateway.post("/api/recipes", recipe)).status_code == 200
    shown = (await gateway.get(f"/api/recipes/{RECIPE['recipe_id']}")).json()
    assert shown["description"] == shown["match_description"] == ""
    assert shown["sources"]["left"] == recipe["sources"]["left"]
    assert shown["sources"]["right"] == recipe["sources"]["right"]
    assert shown["sources"]["lookups"] == [recipe["sources"]["lookups"][0] | {"primary_key": []}]
    assert shown["allow_quadratic"] is True
    assert "unknown" not in shown


@pytest.mark.parametrize("field", ["recipe_id", "name", "match_sql", "sources"])
async def test_a_recipe_without_a_required_field_is_a_400_that_names_it(gateway: Gateway, field: str) -> None:
    recipe = copy.deepcopy(RECIPE)
    del recipe[field]
    answer = await gateway.post("/api/recipes", recipe)
    assert (answer.status_code, answer.json()["details"]) == (400, {"field": field})
    assert field in answer.json()["error"]


@pytest.mark.parametrize("field", ["alias", "type", "primary_key"])
@pytest.mark.parametrize("side", ["left", "right"])
async def test_a_source_without_a_required_field_is_a_400_that_names_it(
    gateway: Gateway, side: str, field: str
) -> None:
    recipe = copy.deepcopy(RECIPE)
    del recipe["sources"][side][field]
    answer = await gateway.post("/api/recipes", recipe)
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, f"sources.{side}.{field}")


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        ("left", {"primary_key": []}),
        ("left", {"primary_key": [""]}),
        ("left", {"primary_key": "id"}),
        ("left", {"type": "oracle"}),
        ("left", {"alias": "payments"}),
        ("left", {"uri": "postgres://h/db"}),
        ("right", {"uri": "postgres://h/db?table=t"}),
        ("right", {"schema": "id"}),
        ("right", {"schema": [1]}),
    ],
)
async def test_a_recipe_with_a_wrong_source_is_a_400(
    gateway: Gateway, side: str, changes: dict[str, Any]
) -> None:
    recipe = copy.deepcopy(RECIPE)
    recipe["sources"][side] |= changes
    answer = await gateway.post("/api/recipes", recipe)
    assert answer.status_code == 400, answer.text
    assert (await gateway.get("/api/recipes")).json() == []


async def test_an_unknown_recipe_is_a_404(gateway: Gateway) -> None:
    answer = await gateway.get("/api/recipes/nope")
    assert (answer.status_code, answer.json()["code"]) == (404, "RECIPE_NOT_FOUND")
