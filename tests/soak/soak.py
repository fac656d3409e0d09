"""One soak: runs under bad luck, then many small ones, then a look at what is left."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.cases import Place
from tests.soak.faults import Faults
from tests.soak.leaks import WARM_UP, Figures, leaks, small_runs, told
from tests.soak.stack import Stack, running_stack
from tests.soak.work import RUN_SECONDS, Client, Verdicts, settle

CLIENTS = 3
LEAK_SHARE = 0.35
"""Part of the time for the small runs at the end."""
WHILE_STARTING = 0.01
"""Chance of a fault, every 0.1 s, while something is not up again; else nothing would ever be done."""


def soak(folder: Path, *, minutes: float, seed: int, runs: int, say: Callable[[str], None]) -> list[str]:
    """What went wrong, in sentences; empty if nothing did.

    Args:
        folder: an empty folder that other users may enter.
        minutes: how long; starting and settling come on top.
        seed: of everything that is random.
        runs: small runs at the end, if the time is enough for them.
        say: told what happens.
    """
    with running_stack(folder / "home", folder / "data") as stack:
        place = Place(folder / "data", stack.database_url, stack.settings)
        wrong = _under_bad_luck(stack, place, seed, minutes * 60 * (1 - LEAK_SHARE), say)
        wrong += _in_peace(stack, place, runs, minutes * 60 * LEAK_SHARE, say)
    return wrong


def _under_bad_luck(
    stack: Stack, place: Place, seed: int, seconds: float, say: Callable[[str], None]
) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 - what is random must be so again
    verdicts, faults = Verdicts(), Faults(stack, rng)
    clients = [Client(stack.url, place, rng.getrandbits(64), verdicts) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    _befall(stack, faults, rng, seconds)
    end = time.monotonic()
    for client in clients:
        client.stopping.set()
    while any(client.is_alive() for client in clients) and time.monotonic() < end + RUN_SECONDS:
        stack.supervise()
        time.sleep(0.05)
    stack.wait_until_ready()
    for client in clients:
        if client.error is not None or client.is_alive():
            verdicts.complain(f"a client did not end well: {client.error!r}")
    settle(stack.url, verdicts)
    if not verdicts.ends["completed"]:
        verdicts.complain("not one run was completed")
    for case in verdicts.cases.values():
        for clean in case.clean:
            clean()
    say(f"runs: {dict(verdicts.ends)}; restarts: {stack.restarts}; faults: {dict(faults.befell)}")
    return verdicts.wrong


def _befall(stack: Stack, faults: Faults, rng: random.Random, seconds: float) -> None:
    end, following = time.monotonic() + seconds, time.monotonic() + 2
    while time.monotonic() < end:
        stack.supervise()
        if time.monotonic() > following and (rng.random() < WHILE_STARTING or stack.ready()):
            faults.one()
            following = time.monotonic() + rng.uniform(0.5, 6.0)
        time.sleep(0.1)


def _in_peace(stack: Stack, place: Place, runs: int, seconds: float, say: Callable[[str], None]) -> list[str]:
    _, wrong = small_runs(stack, place, WARM_UP, seconds / 3)
    before = Figures.of(stack)
    say(f"before: {told(before)}")
    done, more = small_runs(stack, place, runs, seconds)
    after = Figures.of(stack)
    say(f"after {done} small runs: {told(after)}")
    return [*wrong, *more, *leaks(before, after)]
