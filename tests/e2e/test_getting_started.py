"""The commands of docs/getting-started.md, on the files of examples/, say what that page promises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.e2e.support import Kalla

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_files_reconcile_as_the_page_says(kalla: Kalla, data: Path) -> None:
    for alias in ("invoices", "payments"):
        shutil.copy(EXAMPLES / f"{alias}.csv", data)
        kalla.register(alias, data / f"{alias}.csv")
    types = [column["data_type"] for column in kalla.get("/api/sources/invoices/preview").body["columns"]]
    assert types[:2] == ["text", "text"]
    assert types[3] == "date"
    body = json.loads((EXAMPLES / "recipe.json").read_text())
    assert kalla.post("/api/recipes", body).status == 200
    run_id = kalla.post("/api/runs", {"recipe_id": "invoices-payments"}).body["run_id"]
    run = kalla.wait(run_id)
    assert (run["status"], run["matched_count"]) == ("completed", 3)
    assert [row[0] for row in kalla.rows(run_id, "unmatched_left")] == ["INV-3", "INV-5"]
    assert [row[0] for row in kalla.rows(run_id, "unmatched_right")] == ["P-3", "P-6"]
