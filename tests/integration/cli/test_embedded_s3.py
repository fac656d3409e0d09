"""The embedded S3 store: its objects outlive its ends, and nobody gets in without credentials."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import psutil
import pytest
from kalla_cli import embedded_s3 as embedded_s3_module
from kalla_cli.buckets import bucket_store
from kalla_cli.embedded_s3 import BUCKETS, EmbeddedS3, embedded_s3
from kalla_cli.processes import wait_until
from kalla_common.errors import Code, KallaError
from pydantic import SecretStr

from tests.conftest import S3Bucket

pytestmark = pytest.mark.timeout(60)


def kept(server: EmbeddedS3) -> bytes:
    return bytes(bucket_store(server.settings, BUCKETS[0]).get("a/kept.csv").bytes())


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose store holds an object, which all tests of this file use in turn."""
    with tempfile.TemporaryDirectory(prefix="kalla-home-") as folder:
        path = Path(folder)
        with embedded_s3(path, path / "log") as server:
            server.wait_until_ready()
            bucket_store(server.settings, BUCKETS[0]).put("a/kept.csv", b"id\n1\n")
        yield path


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[EmbeddedS3]:
    """A store that runs, for tests that only look; those that start their own come before."""
    with embedded_s3(home, home / "running.log") as server:
        server.wait_until_ready()
        yield server


def test_objects_and_the_address_survive_a_restart(home: Path) -> None:
    with embedded_s3(home, home / "log") as server:
        server.wait_until_ready()
        first = server.settings.endpoint_url
        assert kept(server) == b"id\n1\n"
    with embedded_s3(home, home / "log") as server:
        server.wait_until_ready()
        assert (server.settings.endpoint_url, kept(server)) == (first, b"id\n1\n")
    assert not server.child.running
    ports = (home / "s3.ports").read_text().split()
    sockets = [path.name for path in Path("/tmp").glob("seaweedfs-*.sock")]
    assert not [name for name in sockets if any(f"-{port}.sock" in name for port in ports)]


def test_other_ports_are_taken_if_the_last_ones_are_in_use(home: Path) -> None:
    before = (home / "s3.ports").read_text()
    with embedded_s3(home, home / "log") as one:
        one.wait_until_ready()
    ports = [int(text) for text in before.split()]
    with socket.create_server(("127.0.0.1", ports[-1])), embedded_s3(home, home / "log") as two:
        two.wait_until_ready()
        assert two.settings.endpoint_url != one.settings.endpoint_url
        assert kept(two) == b"id\n1\n"


def test_ports_whose_sockets_are_somebody_elses_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_s3_module, "_SOCKETS", tmp_path)
    (tmp_path / "home").mkdir()
    first = embedded_s3_module.store_ports(tmp_path / "home", ())
    own = tmp_path / f"seaweedfs-filer-{first['filer'][0]}.sock"
    own.touch()
    assert embedded_s3_module.store_ports(tmp_path / "home", ()) == first
    assert not own.exists()
    # Nothing that can be removed as a file can, as it is with the files of another user in /tmp.
    (tmp_path / f"seaweedfs-s3-grpc-{first['s3'][1]}.sock").mkdir()
    second = embedded_s3_module.store_ports(tmp_path / "home", ())
    assert not {port for pair in second.values() for port in pair} & set(first["s3"])
    assert embedded_s3_module.store_ports(tmp_path / "home", ()) == second


def test_a_folder_for_sockets_that_cannot_be_written_to_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_s3_module, "_SOCKETS", tmp_path / "nowhere")
    with (
        pytest.raises(KallaError, match="for its sockets, which this user cannot write to"),
        embedded_s3(tmp_path, tmp_path / "log"),
    ):
        pass


def test_a_killed_kalla_leaves_no_store_in_the_way(home: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from kalla_cli.embedded_s3 import embedded_s3\n"
        "home = Path(sys.argv[1])\n"
        "with embedded_s3(home, home / 'log') as server:\n"
        "    server.wait_until_ready()\n"
        "    print(server.child.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, home], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = int(done.stdout)
    assert wait_until(lambda: not psutil.pid_exists(left), 10)
    with embedded_s3(home, home / "log") as server:
        server.wait_until_ready()
        assert kept(server) == b"id\n1\n"


def test_a_killed_store_keeps_its_objects(home: Path) -> None:
    with embedded_s3(home, home / "log") as server:
        server.wait_until_ready()
        bucket_store(server.settings, BUCKETS[0]).put("a/last.csv", b"written last")
        server.child.process.kill()
        server.child.process.wait()
        with pytest.raises(KallaError, match=r"did not start \(signal SIGKILL") as caught:
            server.wait_until_ready()
    assert caught.value.code is Code.STORE_UNAVAILABLE
    with embedded_s3(home, home / "log") as server:
        server.wait_until_ready()
        assert bytes(bucket_store(server.settings, BUCKETS[0]).get("a/last.csv").bytes()) == b"written last"


def test_every_server_is_on_loopback_and_asks_for_credentials(home: Path, running: EmbeddedS3) -> None:
    assert (home / "s3.secret").stat().st_mode & 0o777 == 0o600
    assert (home / "s3").stat().st_mode & 0o777 == 0o700
    process = psutil.Process(running.child.process.pid)
    listening = {c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    paths = (f"/{BUCKETS[0]}/a/kept.csv", f"/buckets/{BUCKETS[0]}/a/kept.csv", "/1,01")
    with httpx.Client(timeout=5, trust_env=False, follow_redirects=True) as client:
        for address, path in product(listening, paths):
            try:
                answer = client.get(f"http://127.0.0.1:{address.port}{path}")
            except httpx.TransportError:
                continue  # a gRPC port
            assert answer.status_code in (401, 403, 404), answer.text
    wrong = running.settings.model_copy(update={"secret_access_key": SecretStr("wrong")})
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        bucket_store(wrong, BUCKETS[0]).list_with_delimiter()


def test_its_secrets_are_in_no_command_line_and_in_no_log(home: Path, running: EmbeddedS3) -> None:
    command = " ".join(psutil.Process(running.child.process.pid).cmdline())
    secret = (home / "s3.secret").read_text().strip()
    assert secret not in command
    assert secret not in running.child.log.read_text()


def test_its_own_parts_find_each_other(running: EmbeddedS3) -> None:
    log = running.child.log
    assert wait_until(lambda: "Worker registered successfully" in log.read_text(), 10)
    assert "connection refused" not in log.read_text()


def test_nothing_of_it_is_in_the_systems_temporary_folder_but_sockets(running: EmbeddedS3) -> None:
    assert list(Path("/tmp").glob(f"weed.*.{running.child.process.pid}")) == []


def test_a_bucket_that_is_not_there_is_not_made_by_writing(s3_bucket: S3Bucket) -> None:
    with pytest.raises(Exception, match="NoSuchBucket"):
        bucket_store(s3_bucket.settings, "misspelt").put("a", b"")
