"""Results of a real run, in all formats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.gateway.conftest import LIVE_SQL, Live

OUTPUTS = {"matched": "left_id", "unmatched_left": "id", "unmatched_right": "id"}


def test_a_run_ends_completed_with_exact_counts_and_diagnostics(run: dict[str, Any]) -> None:
    counts = [run[k] for k in ("matched_count", "unmatched_left_count", "unmatched_right_count")]
    assert counts == [2000, 500, 0]
    assert run["diagnostics"]["left"]["total_rows"] == 2500
    assert run["diagnostics"]["right"]["matched_rows"] == 2000
    assert run["diagnostics"]["match_path"] in ("one_pass", "general")
    assert all(Path(run[f"output_{name}"]).is_file() for name in OUTPUTS)


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_trap_24_pages_of_a_result_hold_every_row_once(live: Live, run: dict[str, Any], name: str) -> None:
    path = f"/api/runs/{run['run_id']}/results/{name}"
    whole = pq.read_table(run[f"output_{name}"])
    ids: list[str] = []
    while True:
        page = live.api.get(f"{path}?limit=700&offset={len(ids)}").json()
        assert (page["total_rows"], page["limit"], page["offset"]) == (whole.num_rows, 700, len(ids))
        names = [column["name"] for column in page["columns"]]
        assert names == whole.column_names
        ids += [row[names.index(OUTPUTS[name])] for row in page["rows"]]
        if len(ids) >= whole.num_rows:
            break
        assert page["rows"]
    assert ids == [str(v) for v in whole[OUTPUTS[name]].to_pylist()]


def test_pages_have_two_hundred_rows_by_default_and_a_thousand_at_most(
    live: Live, run: dict[str, Any]
) -> None:
    path = f"/api/runs/{run['run_id']}/results/matched"
    assert len(live.api.get(path).json()["rows"]) == 200
    page = live.api.get(f"{path}?limit=5000").json()
    assert (len(page["rows"]), page["limit"]) == (1000, 1000)
    assert live.api.get(f"{path}?offset=2000").json()["rows"] == []


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_trap_24_every_format_holds_the_same_rows_as_the_file(
    live: Live, run: dict[str, Any], name: str
) -> None:
    path, whole = f"/api/runs/{run['run_id']}/results/{name}", pq.read_table(run[f"output_{name}"])

    def fetched(media_type: str) -> bytes:
        answer = live.api.get(path, accept=media_type)
        assert answer.headers["content-type"].startswith(media_type)
        assert run["run_id"] in answer.headers["content-disposition"]
        return answer.content

    parquet = pq.read_table(io.BytesIO(fetched("application/vnd.apache.parquet")))
    arrow = pa.ipc.open_stream(fetched("application/vnd.apache.arrow.stream")).read_all()
    assert parquet.to_pydict() == arrow.to_pydict() == whole.to_pydict()
    assert parquet.schema.types == whole.schema.types
    lines = fetched("text/csv").decode().split("\r\n")
    assert (len(lines), lines[0], lines[-1]) == (whole.num_rows + 2, ",".join(whole.column_names), "")


def test_csv_results_keep_null_apart_from_empty_and_formulas_as_they_are(
    live: Live, recipe: dict[str, Any]
) -> None:
    body: dict[str, Any] = {
        "recipe": recipe | {"match_sql": LIVE_SQL.replace("l.ref = r.ref", "l.ref = r.note")},
        "resolved_sources": [
            {
                "alias": "payments",
                "uri": str(live.folder / "payments.csv"),
                "filters": [{"column": "id", "op": "between", "value": [500, 503]}],
            }
        ],
    }
    run = live.api.ended(live.api.post("/api/runs", body)["run_id"])
    assert run["status"] == "completed", run
    csv = live.api.get(f"/api/runs/{run['run_id']}/results/unmatched_right", accept="text/csv").text
    assert csv.split("\r\n") == [
        "id,ref,paid,note",
        "500,R500,5.00,",
        '501,R501,5.01,""',
        "502,R502,5.02,=1+1",
        '503,R503,5.03,"a,""b"""',
        "",
    ]
