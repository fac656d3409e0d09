"""What `kalla up` tells the services is what they understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from kalla_chat.settings import ChatSettings
from kalla_cli.services import (
    Addresses,
    chat_environment,
    gateway_environment,
    past_proxies,
    runner_environment,
)
from kalla_gateway.settings import GatewaySettings
from kalla_runner.settings import RunnerSettings

ADDRESSES = Addresses((3001, 3002, 3003), (50050, 50051, 50052), "", "")
URL = "postgresql://kalla:pw@127.0.0.1:5432/kalla"
SECRET = "whsec_" + "ab" * 32
RUNNER = runner_environment(ADDRESSES, Path("/srv/kalla"), URL, SECRET, (Path("/srv"), Path("/data")))
CHAT = chat_environment(ADDRESSES, URL)
GATEWAY = gateway_environment(ADDRESSES, Path("/srv/kalla"), URL, SECRET, "kalla-uploads")


@pytest.mark.parametrize("name", RUNNER)
def test_every_variable_of_the_runner_is_a_setting(name: str) -> None:
    assert name.removeprefix("KALLA_RUNNER_").lower() in RunnerSettings.model_fields


@pytest.mark.parametrize("name", CHAT)
def test_every_variable_of_the_chat_service_is_a_setting(name: str) -> None:
    assert name.removeprefix("KALLA_CHAT_").lower() in ChatSettings.model_fields


@pytest.mark.parametrize("name", GATEWAY)
def test_every_variable_of_the_gateway_is_a_setting(name: str) -> None:
    assert name.removeprefix("KALLA_GATEWAY_").lower() in GatewaySettings.model_fields


def test_the_settings_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**RUNNER, **GATEWAY, **CHAT}.items():
        monkeypatch.setenv(name, value)
    runner = RunnerSettings()  # pyright: ignore[reportCallIssue] - from the environment
    gateway = GatewaySettings()  # pyright: ignore[reportCallIssue]
    chat = ChatSettings()  # pyright: ignore[reportCallIssue]
    assert runner.allowed_roots == (Path("/srv"), Path("/data"))
    assert (runner.http_port, runner.grpc_port, runner.flight_port) == ADDRESSES.runner_ports
    assert (gateway.port, gateway.grpc_port, chat.port) == ADDRESSES.gateway_ports
    assert gateway.runner_flight == "127.0.0.1:50052"
    assert gateway.chat_grpc == f"{chat.host}:{chat.port}"
    assert chat.catalog_grpc == f"{gateway.host}:{gateway.grpc_port}"
    assert (chat.runner_grpc, chat.runner_flight) == (gateway.runner_grpc, gateway.runner_flight)
    assert gateway.upload_bucket == "kalla-uploads"
    assert gateway.output_root == "/srv/kalla/runs"


def test_what_is_on_this_machine_is_reached_past_a_proxy() -> None:
    found = past_proxies({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": ".corp"})
    assert found["NO_PROXY"] == found["no_proxy"] == ".corp,127.0.0.1,localhost"
    assert past_proxies({})["no_proxy"] == "127.0.0.1,localhost"
