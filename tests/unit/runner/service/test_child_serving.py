"""A match child between its tasks, without a process of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from kalla_common.domain import JobProgress, JobSpec
from kalla_common.s3 import S3Settings
from kalla_runner.children import child
from kalla_runner.children.environment import child_environment
from kalla_runner.children.protocol import HEADER, Done, Ready, StageTask, Task, pack, unpack

TASK = StageTask(JobSpec("run", "SELECT 1", (), "/out", {}), Path("/staged"), (), 1, S3Settings())


def receive(channel: socket.socket) -> object:
    header = channel.recv(HEADER.size, socket.MSG_WAITALL)
    return unpack(channel.recv(HEADER.unpack(header)[0], socket.MSG_WAITALL))


def name_of(task: Task, _report: Callable[[JobProgress], None]) -> str:
    return task.spec.run_id


def test_a_child_without_work_gives_memory_back_and_then_takes_the_next_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "IDLE_SECONDS", 0.01)
    ours, theirs = socket.socketpair()
    idled = threading.Event()
    with ours, theirs:
        serving = threading.Thread(target=child.serve, args=(theirs, name_of, idled.set))
        serving.start()
        assert isinstance(receive(ours), Ready)
        assert idled.wait(30)
        ours.sendall(pack(TASK))
        assert receive(ours) == Done("run")
        ours.shutdown(socket.SHUT_WR)
        serving.join(30)
        assert not serving.is_alive()


def test_what_the_operator_says_of_allocators_wins_over_the_settings_of_kalla(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    environment = child_environment(3)
    assert environment["ARROW_DEFAULT_MEMORY_POOL"] == "mimalloc"
    assert environment["MALLOC_ARENA_MAX"] == "2"
    assert environment["TOKIO_WORKER_THREADS"] == "3"
