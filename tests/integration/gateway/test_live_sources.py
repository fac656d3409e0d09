"""Rows and status of real sources, over a real gateway and a real runner."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from kalla_cli.ports import free_port

from tests.integration.gateway.conftest import Live
from tests.integration.gateway.processes import Api, gateway_process


def _status_of(live: Live, alias: str, wanted: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        (source,) = [s for s in live.api.get("/api/sources").json() if s["alias"] == alias]
        if source["status"] == wanted or time.monotonic() > deadline:
            return source["status"]
        time.sleep(0.05)


def test_preview_shows_exact_texts_types_and_totals(live: Live, recipe: dict[str, Any]) -> None:
    preview = live.api.get("/api/sources/invoices/preview?limit=2").json()
    assert preview == {
        "alias": "invoices",
        "columns": [
            {"name": "id", "data_type": "integer", "nullable": False},
            {"name": "ref", "data_type": "text", "nullable": True},
            {"name": "amount", "data_type": "decimal(12,2)", "nullable": True},
        ],
        "rows": [["0", "R0", None], ["1", "R1", "0.01"]],
        "total_rows": 2500,
        "preview_rows": 2,
    }


@pytest.mark.parametrize(
    ("query", "rows"), [("", 10), ("?limit=100", 100), ("?limit=5000", 100), ("?limit=1", 1)]
)
def test_a_preview_has_ten_rows_by_default_and_a_hundred_at_most(
    live: Live, recipe: dict[str, Any], query: str, rows: int
) -> None:
    preview = live.api.get(f"/api/sources/payments/preview{query}").json()
    assert (len(preview["rows"]), preview["preview_rows"], preview["total_rows"]) == (rows, rows, 2000)


@pytest.mark.parametrize(("body", "rows"), [({}, 200), ({"limit": 1000}, 1000), ({"limit": 9999}, 1000)])
def test_a_load_has_two_hundred_rows_by_default_and_a_thousand_at_most(
    live: Live, recipe: dict[str, Any], body: dict[str, Any], rows: int
) -> None:
    load = live.api.post("/api/sources/invoices/load-scoped", body)
    assert (len(load["rows"]), load["preview_rows"], load["total_rows"]) == (rows, rows, 2500)


@pytest.mark.parametrize("alias", ["invoices", "payments"])
def test_a_load_returns_only_what_fulfils_all_conditions(
    live: Live, recipe: dict[str, Any], alias: str
) -> None:
    column = "amount" if alias == "invoices" else "paid"
    conditions = [
        {"column": column, "op": "between", "value": [20.01, 20.05]},
        {"column": "ref", "op": "neq", "value": "R2003"},
    ]
    load = live.api.post(f"/api/sources/{alias}/load-scoped", {"conditions": conditions})
    assert [row[1] for row in load["rows"]] == ["R2001", "R2002", "R2004", "R2005"]
    assert (load["total_rows"], load["preview_rows"]) == (4, 4)


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "nope", "op": "eq", "value": 1},
        {"column": "amount", "op": "eq", "value": "many"},
        {"column": "ref", "op": "almost", "value": "R1"},
    ],
)
def test_a_condition_that_does_not_fit_the_source_is_a_400(
    live: Live, recipe: dict[str, Any], condition: dict[str, Any]
) -> None:
    error = live.api.post("/api/sources/invoices/load-scoped", {"conditions": [condition]}, status=400)
    assert error["code"] == "INVALID_FILTER"


def test_the_status_of_a_source_is_what_its_last_contact_showed(live: Live, recipe: dict[str, Any]) -> None:
    assert _status_of(live, "payments", "connected") == "connected"
    assert _status_of(live, "invoices", "connected") == "connected"
    missing = {"alias": "missing", "uri": str(live.folder / "nope.csv"), "source_type": "file"}
    live.api.post("/api/sources", missing)
    assert _status_of(live, "missing", "unreachable") == "unreachable"
    error = live.api.get("/api/sources/missing/preview", status=404).json()
    assert error["code"] == "DATA_NOT_FOUND"


def test_a_table_that_does_not_exist_is_a_404(live: Live) -> None:
    uri = f"{live.database_url}?table=nope"
    live.api.post("/api/sources", {"alias": "no-table", "uri": uri, "source_type": "postgres"})
    error = live.api.get("/api/sources/no-table/preview", status=404).json()
    assert error["code"] == "DATA_NOT_FOUND"


def _bad_sources(live: Live) -> list[tuple[str, str, int, str]]:
    """Type, URI, status and code of sources that cannot be read."""
    (live.folder / "empty.csv").touch()
    (live.folder / "ragged.csv").write_text("id,ref\n1,a,b\n")
    closed = f"postgres://u:s3cret@127.0.0.1:{free_port()}/d?table=t"
    return [
        ("file", str(live.folder / "nope.csv"), 404, "DATA_NOT_FOUND"),
        ("file", str(live.folder / "nope.parquet"), 404, "DATA_NOT_FOUND"),
        ("file", str(live.folder), 422, "INVALID_DATA"),
        ("file", "/etc/passwd", 403, "PATH_NOT_ALLOWED"),
        ("file", f"{live.folder}/../../etc/hostname.csv", 403, "PATH_NOT_ALLOWED"),
        ("file", str(live.folder / "empty.csv"), 400, "EMPTY_FILE"),
        ("file", str(live.folder / "ragged.csv"), 422, "INVALID_DATA"),
        ("file", "ftp://host/a.csv", 400, "CONNECTOR_MISSING"),
        ("file", "s3://bucket/a.csv", 503, "STORE_NOT_CONFIGURED"),
        ("postgres", f"{live.database_url}?table=invoicse", 404, "DATA_NOT_FOUND"),
        ("postgres", closed, 502, "SOURCE_UNREACHABLE"),
    ]


def test_registering_says_at_once_what_keeps_a_source_from_being_read(live: Live) -> None:
    for number, (kind, uri, _, code) in enumerate(_bad_sources(live)):
        body = {"alias": f"bad-{number}", "uri": uri, "source_type": kind}
        answer = live.api.post("/api/sources", body)
        assert (answer["success"], answer["message"]) == (True, "Source registered")
        assert (answer["status"], answer["code"]) == ("error", code), uri
        assert answer["error"].endswith((".", "?"))
        assert "s3cret" not in answer["error"]
        assert _status_of(live, f"bad-{number}", "unreachable") == "unreachable"


def test_a_strict_registration_refuses_what_cannot_be_read_and_stores_nothing(
    live: Live, payments: Path
) -> None:
    for kind, uri, status, code in _bad_sources(live):
        body = {"alias": "strict", "uri": uri, "source_type": kind}
        assert live.api.post("/api/sources?check=true", body, status=status)["code"] == code
        assert "strict" not in [source["alias"] for source in live.api.get("/api/sources").json()]
    good = {"alias": "strict", "uri": str(payments), "source_type": "file"}
    answer = live.api.post("/api/sources?check=true", good)
    assert (answer["status"], answer["replaced"], "error" in answer) == ("connected", False, False)


def test_a_look_that_takes_long_does_not_hold_up_the_answer(live: Live, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"postgres://u:p@127.0.0.1:{silent.getsockname()[1]}/d?table=t"
        settings = {"KALLA_GATEWAY_LOOK_SECONDS": "0.3"}
        with (
            gateway_process(live.database_url, tmp_path, live.addresses, **settings) as gateway,
            Api(gateway.url) as api,
        ):
            began = time.monotonic()
            answer = api.post("/api/sources", {"alias": "silent", "uri": uri, "source_type": "postgres"})
            assert time.monotonic() - began < 3
    assert (answer["status"], answer["code"]) == ("unknown", "DEADLINE_EXCEEDED")
