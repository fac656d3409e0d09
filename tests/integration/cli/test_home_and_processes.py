"""A home is used by one Kalla at a time; a stopped process takes all it started with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import psutil
import pytest
from kalla_cli.home import Home, RunningState, find_home, locked_home
from kalla_cli.logs import LogFollower
from kalla_cli.ports import choose_ports
from kalla_cli.processes import start, wait_until
from kalla_common.errors import Code, KallaError


def state_of(processes: dict[str, tuple[int, float]], pid: int = 1) -> RunningState:
    return RunningState(
        ready=True,
        gateway="http://127.0.0.1:1",
        runner="",
        catalog_grpc="",
        chat_grpc="",
        runner_grpc="",
        runner_flight="",
        database="",
        s3="",
        pid=pid,
        processes=processes,
    )


def test_a_second_kalla_on_a_home_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with locked_home(tmp_path) as home:
        home.write_state(state_of({}, pid=77))
        with (
            pytest.raises(
                KallaError, match=r"already runs on .* \(process 77, http://127.0.0.1:1\)"
            ) as caught,
            locked_home(tmp_path),
        ):
            pass
        assert caught.value.code is Code.ALREADY_EXISTS
        assert home.in_use()
    assert not find_home(tmp_path).in_use()
    assert not home.state_file.exists()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(KallaError, match="cannot be written") as caught,
        locked_home(tmp_path / "file" / "home"),
    ):
        pass
    assert caught.value.code is Code.OUTPUT_NOT_WRITABLE


def test_services_that_a_killed_kalla_left_are_ended_by_the_next_one(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        started = psutil.Process(left.pid).create_time()
        # The stranger has a number that was a service's once: its time of start tells it apart.
        Home(tmp_path).write_state(state_of({"a": (left.pid, started), "b": (stranger.pid, started - 1000)}))
        with locked_home(tmp_path):
            assert left.poll() is not None
            assert stranger.poll() is None
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


def test_an_unreadable_state_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "kalla.json").write_text("{ half")
    with locked_home(tmp_path) as home:
        assert home.read_state() is None


def test_stopping_a_child_ends_what_it_started_and_what_ignores_the_signal(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    log = tmp_path / "log"
    child = start("stubborn", [sys.executable, "-c", code], log)
    try:
        assert wait_until(lambda: log.read_text().strip() != "", 10)
        grandchild = int(log.read_text())
        begin = time.monotonic()
    finally:
        child.stop(0.2)
    assert time.monotonic() - begin < 5
    assert child.how_it_ended() == "signal SIGKILL"
    assert wait_until(lambda: not _runs(grandchild), 5)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_port_in_use_is_one_sentence_that_names_the_option() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        with pytest.raises(KallaError, match=rf"Port {port} is in use .* --port") as caught:
            choose_ports(port, 1, "--port")
    assert caught.value.code is Code.INVALID_REQUEST


def test_zero_takes_distinct_free_ports() -> None:
    assert len(set(choose_ports(0, 3, "--port"))) == 3


def test_ports_beyond_the_last_one_are_refused() -> None:
    with pytest.raises(KallaError, match="leaves no room"):
        choose_ports(65535, 2, "--port")


def test_new_whole_lines_of_a_log_are_shown_once(tmp_path: Path) -> None:
    log = tmp_path / "runner.log"
    log.write_text("old\n")
    out = StringIO()
    follower = LogFollower((log, tmp_path / "missing.log"), out)
    with log.open("a") as file:
        file.write("new\nhalf")
    follower.show_new()
    assert out.getvalue() == "   runner | new\n"
    with log.open("a") as file:
        file.write(" whole\n")
    follower.show_new()
    follower.show_new()
    assert out.getvalue() == "   runner | new\n   runner | half whole\n"


def test_a_log_that_was_begun_anew_is_followed_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "runner.log"
    log.write_text("a long line of the last time\n")
    out = StringIO()
    follower = LogFollower((log,), out)
    log.write_text("new\n")
    follower.show_new()
    assert out.getvalue() == "   runner | new\n"
