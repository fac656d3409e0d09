"""What `kalla --install-completion` installs completes commands and options in the shell itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_BIN = Path(sys.executable).parent


def shell(home: Path, *command: str, **environment: str) -> str:
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={**os.environ, "HOME": str(home), "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("line", "completed"),
    [("kalla sta", "status"), ("kalla up --run", "--runner-port"), ("kalla --ver", "--version")],
)
def test_bash_completes_with_the_installed_script(tmp_path: Path, line: str, completed: str) -> None:
    # A command of its own after it: bash would put kalla in its own place, and be no shell to find.
    shell(tmp_path, "bash", "-c", "kalla --install-completion; true")
    script = (
        f"source ~/.bashrc; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '$(complete -p kalla | sed "s/.*-F \\([^ ]*\\) .*/\\1/") kalla; echo "${COMPREPLY[@]}"'
    )
    assert shell(tmp_path, "bash", "-c", script) == f"{completed}\n"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("zsh", """_arguments '*: :(("status":"Say whether Kalla runs on a home, and where."))\'"""),
        ("fish", "status\tSay whether Kalla runs on a home, and where."),
    ],
)
def test_the_scripts_of_other_shells_are_answered(tmp_path: Path, name: str, answer: str) -> None:
    variables = {"_KALLA_COMPLETE": f"complete_{name}", "_TYPER_COMPLETE_ARGS": "kalla sta"}
    found = shell(tmp_path, "kalla", **variables, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert found.strip() == answer


def test_the_line_of_the_shell_in_use_is_shown(tmp_path: Path) -> None:
    script = shell(tmp_path, "bash", "-c", "kalla --show-completion; true")
    assert "complete -o default -F _kalla_completion kalla" in script
