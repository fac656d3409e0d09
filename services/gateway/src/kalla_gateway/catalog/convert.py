"""Rows of the gateway's tables as messages of kalla.catalog.v1; secrets are masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kalla.catalog.v1 import catalog_pb2
from kalla.common.v1 import recipe_pb2
from kalla_common.domain import Recipe, RecipeSource
from kalla_common.rpc import convert
from kalla_common.uris import mask_uri

from kalla_gateway.recipes.schemas import recipe_of
from kalla_gateway.runs.tables import RunRow
from kalla_gateway.sources.tables import SourceRow


def source_message(row: SourceRow) -> catalog_pb2.Source:
    """A registered source."""
    return catalog_pb2.Source(
        alias=row.alias,
        uri=mask_uri(row.uri),
        source_type=row.source_type,
        status=row.status,
        created_at=convert.timestamp(row.created_at),
    )


def recipe_message(recipe: Recipe) -> recipe_pb2.Recipe:
    """A recipe."""
    return convert.recipe_to_proto(masked(recipe))


def masked(recipe: Recipe) -> Recipe:
    """The recipe as it may be shown."""

    def side(source: RecipeSource) -> RecipeSource:
        return source if source.uri is None else replace(source, uri=mask_uri(source.uri))

    lookups = tuple(side(lookup) for lookup in recipe.lookups)
    return replace(recipe, left=side(recipe.left), right=side(recipe.right), lookups=lookups)


def run_message(row: RunRow) -> catalog_pb2.Run:
    """A run with its recipe and its latest progress."""
    return catalog_pb2.Run(
        run_id=row.run_id,
        recipe_id=row.recipe_id,
        status=row.status,
        matched_count=row.matched_count,
        unmatched_left_count=row.unmatched_left_count,
        unmatched_right_count=row.unmatched_right_count,
        output_matched=row.output_matched,
        output_unmatched_left=row.output_unmatched_left,
        output_unmatched_right=row.output_unmatched_right,
        error_message=row.error_message,
        created_at=convert.timestamp(row.created_at),
        updated_at=convert.timestamp(row.updated_at),
        latest_progress=_progress(row),
        recipe=recipe_message(recipe_of(row.recipe)),
    )


def _progress(row: RunRow) -> catalog_pb2.RunProgress | None:
    if row.progress is None or row.progress_at is None:
        return None
    stored: dict[str, Any] = row.progress
    return catalog_pb2.RunProgress(
        stage=stored["stage"],
        progress=stored["progress"],
        matched_count=stored["matched_count"],
        total_left=stored["total_left"],
        total_right=stored["total_right"],
        updated_at=convert.timestamp(row.progress_at),
    )
