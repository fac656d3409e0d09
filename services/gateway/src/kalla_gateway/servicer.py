"""CatalogService: unpack, call, pack. Errors leave through the server's interceptor."""

# gRPC gives the names and the arguments of the methods.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from typing import Any

from kalla.catalog.v1 import catalog_service_pb2 as pb
from kalla.catalog.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from kalla_common.db import Database
from kalla_common.domain import SourceSpec
from kalla_common.rpc import convert

from kalla_gateway.catalog.convert import recipe_message, run_message, source_message
from kalla_gateway.recipes import service as recipes
from kalla_gateway.runs import service as runs
from kalla_gateway.runs.dispatch import RunDispatcher
from kalla_gateway.runs.planning import RunRequest
from kalla_gateway.sources import repository as source_repository
from kalla_gateway.sources import service as sources
from kalla_gateway.sources.contact import SourceContact
from kalla_gateway.sources.uris import check_uri

SERVICE_NAME = "kalla.catalog.v1.CatalogService"


class CatalogServicer(CatalogServiceServicer):
    """Sources, recipes and runs over the same functions as REST."""

    def __init__(self, database: Database, dispatcher: RunDispatcher, contact: SourceContact) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._contact = contact

    async def ListSources(self, request: pb.ListSourcesRequest, context: Any) -> pb.ListSourcesResponse:
        """Newest first."""
        async with self._database.reading() as session:
            rows = await source_repository.newest_first(session)
        return pb.ListSourcesResponse(sources=[source_message(row) for row in rows])

    async def GetSource(self, request: pb.GetSourceRequest, context: Any) -> pb.GetSourceResponse:
        """One source, masked."""
        async with self._database.reading() as session:
            return pb.GetSourceResponse(source=source_message(await sources.require(session, request.alias)))

    async def RegisterSource(
        self, request: pb.RegisterSourceRequest, context: Any
    ) -> pb.RegisterSourceResponse:
        """Add or update a source."""
        async with self._database.writing() as session:
            row, _ = await sources.register(session, request.alias, request.uri, request.source_type)
        self._contact.look_soon(row)
        return pb.RegisterSourceResponse(source=source_message(row))

    async def ResolveSource(self, request: pb.ResolveSourceRequest, context: Any) -> pb.ResolveSourceResponse:
        """One source with its secret."""
        async with self._database.reading() as session:
            row = await sources.require(session, request.alias)
        check_uri(row.alias, row.uri)
        return pb.ResolveSourceResponse(source=convert.source_to_proto(SourceSpec(row.alias, row.uri)))

    async def ListRecipes(self, request: pb.ListRecipesRequest, context: Any) -> pb.ListRecipesResponse:
        """Newest first."""
        async with self._database.reading() as session:
            found = await recipes.newest_first(session)
        return pb.ListRecipesResponse(recipes=[recipe_message(recipe) for recipe in found])

    async def GetRecipe(self, request: pb.GetRecipeRequest, context: Any) -> pb.GetRecipeResponse:
        """One recipe, masked."""
        async with self._database.reading() as session:
            recipe = await recipes.require(session, request.recipe_id)
        return pb.GetRecipeResponse(recipe=recipe_message(recipe))

    async def SaveRecipe(self, request: pb.SaveRecipeRequest, context: Any) -> pb.SaveRecipeResponse:
        """Add or update a recipe."""
        recipe = convert.recipe_from_proto(request.recipe)
        async with self._database.writing() as session:
            saved = await recipes.save(session, recipe)
        return pb.SaveRecipeResponse(recipe=recipe_message(saved))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        """Newest first."""
        async with self._database.reading() as session:
            rows = await runs.newest_first(session, whole=True)
        return pb.ListRunsResponse(runs=[run_message(row) for row in rows])

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        """One run."""
        async with self._database.reading() as session:
            return pb.GetRunResponse(run=run_message(await runs.require(session, request.run_id)))

    async def CreateRun(self, request: pb.CreateRunRequest, context: Any) -> pb.CreateRunResponse:
        """Create a run and hand it to the runner."""
        recipe = convert.recipe_from_proto(request.recipe) if request.HasField("recipe") else None
        overrides = tuple(convert.source_from_proto(source) for source in request.resolved_sources)
        row = await self._dispatcher.create(RunRequest(request.recipe_id or None, recipe, overrides))
        async with self._database.reading() as session:
            return pb.CreateRunResponse(run=run_message(await runs.require(session, row.run_id)))

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunResponse:
        """End a run now."""
        return pb.CancelRunResponse(run=run_message(await self._dispatcher.cancel(request.run_id)))
