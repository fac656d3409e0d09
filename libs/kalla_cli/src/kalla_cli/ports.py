"""Loopback ports: free ones, clear words about those in use, and another try where one was lost.

Between choosing a port and listening on it another program may take it: nothing reserves a port for a
program that binds it itself. So what starts on chosen ports says by PortLostError that it lost one, and
`on_free_ports` starts it again on others.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Collection, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final, TypeVar

from kalla_common.errors import Code, KallaError

LOOPBACK: Final = "127.0.0.1"
HIGHEST_PORT: Final = 65535
LOWEST_EPHEMERAL: Final = 32_768
"""From here on Linux takes ports for outgoing connections, also between choosing a port and listening."""

_LOWEST_FREE: Final = 10_000
_TRIES: Final = 10
_Started = TypeVar("_Started")


class PortLostError(KallaError):
    """A program could not listen on a port that had been free when it was chosen."""

    def __init__(self, name: str, last_words: str) -> None:
        super().__init__(
            Code.INTERNAL,
            f"{name} could not listen on a port that had been free before, although other ports were "
            f"tried too: {last_words}",
        )


@contextmanager
def on_free_ports(start: Callable[[], AbstractContextManager[_Started]]) -> Generator[_Started]:
    """Enter what `start` makes, which chooses its ports on entering; again where it loses one of them.

    Raises:
        PortLostError: ten times in a row.
    """
    with ExitStack() as closing:
        for left in reversed(range(_TRIES)):
            try:
                started = closing.enter_context(start())
            except PortLostError:
                if not left:
                    raise
            else:
                yield started
                return


def free_port(avoid: Collection[int] = ()) -> int:
    """A loopback TCP port that nobody listens on now, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.randint(_LOWEST_FREE, LOWEST_EPHEMERAL - 1)  # noqa: S311 - no secret
        if port not in avoid and is_free(port):
            return port


def free_ports(count: int, avoid: Collection[int] = ()) -> tuple[int, ...]:
    """`count` different ports, as `free_port`."""
    chosen: list[int] = []
    while len(chosen) < count:
        chosen.append(free_port({*avoid, *chosen}))
    return tuple(chosen)


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


def choose_ports(first: int, count: int, option: str, avoid: Collection[int] = ()) -> tuple[int, ...]:
    """`count` ports from `first` on, or any free ones for 0.

    Raises:
        KallaError: INVALID_REQUEST if one of them is in use or out of range; names `option`.
    """
    if first == 0:
        return free_ports(count, avoid)
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


def prefer_ports(first: int, count: int, avoid: Collection[int] = ()) -> tuple[int, ...]:
    """`count` ports from `first` on that nobody asked for: another in the place of each that is in use."""
    wanted = range(first, first + count)
    chosen: list[int] = []
    for port in wanted:
        usable = port not in avoid and is_free(port)
        chosen.append(port if usable else free_port({*avoid, *chosen, *wanted}))
    return tuple(chosen)
