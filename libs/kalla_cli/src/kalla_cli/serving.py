"""Whether a gRPC service on this machine takes calls."""

from __future__ import annotations

from typing import Any, Final

CHECK_SECONDS: Final = 2.0


def serves(address: str) -> bool:
    """Whether the health service at host:port says SERVING."""
    # Imported late: `kalla --help` must not wait for gRPC.
    import grpc  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING
