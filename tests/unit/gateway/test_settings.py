"""Settings are checked at start and never show secrets."""

from __future__ import annotations

from pathlib import Path

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


def test_outputs_go_to_a_folder_or_to_a_prefix_whose_slashes_stay(tmp_path: Path) -> None:
    def root(text: str) -> str:
        return GatewaySettings(database_url=SecretStr("x"), output_root=text).output_root

    assert root(str(tmp_path)) == str(tmp_path)
    assert root("runs") == str(Path.cwd() / "runs")
    assert root("s3://kalla-outputs/a/b/") == "s3://kalla-outputs/a/b"
    assert root("s3://kalla-outputs") == "s3://kalla-outputs"
    for wrong in ("http://host/x", "s3://", "s3:///x", "s3://user:pass@host/x"):
        with pytest.raises(ValidationError):
            root(wrong)
