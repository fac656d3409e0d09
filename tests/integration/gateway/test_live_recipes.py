"""The SQL of a recipe is checked when it is saved, over a real gateway and a real runner."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.conftest import LIVE_SQL, Live


@pytest.fixture
def draft(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe over the registered sources invoices (PostgreSQL) and payments (CSV)."""
    return copy.deepcopy(recipe) | {"recipe_id": "draft"}


def test_a_query_that_a_run_would_accept_has_no_warnings(live: Live, draft: dict[str, Any]) -> None:
    answer = live.api.post("/api/recipes", draft)
    assert answer == {"success": True, "message": "Recipe saved", "warnings": []}


@pytest.mark.parametrize(
    ("match_sql", "words"),
    [
        (LIVE_SQL.replace("r.ref", "r.reff"), "reff"),
        (LIVE_SQL.replace("SELECT", "SELEC"), ""),
        (LIVE_SQL.replace("payments r", "paymens r"), "paymens"),
        (LIVE_SQL.replace("l.ref = r.ref", "l.id = r.ref"), "r.ref"),
        ("DROP TABLE invoices", ""),
    ],
)
def test_what_a_run_would_refuse_is_a_warning_and_the_recipe_is_saved(
    live: Live, draft: dict[str, Any], match_sql: str, words: str
) -> None:
    answer = live.api.post("/api/recipes", draft | {"match_sql": match_sql})
    assert (answer["success"], "not_checked" in answer) == (True, False)
    assert answer["warnings"]
    assert words in " ".join(answer["warnings"])
    assert live.api.get("/api/recipes/draft").json()["match_sql"] == match_sql


def test_a_key_or_declared_column_that_the_source_lacks_is_a_warning(
    live: Live, draft: dict[str, Any]
) -> None:
    draft["sources"]["left"]["primary_key"] = ["idd"]
    assert "idd" in " ".join(live.api.post("/api/recipes", draft)["warnings"])
    draft["sources"]["left"]["primary_key"] = ["id"]
    draft["sources"]["right"]["schema"] = ["id", "ref", "payed"]
    assert "payed" in " ".join(live.api.post("/api/recipes", draft)["warnings"])


def test_sources_that_cannot_be_read_leave_the_query_unchecked_and_say_so(
    live: Live, draft: dict[str, Any], tmp_path: Path
) -> None:
    draft["match_sql"] = "this is no SQL"
    draft["sources"]["right"]["uri"] = str(live.folder / "tomorrow.csv")
    answer = live.api.post("/api/recipes", draft)
    assert (answer["warnings"], "tomorrow.csv" in answer["not_checked"]) == ([], True)
    del draft["sources"]["right"]["uri"]
    draft["sources"]["right"]["alias"] = "unregistered"
    answer = live.api.post("/api/recipes", draft)
    assert (answer["warnings"], "unregistered" in answer["not_checked"]) == ([], True)
