"""The gateway's chat endpoints where the chat service is away; with it they are tested end to end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gateway.conftest import NOBODY, OpenGateway

SESSION = "5f0c2b1e-7d3a-4c7e-9b1f-2a4d6e8f0a1c"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/chat/sessions", None),
        ("GET", f"/api/chat/sessions/{SESSION}", None),
        ("POST", "/api/chat", {"message": "hello"}),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_chat_service_that_is_away_is_a_502_that_says_so(
    open_gateway: OpenGateway, method: str, path: str, body: dict[str, Any] | None, accept: str
) -> None:
    async with open_gateway(chat_grpc=NOBODY) as gateway:
        answer = await gateway.client.request(method, path, json=body, headers={"accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (502, "CHAT_UNAVAILABLE")
    assert "chat" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"message": ""}, None),
        ({"message": 7}, "message"),
        ({"card_response": {"card_id": "c"}}, "card_response.action"),
        ({"message": "hi", "files": [{"filename": "a.csv"}]}, "files.0.s3_uri"),
        (
            {"message": "hi", "files": [{"filename": "a.csv", "s3_uri": "s3://b/a.csv", "row_count": -1}]},
            "row_count",
        ),
        (
            {"message": "hi", "files": [{"filename": "a", "s3_uri": "s3://b/a.csv", "row_count": 2**64 - 1}]},
            "row_count",
        ),
    ],
)
async def test_a_wrong_body_is_refused_before_anything_is_asked(
    open_gateway: OpenGateway, body: dict[str, Any], field: str | None
) -> None:
    async with open_gateway(chat_grpc=NOBODY) as gateway:
        answer = await gateway.post("/api/chat", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    if field is not None:
        assert field in answer.json()["error"]
