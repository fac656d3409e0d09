"""How often a waiting client asks whether its server is still there, and how often a server allows it.

gRPC lets these two be set apart: a client that asks more often than its server allows is cut off
in mid call (GOAWAY too_many_pings). By default a server allows one ping in five minutes and three
too many. So both sides take their values from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Times of one connection, in milliseconds.

    Attributes:
        client_ms: a client with a call under way pings after so long without a byte.
        answer_ms: an unanswered ping ends the connection after so long.
        server_ms: a server allows one ping in this time. It must be well below `client_ms`: pings that
            were held up on the way arrive closer together.
    """

    client_ms: int = 30_000
    answer_ms: int = 20_000
    server_ms: int = 10_000

    def __post_init__(self) -> None:
        if self.server_ms * 2 > self.client_ms:
            msg = f"one ping in {self.server_ms} ms cuts off a client that sends one in {self.client_ms} ms"
            raise ValueError(msg)

    @property
    def client_options(self) -> list[tuple[str, Any]]:
        """Channel arguments of a client."""
        return [
            ("grpc.keepalive_time_ms", self.client_ms),
            ("grpc.keepalive_timeout_ms", self.answer_ms),
            # Without this a client stops asking after two pings, and never learns that its server is gone.
            ("grpc.http2.max_pings_without_data", 0),
        ]

    @property
    def server_options(self) -> list[tuple[str, Any]]:
        """Channel arguments of a server."""
        return [
            # The constant in gRPC has RECV in its name, the argument has not; an unknown one is ignored.
            ("grpc.http2.min_ping_interval_without_data_ms", self.server_ms),
            # A ping may arrive just after its call has ended.
            ("grpc.keepalive_permit_without_calls", 1),
        ]


KEEPALIVE: Final = Keepalive()
"""Of all services."""
