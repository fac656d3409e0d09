"""What befalls a Kalla: its processes are killed, stopped, or asked to end, at random."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from contextlib import suppress

import psutil

from tests.soak.stack import MATCHER, READER, Stack, pick

KILLS = {
    "runner": 3,
    "gateway": 3,
    "matcher": 5,
    "reader": 1,
    "chat": 1,
    "postgres": 2,
    "s3": 2,
}
ASKED = {"runner": 2, "gateway": 2, "postgres": 1, "chat": 1}
STOPPED = {"matcher": 2}


class Faults:
    """Befalls `stack` with one fault after the other."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self._stack, self._rng = stack, rng
        self.befell: Counter[str] = Counter()

    def one(self) -> None:
        """One fault, at once."""
        choices = [
            *((f"kill {name}", weight) for name, weight in KILLS.items()),
            *((f"end {name}", weight) for name, weight in ASKED.items()),
            *((f"pause {name}", weight) for name, weight in STOPPED.items()),
        ]
        fault = self._rng.choices([name for name, _ in choices], [weight for _, weight in choices])[0]
        kind, name = fault.split()
        target = self._target(name)
        if target is None:
            return
        self.befell[fault] += 1
        with suppress(psutil.NoSuchProcess):
            match kind:
                case "kill":
                    target.kill()
                case "end":
                    # PostgreSQL's fast shutdown is SIGINT.
                    target.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
                case _:
                    target.suspend()
                    time.sleep(0.3)
                    target.resume()

    def _target(self, name: str) -> psutil.Process | None:
        if name in ("matcher", "reader"):
            return pick(self._rng, self._stack.children(MATCHER if name == "matcher" else READER))
        return self._stack.process(name)
