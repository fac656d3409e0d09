"""gRPC servers: errors packed once, health, reflection, TLS, correlation with traces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError
from kalla_common.rpc.keepalive import KEEPALIVE, Keepalive
from kalla_common.rpc.status import to_status
from kalla_common.settings import TlsSettings
from kalla_common.telemetry import log

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Control messages are small: rows travel over Flight."""


def make_server(
    *,
    interceptors: Sequence[aio.ServerInterceptor] = (),
    traced: bool = True,
    keepalive: Keepalive = KEEPALIVE,
) -> aio.Server:
    """Make a server whose servicers may simply raise KallaError."""
    tracing = [aio_server_interceptor()] if traced else []
    return aio.server(
        interceptors=[*tracing, ErrorInterceptor(), *interceptors],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            *keepalive.server_options,
            # Two processes on one port would share the calls between them without a word.
            ("grpc.so_reuseport", 0),
        ],
    )


def add_port(server: aio.Server, address: str, tls: TlsSettings | None = None) -> int:
    """Bind `address` (host:port, port 0 for any free one) and return the port.

    Raises:
        OSError: the address is in use or not ours.
    """
    try:
        if tls is None or not tls.server:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _server_credentials(tls))
    except RuntimeError as error:
        msg = f"cannot listen on {address}: {error}"
        raise OSError(msg) from error
    if port == 0:
        msg = f"cannot listen on {address}"
        raise OSError(msg)
    return port


class HealthControl:
    """Says over the standard health service whether the services of a server take calls."""

    def __init__(self, servicer: Any, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._names = ("", *names)

    async def serving(self) -> None:
        """All services take calls."""
        for name in self._names:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def not_serving(self) -> None:
        """From now on NOT_SERVING, for good."""
        await self._servicer.enter_graceful_shutdown()


def add_health_and_reflection(
    server: aio.Server, service_names: Sequence[str], *, with_reflection: bool = True
) -> HealthControl:
    """Add the standard health service (NOT_SERVING until told otherwise) and reflection."""
    servicer = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue] - set at import
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if with_reflection:
        names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return HealthControl(servicer, service_names)


class ErrorInterceptor(aio.ServerInterceptor):
    """Turns what a handler raises into a status; also in the middle of a stream.

    A KallaError leaves with its code; anything else is logged and leaves as INTERNAL
    without its text.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call, unary or streaming."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:  # an unknown method: gRPC answers UNIMPLEMENTED itself
            return handler
        streaming = {"request_deserializer": handler.request_deserializer}
        streaming["response_serializer"] = handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary), **streaming)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream), **streaming)
        # Health and reflection alone stream requests; they do not raise KallaError.
        return handler


def _unary(inner: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(request, context)
        except Exception as error:  # noqa: BLE001 - the border of the process
            await _abort(context, error)

    return call


def _stream(inner: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            answer = inner(request, context)
            if hasattr(answer, "__aiter__"):
                async for item in answer:
                    yield item
            else:
                # A handler may also write to the context itself and yield nothing.
                await answer
        except Exception as error:  # noqa: BLE001 - the border of the process
            await _abort(context, error)

    return call


async def _abort(context: aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    if isinstance(error, aio.AbortError):
        raise error
    if isinstance(error, asyncio.TimeoutError):
        error = KallaError(Code.DEADLINE_EXCEEDED, "The call took longer than its deadline.")
    if isinstance(error, DecodeError):
        error = KallaError(Code.INVALID_REQUEST, "The message cannot be decoded.")
    if not isinstance(error, KallaError):
        log.error("rpc_failed", exc_info=error)
        error = KallaError(Code.INTERNAL, INTERNAL_MESSAGE)
    await context.abort_with_status(rpc_status.to_status(to_status(error)))
    raise error


def _server_credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    key, certificate = tls.read(tls.key_file), tls.read(tls.cert_file)
    if key is None or certificate is None:
        msg = "TLS needs cert_file and key_file"
        raise ValueError(msg)
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=tls.read(tls.ca_file) if tls.require_client_cert else None,
        require_client_auth=tls.require_client_cert,
    )
