"""Settings of the chat service."""

from __future__ import annotations

from typing import Any

import pytest
from kalla_chat.agents.provider import make_model
from kalla_chat.settings import ChatSettings
from kalla_common.errors import KallaError
from pydantic import SecretStr, ValidationError


def settings(**values: Any) -> ChatSettings:
    return ChatSettings(database_url=SecretStr("postgresql://x@y/z"), **values)


def test_the_guided_agent_is_the_default() -> None:
    assert settings().model is None
    assert settings(model="").model is None
    assert not settings().model_show_rows


@pytest.mark.parametrize("model", ["gpt", "unknown:gpt", "openai:"])
def test_a_model_needs_a_provider_that_is_known_and_a_name(model: str) -> None:
    with pytest.raises(ValidationError, match="must be anthropic:NAME or openai:NAME"):
        settings(model=model)


def test_a_model_without_key_and_address_is_told_what_is_missing() -> None:
    with pytest.raises(KallaError, match="KALLA_CHAT_MODEL_API_KEY"):
        make_model(settings(model="anthropic:some"))


def test_an_endpoint_of_ones_own_gets_no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    model: Any = make_model(settings(model="openai:local", model_base_url="http://127.0.0.1:9/v1"))
    assert model.client.api_key == "none"
    assert str(model.client.base_url) == "http://127.0.0.1:9/v1/"


def test_the_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(settings(model="openai:x", model_api_key=SecretStr("sk-secret")))
