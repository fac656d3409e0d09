"""A gateway that cannot start says why in one sentence."""

from __future__ import annotations

import socket

import pytest
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from kalla_gateway import main
from kalla_gateway.settings import GatewaySettings
from pydantic import SecretStr

GONE = SecretStr("postgresql://kalla:s3cret@127.0.0.1:1/kalla")


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = GatewaySettings(database_url=GONE, port=taken.getsockname()[1])
        with pytest.raises(
            OSError, match=f"cannot listen on 127.0.0.1:{settings.port}: Address already in use"
        ):
            await main.serve(settings, S3Settings())


async def test_a_database_that_is_away_is_one_sentence_without_its_password() -> None:
    with pytest.raises(KallaError) as caught:
        await main.serve(GatewaySettings(database_url=GONE, port=0, grpc_port=0), S3Settings())
    assert caught.value.code is Code.DATABASE_UNAVAILABLE
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [("GRPC_PORT", "many"), ("PORT", "70000"), ("WEBHOOK_SECRET", "not base64!"), ("SILENCE_SECONDS", "0")],
)
def test_a_wrong_setting_ends_the_process_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("KALLA_GATEWAY_DATABASE_URL", GONE.get_secret_value())
    monkeypatch.setenv(f"KALLA_GATEWAY_{name}", value)
    with pytest.raises(SystemExit, match=rf"^KALLA_GATEWAY_{name}: [^\n]+$") as caught:
        main.main()
    assert "not base64!" not in str(caught.value)


def test_a_missing_database_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALLA_GATEWAY_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match=r"^KALLA_GATEWAY_DATABASE_URL: "):
        main.main()
