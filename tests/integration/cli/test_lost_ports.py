"""A port that another program takes between choosing and listening costs time, never the start."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import psycopg
import pytest
from kalla_cli import embedded_postgres as postgres
from kalla_cli import embedded_s3 as s3
from kalla_cli import up
from kalla_cli.ports import PortLostError, is_free, on_free_ports, prefer_ports
from kalla_cli.processes import start, wait_until
from kalla_cli.stopping import StopRequest

from tests.conftest import ready_s3

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that the tests of this file use in turn."""
    with tempfile.TemporaryDirectory(prefix="kalla-ports-") as folder:
        path = Path(folder).resolve()
        path.chmod(0o711)
        yield path


@pytest.fixture
def thief() -> Iterator[Callable[[int], int]]:
    """Listens on a port that it is given, until the end of the test."""
    with ExitStack() as closing:

        def take(port: int) -> int:
            closing.enter_context(listening(port))
            return port

        yield take


def listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_postgresql_takes_another_port(
    home: Path, monkeypatch: pytest.MonkeyPatch, thief: Callable[[int], int]
) -> None:
    choose, lost = postgres.free_port, list[int]()

    def choose_and_lose(avoid: Collection[int] = ()) -> int:
        port = choose(avoid)
        return port if lost else thief(lost.append(port) or port)

    monkeypatch.setattr(postgres, "free_port", choose_and_lose)
    with (
        postgres.embedded_postgres(home, home / "log", durable=False) as server,
        psycopg.connect(server.url()) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert lost
    assert server.port not in lost


@pytest.mark.parametrize("server", range(5))
def test_the_store_takes_other_ports(
    home: Path, monkeypatch: pytest.MonkeyPatch, thief: Callable[[int], int], server: int
) -> None:
    (home / "s3.ports").unlink(missing_ok=True)
    choose, lost = s3.free_ports, list[int]()

    def choose_and_lose(count: int, avoid: Collection[int] = ()) -> tuple[int, ...]:
        ports = choose(count, avoid)
        if not lost:
            lost.append(thief(ports[2 * server]))
        return ports

    monkeypatch.setattr(s3, "free_ports", choose_and_lose)
    with on_free_ports(lambda: ready_s3(home)) as settings:
        assert settings.endpoint.rpartition(":")[2] != str(lost[0])
    assert str(lost[0]) not in (home / "s3.ports").read_text().split()


class Stranger(BaseHTTPRequestHandler):
    """Another program that says it is ready, whatever it is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def stranger_on(port: int) -> Generator[None]:
    server = HTTPServer(("127.0.0.1", port), Stranger)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_kalla_starts_again_on_other_ports_and_takes_no_stranger_for_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    choose, lost = up.choose_ports, list[int]()
    with ExitStack() as strangers:

        def choose_and_lose(
            first: int, count: int, option: str, avoid: Collection[int] = ()
        ) -> tuple[int, ...]:
            ports = choose(first, count, option, avoid)
            if option == "--port" and not lost:
                lost.append(ports[0])
                strangers.enter_context(stranger_on(ports[0]))
            return ports

        monkeypatch.setattr(up, "choose_ports", choose_and_lose)
        options = up.UpOptions(home, 0, 0, database_url=database_url)
        with up.running_stack(options, StopRequest()) as stack:
            assert lost
            assert lost[0] not in stack.addresses.gateway_ports
            gateway = stack.children[-2]
            assert gateway.name == "The gateway"
            listeners = psutil.Process(gateway.process.pid).net_connections("tcp")
            assert stack.addresses.gateway_ports[0] in {listener.laddr.port for listener in listeners}


def test_a_port_that_nobody_asked_for_is_replaced_where_it_is_in_use(thief: Callable[[int], int]) -> None:
    first = next(port for port in range(20_000, 30_000) if all(is_free(port + i) for i in range(3)))
    thief(first + 1)
    one, two, three = prefer_ports(first, 3)
    assert (one, three) == (first, first + 2)
    assert two not in range(first, first + 3)
    assert prefer_ports(first, 3, avoid=(first,))[0] != first


def test_a_port_that_is_lost_again_and_again_ends_the_start_with_its_reason() -> None:
    starts: list[None] = []

    @contextmanager
    def losing() -> Generator[None]:
        starts.append(None)
        raise PortLostError("The gateway", "cannot listen on 127.0.0.1:1")
        yield

    with (
        pytest.raises(PortLostError, match="The gateway could not listen"),
        on_free_ports(losing),
    ):
        pass
    assert len(starts) == 10


def test_a_process_that_ended_for_another_reason_lost_no_port(tmp_path: Path) -> None:
    child = start("one", ["sh", "-c", "echo no module named x; exit 1"], tmp_path / "log", ports=(65_535,))
    assert wait_until(lambda: not child.running, 10)
    assert not child.lost_a_port
    child.stop(1)
