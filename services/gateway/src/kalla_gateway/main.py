"""The gateway's process: settings, sockets, signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
import uvloop
from kalla_common.errors import KallaError
from kalla_common.patience import IDLE_SECONDS, PatientProtocol
from kalla_common.rpc.server import add_port
from kalla_common.s3 import S3Settings, take_s3_settings
from kalla_common.telemetry import log, setup_telemetry
from pydantic import ValidationError

from kalla_gateway.migrate import migrate
from kalla_gateway.rest.context import GatewayServices
from kalla_gateway.server import create_app, gateway_services, make_catalog_server, run_background
from kalla_gateway.settings import GatewaySettings


class _Stopped(Exception):  # noqa: N818 - not an error: it ends the task group
    """The process was asked to stop."""


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`, which has more than this server to stop."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def main() -> None:
    """Run the gateway until SIGTERM or SIGINT; exits with 2 if it is set up wrongly."""
    try:
        settings = GatewaySettings()  # pyright: ignore[reportCallIssue] - filled from the environment
        s3 = take_s3_settings()
    except KallaError as error:
        sys.exit(error.message)
    except ValidationError as error:
        first = error.errors()[0]
        name = "__".join(str(part) for part in first["loc"]).upper()
        sys.exit(f"KALLA_GATEWAY_{name}: {first['msg']}")
    shutdown_telemetry = setup_telemetry("kalla-gateway", settings)
    # It tells in its own words what our own lines say.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        uvloop.run(serve(settings, s3))
    except (KallaError, OSError) as error:
        log.error("gateway_cannot_start", error=str(error))
        sys.exit(1)
    except ExceptionGroup as error:
        log.error("gateway_failed", exc_info=error)
        sys.exit(1)
    finally:
        shutdown_telemetry()


async def serve(settings: GatewaySettings, s3: S3Settings) -> None:
    """Serve until a signal comes.

    Raises:
        KallaError: the database cannot be reached.
        OSError: a port is in use.
        ExceptionGroup: a part of the gateway failed.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _listening(settings.host, settings.port) as rest_socket:
        port: int = rest_socket.getsockname()[1]
        callback_url = settings.callback_url or f"http://127.0.0.1:{port}/api/worker"
        async with gateway_services(settings, s3, callback_url) as services:
            await migrate(services.database)
            await _serve_all(services, rest_socket, stop)


async def _serve_all(services: GatewayServices, rest_socket: socket.socket, stop: asyncio.Event) -> None:
    settings = services.settings
    rest = _Server(
        uvicorn.Config(
            create_app(services),
            lifespan="off",
            log_config=None,
            http=PatientProtocol,
            timeout_keep_alive=IDLE_SECONDS,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    )
    catalog, health = make_catalog_server(services)
    grpc_port = add_port(catalog, f"{settings.host}:{settings.grpc_port}", settings.tls)
    await catalog.start()
    await health.serving()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_background(services), name="background")
            serving = group.create_task(_serve_rest(rest, rest_socket), name="rest")
            log.info("gateway_listening", port=rest_socket.getsockname()[1], grpc_port=grpc_port)
            await stop.wait()
            log.info("gateway_stopping")
            await health.not_serving()
            services.events.close()
            rest.should_exit = True
            await catalog.stop(settings.shutdown_seconds)
            await serving
            raise _Stopped  # noqa: TRY301 - cancels what else is in the group
    except* _Stopped:
        log.info("gateway_stopped")
    finally:
        await catalog.stop(None)


async def _serve_rest(rest: _Server, rest_socket: socket.socket) -> None:
    await rest.serve([rest_socket])
    if not rest.should_exit:
        msg = "the REST server ended by itself"
        raise RuntimeError(msg)


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            msg = f"cannot listen on {host}:{port}: {error.strerror}"
            raise OSError(msg) from error
        yield listener
    finally:
        listener.close()


if __name__ == "__main__":
    main()
