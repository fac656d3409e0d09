"""What the OpenAPI documents say of paths, methods and statuses is what the servers do."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import Gateway, Live

COMPLETE: dict[str, Any] = {
    "run_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "matched_count": 1,
    "unmatched_left_count": 0,
    "unmatched_right_count": 0,
    "output_paths": {"matched": "/m", "unmatched_left": "/l", "unmatched_right": "/r"},
}


def _documents(live: Live) -> list[tuple[str, dict[str, Any]]]:
    urls = (live.gateway.url, f"http://127.0.0.1:{live.addresses.http}")
    return [(url, httpx.get(f"{url}/openapi.json", trust_env=False).json()) for url in urls]


def test_allow_names_exactly_the_documented_methods(live: Live) -> None:
    for url, document in _documents(live):
        for path, operations in document["paths"].items():
            answer = httpx.request("TRACE", url + path.replace("{", "").replace("}", ""), trust_env=False)
            assert answer.status_code == 405, path
            allowed = {method.strip() for method in answer.headers["allow"].split(",")}
            assert allowed == {method.upper() for method in operations}, path


def test_the_documents_have_no_reference_that_leads_nowhere(live: Live) -> None:
    for _, document in _documents(live):
        names = set(document["components"]["schemas"])
        text = json.dumps(document)
        used = {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
        assert used <= names
        assert text.count('"$ref"') == text.count('"$ref": "#/components/schemas/')


@pytest.mark.parametrize("number", ["1.5", "1e400", "0.1234567890123456789012345", "12345678901234567890"])
async def test_any_number_in_diagnostics_is_stored(gateway: Gateway, number: str) -> None:
    run_id = await gateway.submitted(COMPLETE["run_id"])
    body = json.dumps(COMPLETE | {"diagnostics": {"x": [0]}}).replace("[0]", f"[{number}]")
    headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/api/worker/complete", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await gateway.run(run_id))["diagnostics"]["x"]


@pytest.mark.parametrize(
    ("number", "status"), [("7.0", 200), ("7e0", 200), ("7.5", 400), ("1e99999999", 400), ("-1.0", 400)]
)
async def test_a_count_is_a_whole_number_however_it_is_written(
    gateway: Gateway, number: str, status: int
) -> None:
    await gateway.submitted(COMPLETE["run_id"])
    body = json.dumps(COMPLETE).replace('"matched_count": 1', f'"matched_count": {number}')
    headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/api/worker/complete", content=body, headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/api/sources", "/api/recipes", "/api/runs", "/api/worker/complete"])
async def test_a_text_with_nul_is_a_400(gateway: Gateway, path: str) -> None:
    answer = await gateway.post(path, COMPLETE | {"diagnostics": {"a": ["b\0"]}})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert "NUL" in answer.json()["error"]


def test_a_runners_job_with_nul_or_half_a_character_is_a_400(live: Live) -> None:
    for text in (r"\u0000", r"\ud800"):
        url = f"http://127.0.0.1:{live.addresses.http}/api/jobs"
        answer = httpx.post(url, content=f'{{"match_sql": "{text}"}}', trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


def test_a_hundred_slow_clients_hold_up_nobody(live: Live) -> None:
    ports = (int(live.gateway.url.rpartition(":")[2]), live.addresses.http)
    slow: list[socket.socket] = []
    try:
        for number in range(100):
            connection = socket.create_connection(("127.0.0.1", ports[number % 2]), timeout=10)
            body = b"Content-Length: 100\r\n\r\n{" if number % 4 < 2 else b""
            connection.sendall(b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n" + body)
            slow.append(connection)
        for port in ports:
            began = time.monotonic()
            assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
            assert time.monotonic() - began < 5
    finally:
        for connection in slow:
            connection.close()
