"""CatalogService over real gRPC and the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kalla.catalog.v1 import catalog_service_pb2 as pb
from kalla.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from kalla.common.v1 import source_pb2
from kalla_common.errors import Code, KallaError
from kalla_common.rpc import convert
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.server import add_port
from kalla_gateway.recipes.schemas import RecipeBody
from kalla_gateway.server import make_catalog_server
from kalla_gateway.servicer import SERVICE_NAME

from tests.integration.gateway.conftest import RECIPE, Gateway

URI = RECIPE["sources"]["left"]["uri"]
MASKED = URI.replace("s3cret", "***")


@pytest.fixture
async def channel(gateway: Gateway) -> AsyncIterator[Any]:
    server, health = make_catalog_server(gateway.services)
    port = add_port(server, "127.0.0.1:0")
    await server.start()
    await health.serving()
    try:
        async with make_channel(f"127.0.0.1:{port}", unavailable=Code.INTERNAL) as opened:
            yield opened
    finally:
        await server.stop(None)


@pytest.fixture
def stub(channel: Any) -> Any:
    return CatalogServiceStub(channel)


async def test_sources_are_registered_listed_and_shown_masked(stub: Any, gateway: Gateway) -> None:
    request = pb.RegisterSourceRequest(alias="invoices", uri=URI, source_type="postgres")
    registered = (await stub.RegisterSource(request)).source
    assert (registered.uri, registered.status) == (MASKED, "unknown")
    assert (await stub.GetSource(pb.GetSourceRequest(alias="invoices"))).source == registered
    await stub.RegisterSource(pb.RegisterSourceRequest(alias="p", uri="/p.csv", source_type="file"))
    listed = (await stub.ListSources(pb.ListSourcesRequest())).sources
    assert [source.alias for source in listed] == ["p", "invoices"]
    assert [s["alias"] for s in (await gateway.get("/api/sources")).json()] == ["p", "invoices"]


async def test_only_resolve_source_returns_the_secret(stub: Any) -> None:
    await stub.RegisterSource(pb.RegisterSourceRequest(alias="i", uri=URI, source_type="postgres"))
    await stub.RegisterSource(pb.RegisterSourceRequest(alias="i", uri=MASKED, source_type="postgres"))
    assert (await stub.ResolveSource(pb.ResolveSourceRequest(alias="i"))).source.uri == URI


async def test_recipes_are_saved_listed_and_shown_masked(stub: Any, gateway: Gateway) -> None:
    recipe = RecipeBody.model_validate(RECIPE).domain()
    shown = replace(recipe, left=replace(recipe.left, uri=MASKED))
    saved = await stub.SaveRecipe(pb.SaveRecipeRequest(recipe=convert.recipe_to_proto(recipe)))
    assert convert.recipe_from_proto(saved.recipe) == shown
    found = await stub.GetRecipe(pb.GetRecipeRequest(recipe_id=recipe.recipe_id))
    assert convert.recipe_from_proto(found.recipe) == shown
    listed = await stub.ListRecipes(pb.ListRecipesRequest())
    assert [r.recipe_id for r in listed.recipes] == [recipe.recipe_id]
    rest = (await gateway.get(f"/api/recipes/{recipe.recipe_id}")).json()
    assert RecipeBody.model_validate(rest).domain() == shown


async def test_runs_are_shown_with_progress_and_a_masked_recipe(stub: Any, gateway: Gateway) -> None:
    for run_id in ("a", "b"):
        await gateway.submitted(run_id)
    report = {"run_id": "a", "stage": "matching", "progress": 0.5, "matched_count": 3}
    await gateway.post("/api/worker/progress", report)
    run = (await stub.GetRun(pb.GetRunRequest(run_id="a"))).run
    assert (run.status, run.recipe.left.uri) == ("running", MASKED)
    assert (run.latest_progress.progress, run.latest_progress.matched_count) == (0.5, 3)
    assert not run.latest_progress.HasField("total_left")
    assert not run.HasField("output_matched")
    listed = (await stub.ListRuns(pb.ListRunsRequest())).runs
    assert [run.run_id for run in listed] == ["b", "a"]
    assert not listed[0].HasField("latest_progress")


async def _code(call: Any) -> Code:
    with pytest.raises(KallaError) as caught:
        await call
    return caught.value.code


async def test_errors_have_the_codes_of_rest(stub: Any) -> None:
    recipe = convert.recipe_to_proto(RecipeBody.model_validate(RECIPE).domain())
    wrong = source_pb2.ResolvedSource(alias="nope", uri="/x")
    nul = pb.RegisterSourceRequest(alias="a\0", uri="/x", source_type="file")
    expected = [
        (stub.GetSource(pb.GetSourceRequest(alias="nope")), Code.SOURCE_NOT_FOUND),
        (stub.ResolveSource(pb.ResolveSourceRequest(alias="nope")), Code.SOURCE_NOT_FOUND),
        (stub.RegisterSource(pb.RegisterSourceRequest()), Code.INVALID_REQUEST),
        (stub.RegisterSource(nul), Code.INVALID_REQUEST),
        (stub.GetRecipe(pb.GetRecipeRequest(recipe_id="nope")), Code.RECIPE_NOT_FOUND),
        (stub.SaveRecipe(pb.SaveRecipeRequest()), Code.INVALID_REQUEST),
        (stub.GetRun(pb.GetRunRequest(run_id="nope")), Code.RUN_NOT_FOUND),
        (stub.CancelRun(pb.CancelRunRequest(run_id="nope")), Code.RUN_NOT_FOUND),
        (stub.CreateRun(pb.CreateRunRequest()), Code.INVALID_REQUEST),
        (stub.CreateRun(pb.CreateRunRequest(recipe_id="nope")), Code.RECIPE_NOT_FOUND),
        (stub.CreateRun(pb.CreateRunRequest(recipe=recipe, resolved_sources=[wrong])), Code.INVALID_REQUEST),
        (stub.CreateRun(pb.CreateRunRequest(recipe=recipe)), Code.RUNNER_UNAVAILABLE),
    ]
    for call, code in expected:
        assert await _code(call) is code


async def test_the_health_service_says_serving(channel: Any) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE_NAME):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
