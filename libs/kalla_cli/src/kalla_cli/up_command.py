"""What `kalla up` says while it runs."""

from __future__ import annotations

import sys
import time
from typing import Final

from kalla_cli.home import find_home
from kalla_cli.logs import LogFollower
from kalla_cli.stopping import StopRequest
from kalla_cli.up import GATEWAY_PORT, Stack, UpOptions, run_up

_LOGS: Final = ("s3.log", "postgres.log", "runner.log", "gateway.log", "chat.log")


def run(options: UpOptions, stop_request: StopRequest, *, verbose: bool) -> None:
    """Run Kalla and print where it is; raises as `run_up`."""
    begin = time.monotonic()
    logs = find_home(options.home).logs
    follower = LogFollower(tuple(logs / name for name in _LOGS), sys.stdout) if verbose else None

    def started(stack: Stack) -> None:
        _show(options, stack, time.monotonic() - begin)

    def tick() -> None:
        if follower is not None:
            follower.show_new()

    print("Starting Kalla ...", flush=True)
    try:
        run_up(options, stop_request, started, tick)
    finally:
        tick()
        if stop_request.received is not None:
            print("Kalla has stopped.", flush=True)


def _show(options: UpOptions, stack: Stack, seconds: float) -> None:
    places = stack.addresses
    if options.port is None and places.gateway_ports[0] != GATEWAY_PORT:
        print(f"Port {GATEWAY_PORT} is in use on this machine, so the REST API has another this time.")
    print(f"Kalla is ready after {seconds:.1f} s.")
    print(f"  REST API   {places.gateway}   (try {places.gateway}/docs)")
    print(f"  Runner     {places.runner}   gRPC {places.runner_grpc}   Flight {places.runner_flight}")
    print(f"  Chat       gRPC {places.chat_grpc}")
    if places.database:
        print(f"  Database   embedded PostgreSQL on {places.database}")
    else:
        print("  Database   your own")
    if places.s3:
        print(f"  S3 store   embedded on {places.s3}")
    else:
        uploads = (
            f"uploads go to {stack.upload_bucket}"
            if stack.upload_bucket
            else "no uploads: no --upload-bucket"
        )
        print(f"  S3 store   your own, {stack.store.endpoint}   ({uploads})")
    print(f"  Home       {stack.home.path}   (logs in {stack.home.logs})")
    print("Ctrl-C stops it.", flush=True)
