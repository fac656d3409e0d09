"""A second engine answers a run's question too: asked for by recipe, request or server, seen over REST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.support import Kalla, recipe

_SQL = "SELECT a.id, b.id FROM a JOIN b ON a.ref = b.ref AND tolerance_match(a.amount, b.amount, 0.01)"
_UNCERTAIN = "SELECT a.id, b.id FROM a JOIN b ON a.ref = b.ref AND a.amount / 3 < 100"


@pytest.fixture
def sides(data: Path) -> tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]:
    (data / "a.csv").write_text("id,ref,amount\n1,x,100.00\n2,y,5.00\n3,z,7.00\n")
    (data / "b.csv").write_text("id,ref,amount\n1,x,100.01\n2,y,5.02\n3,q,7.00\n")
    return ("a", data / "a.csv", ["id"]), ("b", data / "b.csv", ["id"])


def test_a_recipe_that_asks_for_a_witness_gets_its_report(
    kalla: Kalla, sides: tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]
) -> None:
    run = kalla.complete(recipe(_SQL, *sides, witness=True))
    report = run["witness"]
    assert (report["status"], report["engine"].split(".")[0]) == ("agreed", "duckdb 2")
    counts = ("matched_count", "unmatched_left_count", "unmatched_right_count")
    assert [report[name] for name in counts] == [run[name] for name in counts] == [1, 2, 2]
    assert len(report["matched_hash"]) == 32
    assert report["seconds"] > 0
    assert "witness" not in run["diagnostics"]
    manifest = json.loads(Path(run["output_matched"]).with_name("manifest.json").read_text())
    assert manifest["witness"] == report


def test_a_request_wins_over_its_recipe(
    kalla: Kalla, sides: tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]
) -> None:
    assert kalla.complete(recipe(_SQL, *sides, witness=True), witness=False)["witness"] is None
    assert kalla.complete(recipe(_SQL, *sides, witness=False), witness=True)["witness"]["status"] == "agreed"
    assert kalla.complete(recipe(_SQL, *sides))["witness"] is None


def test_a_stored_recipe_keeps_what_it_asks(
    kalla: Kalla, sides: tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]
) -> None:
    body = recipe(_SQL, *sides, witness=True) | {"recipe_id": "witnessed"}
    assert kalla.post("/api/recipes", body).status == 200
    assert kalla.get("/api/recipes/witnessed").body["witness"] is True
    run_id = kalla.post("/api/runs", {"recipe_id": "witnessed"}).body["run_id"]
    assert kalla.wait(run_id)["witness"]["status"] == "agreed"


def test_a_query_that_cannot_be_translated_says_so_and_the_run_is_completed(
    kalla: Kalla, sides: tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]
) -> None:
    report = kalla.complete(recipe(_UNCERTAIN, *sides), witness=True)["witness"]
    assert report["status"] == "not_possible"
    assert report["reason"] == (
        "A quotient may be rounded, and the two engines round it at different digits."
    )
    assert "matched_hash" not in report


def test_a_witness_is_asked_for_by_true_or_false(
    kalla: Kalla, sides: tuple[tuple[str, Path, list[str]], tuple[str, Path, list[str]]]
) -> None:
    answer = kalla.post("/api/runs", {"recipe": recipe(_SQL, *sides), "witness": "yes"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
