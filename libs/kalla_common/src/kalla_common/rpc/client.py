"""gRPC channels: a deadline on every call, and the server's KallaError raised again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from grpc import aio
from grpc_status import rpc_status
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.rpc.keepalive import KEEPALIVE, Keepalive
from kalla_common.rpc.server import MAX_MESSAGE_BYTES
from kalla_common.rpc.status import from_status
from kalla_common.settings import TlsSettings

DEFAULT_DEADLINE_SECONDS = 30.0


def make_channel(
    address: str,
    tls: TlsSettings | None = None,
    *,
    unavailable: Code = Code.RUNNER_UNAVAILABLE,
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    keepalive: Keepalive = KEEPALIVE,
) -> aio.Channel:
    """Open a channel to `address` (host:port); it connects at the first call.

    Args:
        address: host:port.
        tls: with a `ca_file` the channel speaks TLS.
        unavailable: the code raised where the server cannot be reached.
        deadline_seconds: for unary calls that bring none of their own. Streams run until
            they end; whoever opens one gives it a time-out.
        keepalive: must be what the server has.
    """
    errors = (_UnaryErrors(unavailable, deadline_seconds), _StreamErrors(unavailable))
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        *keepalive.client_options,
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Internal addresses never go through a web proxy.
        ("grpc.enable_http_proxy", 0),
    ]
    interceptors: list[Any] = [*errors, *aio_client_interceptors()]
    if tls is not None and tls.client:
        credentials = grpc.ssl_channel_credentials(
            tls.read(tls.ca_file), tls.read(tls.key_file), tls.read(tls.cert_file)
        )
        return aio.secure_channel(address, credentials, options, interceptors=interceptors)
    return aio.insecure_channel(address, options, interceptors=interceptors)


def to_kalla_error(error: aio.AioRpcError, unavailable: Code) -> KallaError:
    """The KallaError behind a failed call, or the nearest one if it never reached a service."""
    status = rpc_status.from_call(error)  # pyright: ignore[reportArgumentType] - it reads what aio errors have, too
    known = from_status(status) if status is not None else None
    if known is not None:
        return known
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return KallaError(Code.DEADLINE_EXCEEDED, "The service did not answer in time; try again.")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return KallaError(unavailable, "The service cannot be reached; check that it runs and try again.")
    if error.code() is grpc.StatusCode.CANCELLED:
        return KallaError(Code.CANCELLED, "The call was cancelled.")
    return KallaError(Code.INTERNAL, INTERNAL_MESSAGE)


class _UnaryErrors(aio.UnaryUnaryClientInterceptor):
    def __init__(self, unavailable: Code, deadline_seconds: float) -> None:
        self._unavailable = unavailable
        self._deadline = deadline_seconds

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        if client_call_details.timeout is None:
            client_call_details = aio.ClientCallDetails(
                client_call_details.method,
                self._deadline,
                client_call_details.metadata,
                client_call_details.credentials,
                client_call_details.wait_for_ready,
            )
        try:
            call = await continuation(client_call_details, request)
            # Awaited here, so that the error is raised inside this frame.
            return await call
        except aio.AioRpcError as error:
            raise to_kalla_error(error, self._unavailable) from None


class _StreamErrors(aio.UnaryStreamClientInterceptor):
    def __init__(self, unavailable: Code) -> None:
        self._unavailable = unavailable

    async def intercept_unary_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        call = await continuation(client_call_details, request)
        return self._items(call)

    async def _items(self, call: Any) -> AsyncIterator[Any]:
        try:
            async for item in call:
                yield item
        except aio.AioRpcError as error:
            raise to_kalla_error(error, self._unavailable) from None
        finally:
            # A consumer that stops early ends the stream on the server, too.
            call.cancel()
