"""What the operating system says about the memory of processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import psutil

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_CGROUP: Final = Path("/sys/fs/cgroup")


def private_bytes(pid: int) -> int:
    """Memory that is a process's own: what it has mapped from files does not count. 0 if it is gone."""
    try:
        # Cheap enough to be asked many times a second.
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return _portable(pid)
    return (int(resident) - int(shared)) * _PAGE


def _portable(pid: int) -> int:
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return info.rss - getattr(info, "shared", 0)


def oom_kills() -> int | None:
    """Processes that the kernel has killed for want of memory, in this control group if there is one.

    None where the kernel does not say.
    """
    return _counted(_CGROUP / _own_cgroup() / "memory.events") or _counted(Path("/proc/vmstat"))


def _own_cgroup() -> str:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")


def _counted(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
