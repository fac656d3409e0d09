"""What the work needs of other services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from kalla_common.domain import Recipe, SourceSpec


@dataclass(frozen=True, slots=True)
class RegisteredSource:
    """A source as the catalogue lists it; its URI is masked."""

    alias: str
    uri: str
    source_type: str
    status: str


@dataclass(frozen=True, slots=True)
class CatalogRun:
    """A run as the catalogue knows it; `progress` is within `stage`, "" while nothing is known."""

    run_id: str
    status: str
    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    error: str
    stage: str
    progress: float
    outputs: dict[str, str]

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ("completed", "failed", "cancelled")


class Catalog(Protocol):
    """Sources, recipes and runs of the gateway. All methods raise KallaError."""

    async def sources(self) -> tuple[RegisteredSource, ...]:
        """All sources, newest first."""
        ...

    async def source(self, alias: str) -> RegisteredSource:
        """One source; SOURCE_NOT_FOUND."""
        ...

    async def resolved(self, alias: str) -> SourceSpec:
        """One source with its secret: for the runner alone, never to be stored or shown."""
        ...

    async def register(self, alias: str, uri: str, source_type: str) -> None:
        """Add or update a source."""
        ...

    async def save_recipe(self, recipe: Recipe) -> None:
        """Add or update a recipe."""
        ...

    async def create_run(self, recipe_id: str, scoped: tuple[SourceSpec, ...]) -> CatalogRun:
        """Start a run of a saved recipe on the sources as they are scoped."""
        ...

    async def run(self, run_id: str) -> CatalogRun:
        """One run; RUN_NOT_FOUND."""
        ...

    async def runs_of(self, recipe_id: str) -> tuple[CatalogRun, ...]:
        """All runs of one recipe, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was uploaded and confirmed before it was attached to a message."""

    filename: str
    s3_uri: str
    columns: tuple[str, ...] = ()
    row_count: int | None = None


Json = dict[str, Any]
