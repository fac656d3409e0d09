"""The chat's REST API: messages with their events, and uploads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from kalla_common.errors import Code, KallaError
from kalla_common.filters_json import load_json

from kalla_cli.rest import RestClient

Event = tuple[str, Any]


class ChatClient:
    """One conversation.

    Args:
        base_url: of a gateway.
        session_id: of a session to go on with; "" begins one.
    """

    def __init__(self, base_url: str, session_id: str = "") -> None:
        self.rest = RestClient(base_url)
        # The answer may take minutes; that the server lives, its heartbeats show.
        self._http = httpx.Client(base_url=base_url, timeout=httpx.Timeout(10.0, read=60.0), trust_env=False)
        self.session_id = session_id

    def close(self) -> None:
        """End the connections."""
        self._http.close()
        self.rest.close()

    def begin(self) -> None:
        """Begin a session, if there is none yet."""
        if not self.session_id:
            self.session_id = str(self.rest.post("/api/chat/sessions")["session_id"])

    def session(self) -> dict[str, Any]:
        """The whole session."""
        return self.rest.get(f"/api/chat/sessions/{self.session_id}")

    @contextmanager
    def sent(self, body: Mapping[str, Any]) -> Generator[Iterable[Event]]:
        """Send a message or a card response, and read what comes of it: (name, JSON).

        Raises:
            KallaError: what the gateway answers; INTERNAL if it cannot be reached.
        """
        self.begin()
        headers = {"accept": "text/event-stream", "idempotency-key": str(uuid4())}
        content = {"session_id": self.session_id, **body}
        try:
            with self._http.stream("POST", "/api/chat", json=content, headers=headers) as response:
                if not response.is_success:
                    response.read()
                    raise self.rest.error_of(response)
                yield _events(response.iter_lines())
        except httpx.TransportError as error:
            raise KallaError(
                Code.INTERNAL, f"The connection to Kalla on {self._http.base_url} was lost: {error}."
            ) from error

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a CSV file; returns what is attached to a message.

        Raises:
            KallaError: INVALID_REQUEST if the file cannot be read; what the gateway answers.
        """
        self.begin()
        asked = {"filename": path.name, "session_id": self.session_id}
        signed = self.rest.post("/api/uploads/presign", asked)
        try:
            with path.open("rb") as file:
                put = httpx.put(str(signed["presigned_url"]), content=file, timeout=600.0, trust_env=False)
        except OSError as error:
            raise KallaError(Code.INVALID_REQUEST, f"{path} cannot be read: {error.strerror}.") from error
        except httpx.TransportError as error:
            raise KallaError(Code.INTERNAL, f"The S3 store does not take {path.name}: {error}.") from error
        if not put.is_success:
            raise KallaError(
                Code.INTERNAL, f"The S3 store refused {path.name} with the status {put.status_code}."
            )
        place = {"s3_uri": signed["s3_uri"], "filename": path.name}
        confirmed = self.rest.post(f"/api/uploads/{signed['upload_id']}/confirm", place)
        return {name: confirmed[name] for name in ("filename", "s3_uri", "columns", "row_count")}


def _events(lines: Iterable[str]) -> Generator[Event]:
    """Server-sent events as (name, JSON)."""
    name, data = "message", ""
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:").strip()
        elif not line and data:
            yield name, load_json(data)
            name, data = "message", ""
