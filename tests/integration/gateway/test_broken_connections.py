"""A client that goes away, and data that break off, are a line in the log and no stack trace."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from kalla_common.runner.ports import Output, OutputRows
from kalla_common.runner.rows import ticket_bytes
from pyarrow import flight

from tests.integration.gateway.conftest import Live


def _reset(connection: socket.socket) -> None:
    """Close by RST, as a killed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


CLOSERS: list[Callable[[socket.socket], None]] = [_reset, socket.socket.close]


@contextmanager
def _quiet(live: Live) -> Generator[list[dict[str, Any]]]:
    """No stack trace is written meanwhile; gives the lines afterwards."""
    logs = (live.gateway.log, live.folder / "runner.log")
    before = [log.stat().st_size for log in logs]
    lines: list[dict[str, Any]] = []
    yield lines
    time.sleep(0.3)
    for log, size in zip(logs, before, strict=True):
        text = log.read_bytes()[size:].decode()
        assert "Traceback" not in text, text[-3000:]
        lines += [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _begun(port: int, text: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(text.replace("\n", "\r\n").encode())
    return connection


def _port(live: Live) -> int:
    return int(live.gateway.url.rpartition(":")[2])


@pytest.mark.parametrize("close", CLOSERS)
def test_a_client_that_leaves_in_mid_request(live: Live, close: Callable[[socket.socket], None]) -> None:
    head = "POST {} HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
    with _quiet(live):
        for port, path in ((_port(live), "/api/sources"), (live.addresses.http, "/api/jobs")):
            for rest in (
                "",
                "Content-Length: 1000\n\n{",
                "Transfer-Encoding: chunked\n\n5\n{",
                "\x01bad\n\n",
            ):
                connection = _begun(port, head.format(path) + rest)
                time.sleep(0.1)
                close(connection)


@pytest.mark.parametrize("close", CLOSERS)
def test_a_client_that_leaves_in_mid_answer(
    live: Live, run: dict[str, Any], close: Callable[[socket.socket], None]
) -> None:
    with _quiet(live):
        for path in ("results/matched", "events"):
            for kind in ("text/csv", "application/vnd.apache.parquet", "*/*"):
                asked = f"GET /api/runs/{run['run_id']}/{path} HTTP/1.1\nHost: localhost\nAccept: {kind}\n\n"
                close(_begun(_port(live), asked))
                connection = _begun(_port(live), asked)
                connection.recv(20)
                close(connection)


def test_a_flight_client_that_leaves_in_mid_stream(live: Live, run: dict[str, Any]) -> None:
    ticket = flight.Ticket(ticket_bytes(OutputRows(run["run_id"], Output.MATCHED)))
    with _quiet(live):
        for _ in range(3):
            with flight.connect(f"grpc://127.0.0.1:{live.addresses.flight}") as client:
                client.do_get(ticket).cancel()


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(4, len(content) // 2):
        content[place] ^= 0xFF
    path.write_bytes(content)


def test_an_output_that_turns_out_to_be_damaged_is_broken_off_and_never_looks_whole(
    live: Live, recipe: dict[str, Any]
) -> None:
    created = live.api.post("/api/runs", {"recipe_id": recipe["recipe_id"]})
    _damage(Path(live.api.ended(created["run_id"])["output_matched"]))
    url = f"{live.gateway.url}/api/runs/{created['run_id']}/results/matched"
    with _quiet(live) as lines:
        assert httpx.get(url, trust_env=False).json()["code"] == "INVALID_DATA"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url, headers={"accept": "text/csv"}, trust_env=False)
    (line,) = [line for line in lines if line["event"] == "answer_broken_off"]
    assert line["code"] == "INVALID_DATA"
