"""Runs a program in a fresh process and measures its whole process tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

_SAMPLE_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Memory:
    """Peaks in bytes, summed over a process tree.

    `resident` counts pages that processes share once for each of them, and mapped files;
    `private` is what belongs to no file and to no other process.
    """

    resident: int
    private: int


@dataclass(frozen=True)
class Measured:
    """One run of a program: what it says of its work, None if it failed, and its memory.

    `cpu_seconds` of all its threads and processes suffer less than `seconds` from what else runs.
    """

    seconds: float | None
    cpu_seconds: float | None
    memory: Memory
    error: str = ""


class MemoryMeter:
    """Samples the memory of a process and all its descendants from a thread until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._stop = threading.Event()
        self._resident = self._private = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> Memory:
        """End the sampling."""
        self._stop.set()
        self._thread.join()
        return Memory(self._resident, self._private)

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            resident = private = 0
            for process in self._tree():
                try:
                    info = process.memory_info()
                except psutil.Error:
                    continue
                resident += info.rss
                private += info.rss - getattr(info, "shared", 0)
            self._resident, self._private = max(self._resident, resident), max(self._private, private)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []


def run_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Measured:
    """Run `python -m module arguments`, which prints {"seconds": ..., "cpu_seconds": ...} last."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        meter = MemoryMeter(process.pid)
        out, err = process.communicate()
        memory = meter.stop()
    if process.returncode != 0:
        lines = err.strip().splitlines() or [f"exit {process.returncode}"]
        return Measured(None, None, memory, lines[-1])
    said: dict[str, float] = json.loads(out.splitlines()[-1])
    return Measured(said["seconds"], said["cpu_seconds"], memory)


def settle() -> None:
    """Write out what earlier programs left dirty, so that the next one does not pay for it."""
    os.sync()
    time.sleep(0.2)
