"""`kalla chat`, as a person and as a script use it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.chatting import MATCHED, sources
from tests.e2e.support import Kalla


def command(kalla: Kalla, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "kalla_cli", "chat", "--home", str(kalla.home), *arguments]


def piped(kalla: Kalla, *arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(
        command(kalla, *arguments),
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


@pytest.fixture
def files(data: Path) -> tuple[str, str]:
    sources(data / "terminal bills.csv", data / "terminal receipts.csv")
    return str(data / "terminal bills.csv"), str(data / "terminal receipts.csv")


def test_a_script_gives_its_lines_and_reads_plain_text(kalla: Kalla, files: tuple[str, str]) -> None:
    lines = "within 2 cents\n1\n3\n/session\n1\n"
    done = piped(kalla, "--upload", files[0], "-u", files[1], lines=lines)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "Do they belong together?" in done.stdout
    assert "invoice_no" in done.stdout
    assert f"{MATCHED} pairs match" in done.stdout
    assert "matched.parquet" in done.stdout
    (session_id,) = re.findall(r"^[0-9a-f-]{36}$", done.stdout, re.MULTILINE)
    assert kalla.get(f"/api/chat/sessions/{session_id}").body["status"] == "completed"

    resumed = piped(kalla, "--session", session_id, "-m", "where are we?")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.index("The run is completed") < resumed.stdout.rindex("is completed. To go on")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--session", "nonsense", "-m", "hello"], "There is no such chat session"),
        (["-m", "/dance"], "There is no command /dance"),
        (["-u", "/nowhere/at-all.csv"], "/nowhere/at-all.csv cannot be read"),
        (["-u", "/etc/hostname"], ".csv"),
        (["--url", "http://127.0.0.1:1", "-m", "hello"], "does not answer"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_an_exit_code(
    kalla: Kalla, arguments: list[str], sentence: str
) -> None:
    done = piped(kalla, *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_kalla_it_says_how_to_start_one(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "kalla_cli", "chat", "--home", str(tmp_path / "none")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "start it with kalla up" in done.stderr


def test_in_a_terminal_buttons_have_numbers_and_an_error_does_not_end_the_talk(
    kalla: Kalla, files: tuple[str, str]
) -> None:
    """A real pseudo terminal: what is typed is answered, line by line."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command(kalla),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    try:
        until(leader, "/upload FILE.csv")
        say(leader, "/dance")
        until(leader, "There is no command /dance")
        say(leader, f"/upload {files[0]}")
        until(leader, "Which source is the right one?")
        say(leader, f"/upload {files[1]}")
        until(leader, "Shall I work with these rows?")
        until(leader, "[2] No, change it")
        say(leader, "99")
        until(leader, "There is no button 99")
        say(leader, "1")
        until(leader, "Skip the examples")
        say(leader, "/quit")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def say(leader: int, line: str) -> None:
    os.write(leader, f"{line}\n".encode())


def until(leader: int, wanted: str, seconds: float = 60.0) -> None:
    """Read what the terminal shows until it shows `wanted`, styles apart."""
    shown, end = "", time.monotonic() + seconds
    while wanted not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
        assert time.monotonic() < end, shown[-2000:]
        if select.select([leader], [], [], 0.5)[0]:
            shown += os.read(leader, 65536).decode(errors="replace")
