"""Loopback ports: free ones, and a clear word about those in use."""

from __future__ import annotations

import random
import socket
from typing import Final

from kalla_common.errors import Code, KallaError

LOOPBACK: Final = "127.0.0.1"
HIGHEST_PORT: Final = 65535
LOWEST_EPHEMERAL: Final = 32_768
"""From here on Linux takes ports for outgoing connections, also between choosing a port and listening."""


_LOWEST_FREE: Final = 10_000


def free_port() -> int:
    """A loopback TCP port that nobody listens on now, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.randint(_LOWEST_FREE, LOWEST_EPHEMERAL - 1)  # noqa: S311 - no secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_ports(first: int, count: int, option: str) -> tuple[int, ...]:
    """`count` ports from `first` on, or any free ones for 0.

    Raises:
        KallaError: INVALID_REQUEST if one of them is in use or out of range; names `option`.
    """
    if first == 0:
        chosen: set[int] = set()
        while len(chosen) < count:
            chosen.add(free_port())
        return tuple(chosen)
    if first + count - 1 > HIGHEST_PORT:
        raise KallaError(
            Code.INVALID_REQUEST, f"{option} {first} leaves no room for {count} ports up to {HIGHEST_PORT}."
        )
    ports = tuple(range(first, first + count))
    for port in ports:
        if not is_free(port):
            raise KallaError(
                Code.INVALID_REQUEST,
                f"Port {port} is in use on this machine; stop what listens there, or choose other ports "
                f"with {option} (0 takes any free ones).",
            )
    return ports
