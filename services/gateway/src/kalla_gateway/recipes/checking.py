"""Checks the SQL of a recipe when it is saved, where its sources can be read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kalla_common.db import Database
from kalla_common.domain import Recipe, SourceSpec, SqlProblem
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import RunnerTrials
from kalla_common.telemetry import redact

from kalla_gateway.runs.planning import RunRequest, plan_run
from kalla_gateway.sources.contact import OF_THE_RUNNER
from kalla_gateway.sources.service import FAILED_CONTACT


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; `not_checked` says why there was none."""

    warnings: tuple[str, ...] = ()
    not_checked: str | None = None


@dataclass(frozen=True, slots=True)
class RecipeCheck:
    """Has the runner plan the query of a saved recipe; nothing that it finds is raised.

    Args:
        database: of the gateway.
        trials: of the runner.
        seconds: how long a check may take.
    """

    database: Database
    trials: RunnerTrials
    seconds: float

    async def check(self, recipe: Recipe) -> Checked:
        """Check a recipe that is stored."""
        try:
            sources = await self._sources(recipe)
        except KallaError as error:
            return Checked(not_checked=redact(error.message))
        keys = {side.alias: side.primary_key for side in (recipe.left, recipe.right) if side.primary_key}
        try:
            async with asyncio.timeout(self.seconds):
                check = await self.trials.check_sql(recipe.match_sql, sources, keys)
        except TimeoutError:
            return Checked(
                not_checked=f"Checking the SQL takes longer than {self.seconds:g} s; a run will do it."
            )
        except KallaError as error:
            sentence = redact(error.message)
            # What the runner refuses without a source's fault is the recipe's.
            of_recipe = error.code not in FAILED_CONTACT | OF_THE_RUNNER or error.code is Code.SCHEMA_MISMATCH
            return Checked((sentence,)) if of_recipe else Checked(not_checked=sentence)
        allowed = {Code.QUADRATIC_PLAN.value} if recipe.allow_quadratic else set[str]()
        return Checked(tuple(_sentence(p) for p in check.problems if p.code not in allowed))

    async def _sources(self, recipe: Recipe) -> tuple[SourceSpec, ...]:
        async with self.database.writing() as session:
            plan = await plan_run(session, RunRequest(recipe_id=recipe.recipe_id), "", "", "")
        return plan.spec.sources


def _sentence(problem: SqlProblem) -> str:
    place = f" (line {problem.line}, column {problem.column})" if problem.line else ""
    return f"{redact(problem.message)}{place}"
