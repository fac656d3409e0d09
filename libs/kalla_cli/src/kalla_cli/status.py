"""`kalla status`: what runs on a home."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import httpx

from kalla_cli.home import Home, find_home
from kalla_cli.postgres_data import left_data
from kalla_cli.serving import serves


def show_status(text: Path) -> bool:
    """Print what runs on the home, and what homes that are gone left behind; whether all of it is ready."""
    home = find_home(text)
    ready = _show_running(home)
    for left in left_data(home.path):
        was_for = f"the home {left.home}, which is not there" if left.home else "a home that was not recorded"
        print(f"Left behind: {left.path} is the database of {was_for}.")
        files = " ".join(quote(str(file)) for file in left.files)
        print(f"  If no other home links to it:  rm -r {files}")
    return ready


def _show_running(home: Home) -> bool:
    if not home.in_use():
        print(f"Kalla does not run on {home.path}.")
        return False
    state = home.read_state()
    if state is None:
        print(f"Kalla is starting on {home.path}.")
        return False
    gateway, runner = _word(state.gateway), _word(state.runner)
    chat = "ready" if serves(state.chat_grpc) else "does not answer"
    print(f"Kalla runs on {home.path} (process {state.pid}).")
    print(f"  REST API   {state.gateway}   {gateway}")
    print(f"  Runner     {state.runner}   {runner}   gRPC {state.runner_grpc}   Flight {state.runner_flight}")
    print(f"  Chat       gRPC {state.chat_grpc}   {chat}")
    if state.database:
        print(f"  Database   embedded PostgreSQL on {state.database}")
    if state.s3:
        print(f"  S3 store   embedded on {state.s3}")
    return gateway == runner == chat == "ready"


def _word(url: str) -> str:
    try:
        return "ready" if httpx.get(f"{url}/ready", timeout=5.0, trust_env=False).is_success else "not ready"
    except httpx.TransportError:
        return "does not answer"
