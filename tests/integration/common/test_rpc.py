"""Errors, deadlines, health and TLS over real gRPC connections on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kalla.runner.v1 import runner_service_pb2 as pb
from kalla.runner.v1 import runner_service_pb2_grpc as pb_grpc
from kalla_common.errors import Code, KallaError
from kalla_common.rpc.client import make_channel
from kalla_common.rpc.keepalive import KEEPALIVE, Keepalive
from kalla_common.rpc.server import HealthControl, add_health_and_reflection, add_port, make_server
from kalla_common.settings import TlsSettings

SERVICE = "kalla.runner.v1.RunnerService"
FAST = Keepalive(client_ms=1_000, answer_ms=5_000, server_ms=400)
"""gRPC sends no ping within a second of the last one."""
SILENT_SECONDS = 6.0
"""Six pings; with gRPC's defaults the fourth one ends the connection."""


class Failing(pb_grpc.RunnerServiceServicer):
    """Answers each call with what its run_id asks for."""

    async def GetJob(self, request: Any, context: Any) -> pb.GetJobResponse:  # noqa: N802
        match request.run_id:
            case "unknown":
                raise KallaError(Code.RUN_NOT_FOUND, "There is no such run.", run_id="unknown")
            case "slow":
                await asyncio.sleep(30)
            case "silent":
                await asyncio.sleep(SILENT_SECONDS)
            case _:
                raise ValueError("secret of the inside")
        return pb.GetJobResponse()

    async def WatchJob(self, request: Any, context: Any) -> AsyncIterator[pb.WatchJobResponse]:  # noqa: N802
        yield pb.WatchJobResponse()
        if request.run_id == "silent":
            await asyncio.sleep(SILENT_SECONDS)
        yield pb.WatchJobResponse()
        raise KallaError(Code.SOURCE_CHANGED, "The source changed.")


@asynccontextmanager
async def serving(
    tls: TlsSettings | None = None, keepalive: Keepalive = KEEPALIVE
) -> AsyncGenerator[tuple[str, HealthControl]]:
    server = make_server(keepalive=keepalive)
    pb_grpc.add_RunnerServiceServicer_to_server(Failing(), server)  # pyright: ignore[reportAbstractUsage]
    health = add_health_and_reflection(server, [SERVICE])
    port = add_port(server, "localhost:0", tls)
    await server.start()
    try:
        yield f"localhost:{port}", health
    finally:
        await server.stop(None)


async def test_a_services_error_is_raised_again_at_the_client() -> None:
    async with serving() as (address, _), make_channel(address) as channel:
        with pytest.raises(KallaError, match=r"There is no such run\.") as caught:
            await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="unknown"))
    assert caught.value.code is Code.RUN_NOT_FOUND
    assert caught.value.details == {"run_id": "unknown"}


async def test_an_unexpected_error_leaves_as_internal_without_its_text() -> None:
    async with serving() as (address, _), make_channel(address) as channel:
        with pytest.raises(KallaError) as caught:
            await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="x"))
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in caught.value.message


async def test_an_error_in_mid_stream_keeps_its_code() -> None:
    async with serving() as (address, _), make_channel(address) as channel:
        items = aiter(pb_grpc.RunnerServiceStub(channel).WatchJob(pb.WatchJobRequest()))
        assert [await anext(items), await anext(items)] == [pb.WatchJobResponse()] * 2
        with pytest.raises(KallaError) as caught:
            await anext(items)
    assert caught.value.code is Code.SOURCE_CHANGED


async def test_every_call_has_a_deadline() -> None:
    async with serving() as (address, _), make_channel(address, deadline_seconds=0.2) as channel:
        with pytest.raises(KallaError) as caught:
            await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="slow"))
    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with serving() as (address, _):
        pass
    async with make_channel(address, unavailable=Code.RUNNER_UNAVAILABLE) as channel:
        with pytest.raises(KallaError) as caught:
            await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="x"))
    assert caught.value.code is Code.RUNNER_UNAVAILABLE


async def test_health_says_not_serving_until_told_and_after_the_end() -> None:
    async with serving() as (address, health), grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def status() -> int:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
            return answer.status

        with pytest.raises(grpc.aio.AioRpcError):
            await status()
        await health.serving()
        assert await status() == health_pb2.HealthCheckResponse.SERVING
        await health.not_serving()
        assert await status() == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_calls_without_data_outlive_many_pings_through_tls_too(tmp_path: Path) -> None:
    async def calls(tls: TlsSettings | None) -> None:
        async with serving(tls, FAST) as (address, _), make_channel(address, tls, keepalive=FAST) as channel:
            stub: Any = pb_grpc.RunnerServiceStub(channel)
            unary, streamed = await asyncio.gather(
                stub.GetJob(pb.GetJobRequest(run_id="silent")),
                _count(stub.WatchJob(pb.WatchJobRequest(run_id="silent"))),
            )
            assert (unary, streamed) == (pb.GetJobResponse(), 2)

    await asyncio.gather(calls(None), calls(certificate(tmp_path)))


async def _count(items: Any) -> int:
    """Items of a stream before its error SOURCE_CHANGED."""
    count = 0
    try:
        async for _ in items:
            count += 1
    except KallaError as error:
        assert error.code is Code.SOURCE_CHANGED, error  # noqa: PT017 - it comes after the items
    return count


async def test_a_server_of_other_settings_would_cut_the_call_off() -> None:
    """So the test above can fail: gRPC's own default is a ping in five minutes."""
    grpc_default = Keepalive(client_ms=600_000, server_ms=300_000)
    async with (
        serving(keepalive=grpc_default) as (address, _),
        make_channel(address, keepalive=FAST) as channel,
    ):
        with pytest.raises(KallaError) as caught:
            await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="silent"))
    assert caught.value.code is Code.RUNNER_UNAVAILABLE


async def test_a_port_in_use_is_an_error() -> None:
    async with serving() as (address, _):
        with pytest.raises(OSError, match="cannot listen"):
            add_port(make_server(), address)


def certificate(folder: Path) -> TlsSettings:
    """A certificate for localhost and the authority that issued it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key, ca = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return TlsSettings(cert_file=cert, key_file=key, ca_file=ca, require_client_cert=True)


async def test_mutual_tls_refuses_callers_without_a_certificate(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    nobody = TlsSettings(ca_file=tls.ca_file)
    async with serving(tls) as (address, _):
        async with make_channel(address, tls) as channel:
            with pytest.raises(KallaError) as caught:
                await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="unknown"))
        assert caught.value.code is Code.RUN_NOT_FOUND
        for settings in (nobody, None):
            async with make_channel(address, settings) as channel:
                with pytest.raises(KallaError) as caught:
                    await pb_grpc.RunnerServiceStub(channel).GetJob(pb.GetJobRequest(run_id="unknown"))
            assert caught.value.code is Code.RUNNER_UNAVAILABLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"cert_file": "a"},
        {"require_client_cert": True},
        {"cert_file": "a", "key_file": "b", "require_client_cert": True},
    ],
)
def test_half_a_tls_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tls"):
        TlsSettings(**wrong)
