"""A client that plays requests and answers as they are written down, in the order of a read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kalla_runner.connectors.search.clients import Answer


@dataclass
class Exchange:
    """One request and its answer. `body` is compared as JSON."""

    method: str
    path: str
    parameters: Mapping[str, str]
    body: Any
    status: int
    answer: str


class Dialogue:
    """Answers each request once; another one fails the test."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.open = exchanges
        self.closed = False

    def ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        seconds: float = 0.0,
    ) -> Answer:
        asked = (method, path, dict(parameters or {}), json.loads(json.dumps(body)))
        for exchange in self.open:
            if asked == (exchange.method, exchange.path, dict(exchange.parameters), exchange.body):
                self.open.remove(exchange)
                return Answer(exchange.status, exchange.answer)
        msg = f"not in the dialogue: {asked}"
        raise AssertionError(msg)

    def close(self) -> None:
        self.closed = True
