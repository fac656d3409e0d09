"""Installs packages with pip and says every few seconds how far it is; takes the arguments of `pip install`.

make runs it before Kalla's packages are there, so it needs nothing but Python. It prints whole lines, in
a terminal as in a log, and figures that it has counted; pip's own lines are many and stop while it installs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final

_PAUSE: Final = 5.0
_DOWNLOAD: Final = re.compile(
    r"\s*(?:Downloading|Using cached) (\S+?\.(?:whl|tar\.gz|zip))(?: \(([\d.]+) ([kMG]?B)\))?$"
)
_UNITS: Final = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
_COMPLAINT: Final = re.compile(r"\s*(?:ERROR|WARNING|error)\b")
_LONGEST: Final = 300


@dataclass
class Progress:
    """What pip's lines have said so far.

    Attributes:
        found: packages looked at.
        ready: packages downloaded, or found on this machine.
        megabytes: size of those.
        to_install: how many it is about to install; 0 until it knows.
    """

    found: int = 0
    ready: int = 0
    megabytes: float = 0.0
    to_install: int = 0

    def take(self, line: str) -> None:
        """Count what a line of pip's output says."""
        if line.startswith(("Collecting ", "Obtaining ")):
            self.found += 1
        elif download := _DOWNLOAD.match(line):
            self.ready += 1
            if download[2]:
                self.megabytes += float(download[2]) * _UNITS[download[3]]
        elif line.startswith("Installing collected packages: "):
            self.to_install = line.count(",") + 1

    def describe(self, in_place: int) -> str:
        """The state in a few words; `in_place` packages were installed since the start."""
        if self.to_install:
            return f"installing {self.to_install} packages, {min(in_place, self.to_install)} are in place"
        words = f"found {self.found} package{'' if self.found == 1 else 's'}"
        return words + (f", downloaded {self.ready} ({self.megabytes:.0f} MB)" if self.ready else "")


def main(arguments: list[str]) -> int:
    """Run pip with `arguments`; returns its exit code."""
    begin = time.monotonic()
    # Settings of the user's own must not silence the lines that are counted.
    environment = {**os.environ, "PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    pip = subprocess.Popen(
        [*command, "--disable-pip-version-check", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )

    def stop(number: int, _frame: FrameType | None) -> None:
        pip.send_signal(number)

    signal.signal(signal.SIGTERM, stop)
    # In a terminal Ctrl-C reaches pip by itself; its end is waited for.
    signal.signal(signal.SIGINT, _ignore)
    before, progress = _installed(), Progress()
    reader = threading.Thread(target=_read, args=(pip.stdout, progress), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(_PAUSE)
        if reader.is_alive():
            _say(begin, progress.describe(_installed() - before))
    code = pip.wait()
    if code == 0:
        _say(begin, f"done, {_installed()} packages are installed")
    return code if code >= 0 else 128 - code


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass


def _say(begin: float, words: str) -> None:
    print(f"{time.monotonic() - begin:4.0f} s  {words}", flush=True)


def _installed() -> int:
    """How many packages the environment of this Python has."""
    return sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def _read(output: IO[str] | None, progress: Progress) -> None:
    """Take pip's lines in, and print those that say that something is wrong."""
    for line in output or ():
        progress.take(line.rstrip())
        if _COMPLAINT.match(line):
            print(line.strip()[:_LONGEST], flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
