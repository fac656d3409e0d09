"""All queries on recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kalla_common.db import ReadSession, WriteSession
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from kalla_gateway.recipes.tables import RecipeRow


async def newest_first(session: ReadSession) -> Sequence[RecipeRow]:
    """All recipes."""
    order = (col(RecipeRow.created_at).desc(), col(RecipeRow.seq).desc())
    return (await session.scalars(select(RecipeRow).order_by(*order))).all()


async def find(session: ReadSession | WriteSession, recipe_id: str) -> RecipeRow | None:
    """The recipe with this id."""
    return await session.get(RecipeRow, recipe_id)


async def save(session: WriteSession, recipe_id: str, body: dict[str, Any]) -> None:
    """Add the recipe, or update the one with its id."""
    new = insert(RecipeRow).values(recipe_id=recipe_id, body=body)
    changes = {"body": new.excluded.body, "updated_at": func.clock_timestamp()}
    await session.execute(new.on_conflict_do_update(index_elements=["recipe_id"], set_=changes))
