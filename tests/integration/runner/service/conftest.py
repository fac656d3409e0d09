"""Fixtures of the runner's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runner.service.harness import Receiver, RunnerProcess


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def runner(database_url: str, tmp_path: Path) -> Iterator[RunnerProcess]:
    """A runner that is not started yet."""
    process = RunnerProcess(database_url, tmp_path)
    try:
        yield process
    finally:
        process.destroy()
