"""The services' logs on the terminal, as they grow."""

from __future__ import annotations

from os import SEEK_END
from pathlib import Path
from typing import TextIO


class LogFollower:
    """Prints what is appended to log files, each line under the log's name.

    Args:
        files: the logs; what they hold already is not shown.
        out: where the lines go.
    """

    def __init__(self, files: tuple[Path, ...], out: TextIO) -> None:
        self._places = {file: file.stat().st_size if file.exists() else 0 for file in files}
        self._out = out

    def show_new(self) -> None:
        """Print all whole lines that came since the last time."""
        for file, seen in self._places.items():
            if not file.exists():
                continue
            with file.open("rb") as log:
                # A shorter file was set aside when it grew large, and begun anew.
                place = seen if log.seek(0, SEEK_END) >= seen else 0
                log.seek(place)
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._places[file] = place + len(whole)
            for line in whole.decode("utf-8", "replace").splitlines():
                print(f"{file.stem:>9} | {line}", file=self._out, flush=True)
