"""Where the three services listen, and the environment that tells them so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kalla_cli.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Addresses:
    """All addresses of one Kalla.

    Attributes:
        gateway_ports: REST, CatalogService, and ChatService of the chat service.
        runner_ports: HTTP, gRPC, Flight.
        database: host:port of the embedded PostgreSQL, "" with a database of one's own.
        s3: endpoint of the embedded S3 store, "" with a store of one's own.
    """

    gateway_ports: tuple[int, ...]
    runner_ports: tuple[int, ...]
    database: str
    s3: str

    @property
    def gateway(self) -> str:
        """Base URL of the REST API."""
        return f"http://{LOOPBACK}:{self.gateway_ports[0]}"

    @property
    def catalog_grpc(self) -> str:
        """host:port of CatalogService."""
        return f"{LOOPBACK}:{self.gateway_ports[1]}"

    @property
    def chat_grpc(self) -> str:
        """host:port of ChatService."""
        return f"{LOOPBACK}:{self.gateway_ports[2]}"

    @property
    def runner(self) -> str:
        """Base URL of the runner's HTTP API."""
        return f"http://{LOOPBACK}:{self.runner_ports[0]}"

    @property
    def runner_grpc(self) -> str:
        """host:port of RunnerService."""
        return f"{LOOPBACK}:{self.runner_ports[1]}"

    @property
    def runner_flight(self) -> str:
        """host:port of the runner's Arrow Flight server."""
        return f"{LOOPBACK}:{self.runner_ports[2]}"


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` in which no proxy is asked for what is on this machine."""
    found = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = ",".join([*filter(None, found.split(",")), LOOPBACK, "localhost"])
    return {**environment, "no_proxy": hosts, "NO_PROXY": hosts}


def runner_environment(
    addresses: Addresses, home: Path, database_url: str, secret: str, roots: tuple[Path, ...]
) -> dict[str, str]:
    """KALLA_RUNNER_* of a runner on this machine; `roots` are the allowed folders."""
    http_port, grpc_port, flight_port = addresses.runner_ports
    return {
        "KALLA_RUNNER_HOST": LOOPBACK,
        "KALLA_RUNNER_HTTP_PORT": str(http_port),
        "KALLA_RUNNER_GRPC_PORT": str(grpc_port),
        "KALLA_RUNNER_FLIGHT_PORT": str(flight_port),
        "KALLA_RUNNER_DATABASE_URL": database_url,
        "KALLA_RUNNER_WORK_DIR": str(home / "runner"),
        "KALLA_RUNNER_ALLOWED_ROOTS": json.dumps([str(root) for root in roots]),
        "KALLA_RUNNER_WEBHOOK_SECRET": secret,
    }


def gateway_environment(
    addresses: Addresses, home: Path, database_url: str, secret: str, upload_bucket: str | None
) -> dict[str, str]:
    """KALLA_GATEWAY_* of a gateway on this machine; without `upload_bucket` it takes no uploads."""
    rest_port, grpc_port, _ = addresses.gateway_ports
    uploads = {} if upload_bucket is None else {"KALLA_GATEWAY_UPLOAD_BUCKET": upload_bucket}
    return {
        **uploads,
        "KALLA_GATEWAY_HOST": LOOPBACK,
        "KALLA_GATEWAY_PORT": str(rest_port),
        "KALLA_GATEWAY_GRPC_PORT": str(grpc_port),
        "KALLA_GATEWAY_DATABASE_URL": database_url,
        "KALLA_GATEWAY_RUNNER_GRPC": addresses.runner_grpc,
        "KALLA_GATEWAY_RUNNER_FLIGHT": addresses.runner_flight,
        "KALLA_GATEWAY_CHAT_GRPC": addresses.chat_grpc,
        "KALLA_GATEWAY_CALLBACK_URL": f"{addresses.gateway}/api/worker",
        "KALLA_GATEWAY_OUTPUT_ROOT": str(home / "runs"),
        "KALLA_GATEWAY_WEBHOOK_SECRET": secret,
    }


def chat_environment(addresses: Addresses, database_url: str) -> dict[str, str]:
    """KALLA_CHAT_* of a chat service on this machine."""
    return {
        "KALLA_CHAT_HOST": LOOPBACK,
        "KALLA_CHAT_PORT": str(addresses.gateway_ports[2]),
        "KALLA_CHAT_DATABASE_URL": database_url,
        "KALLA_CHAT_CATALOG_GRPC": addresses.catalog_grpc,
        "KALLA_CHAT_RUNNER_GRPC": addresses.runner_grpc,
        "KALLA_CHAT_RUNNER_FLIGHT": addresses.runner_flight,
    }
