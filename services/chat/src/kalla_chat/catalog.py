"""The gateway's CatalogService over gRPC."""

from __future__ import annotations

from typing import Final

from grpc import aio
from kalla.catalog.v1 import catalog_pb2
from kalla.catalog.v1 import catalog_service_pb2 as pb
from kalla.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from kalla_common.domain import Recipe, SourceSpec
from kalla_common.rpc import convert

from kalla_chat.work.ports import CatalogRun, RegisteredSource

CALL_SECONDS: Final = 10.0
CREATE_SECONDS: Final = 30.0


class GrpcCatalog:
    """`work.ports.Catalog` over a channel made by `kalla_common.rpc.client.make_channel`."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = CatalogServiceStub(channel)

    async def sources(self) -> tuple[RegisteredSource, ...]:
        """See Catalog."""
        answer = await self._stub.ListSources(pb.ListSourcesRequest(), timeout=CALL_SECONDS)
        return tuple(_source(message) for message in answer.sources)

    async def source(self, alias: str) -> RegisteredSource:
        """See Catalog."""
        answer = await self._stub.GetSource(pb.GetSourceRequest(alias=alias), timeout=CALL_SECONDS)
        return _source(answer.source)

    async def resolved(self, alias: str) -> SourceSpec:
        """See Catalog."""
        answer = await self._stub.ResolveSource(pb.ResolveSourceRequest(alias=alias), timeout=CALL_SECONDS)
        return convert.source_from_proto(answer.source)

    async def register(self, alias: str, uri: str, source_type: str) -> None:
        """See Catalog."""
        request = pb.RegisterSourceRequest(alias=alias, uri=uri, source_type=source_type)
        await self._stub.RegisterSource(request, timeout=CALL_SECONDS)

    async def save_recipe(self, recipe: Recipe) -> None:
        """See Catalog."""
        request = pb.SaveRecipeRequest(recipe=convert.recipe_to_proto(recipe))
        await self._stub.SaveRecipe(request, timeout=CALL_SECONDS)

    async def create_run(self, recipe_id: str, scoped: tuple[SourceSpec, ...]) -> CatalogRun:
        """See Catalog."""
        sources = [convert.source_to_proto(source) for source in scoped]
        request = pb.CreateRunRequest(recipe_id=recipe_id, resolved_sources=sources)
        answer = await self._stub.CreateRun(request, timeout=CREATE_SECONDS)
        return _run(answer.run)

    async def run(self, run_id: str) -> CatalogRun:
        """See Catalog."""
        answer = await self._stub.GetRun(pb.GetRunRequest(run_id=run_id), timeout=CALL_SECONDS)
        return _run(answer.run)

    async def runs_of(self, recipe_id: str) -> tuple[CatalogRun, ...]:
        """See Catalog."""
        answer = await self._stub.ListRuns(pb.ListRunsRequest(), timeout=CALL_SECONDS)
        return tuple(_run(message) for message in answer.runs if message.recipe_id == recipe_id)


def _source(message: catalog_pb2.Source) -> RegisteredSource:
    return RegisteredSource(message.alias, message.uri, message.source_type, message.status)


def _run(message: catalog_pb2.Run) -> CatalogRun:
    latest = message.latest_progress if message.HasField("latest_progress") else None
    outputs = {
        name: getattr(message, f"output_{name}")
        for name in ("matched", "unmatched_left", "unmatched_right")
        if message.HasField(f"output_{name}")  # pyright: ignore[reportArgumentType] - one of three fields
    }
    return CatalogRun(
        run_id=message.run_id,
        status=message.status,
        matched_count=message.matched_count,
        unmatched_left_count=message.unmatched_left_count,
        unmatched_right_count=message.unmatched_right_count,
        error=message.error_message,
        stage=latest.stage if latest is not None else "",
        progress=latest.progress if latest is not None else 0.0,
        outputs=outputs,
    )
