"""Settings are checked at start and never show secrets."""

from __future__ import annotations

import pytest
from kalla_gateway.settings import GatewaySettings
from pydantic import SecretStr, ValidationError


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALLA_GATEWAY_DATABASE_URL", "postgresql://u:hidden@db/x")
    monkeypatch.setenv("KALLA_GATEWAY_WEBHOOK_SECRET", "aGlkZGVuaGlkZGVuaGlkZGVu")
    monkeypatch.setenv("KALLA_GATEWAY_TLS__CA_FILE", "/ca.pem")
    settings = GatewaySettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    assert "hidden" not in repr(settings)
    assert "aGlk" not in repr(settings)
    assert settings.tls.client


def test_a_webhook_secret_that_is_not_base64_is_refused_without_showing_it() -> None:
    with pytest.raises(ValidationError) as caught:
        GatewaySettings(database_url=SecretStr("x"), webhook_secret=SecretStr("not base64 at all!"))
    assert "not base64 at all" not in str(caught.value.errors()[0]["msg"])


def test_settings_never_change() -> None:
    settings = GatewaySettings(database_url=SecretStr("x"))
    with pytest.raises(ValidationError):
        settings.port = 1
