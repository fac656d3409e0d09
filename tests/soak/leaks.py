"""What many small runs leave behind: memory, file descriptors, files."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.soak.cases import Place, small_case
from tests.soak.stack import MATCHER, SERVICES, Stack
from tests.soak.work import wait

WARM_UP = 60
MOST_MEGABYTES = {"runner": 40, "gateway": 40, "chat": 20, "matcher": 150}
"""Growth that is no leak: caches that fill, and how the allocators keep memory."""
MOST_DESCRIPTORS = 12


@dataclass(frozen=True)
class Figures:
    """Megabytes and file descriptors by process, files below the home by folder."""

    memory: dict[str, float]
    descriptors: dict[str, int]
    files: Counter[str]

    @classmethod
    def of(cls, stack: Stack) -> Figures:
        memory: dict[str, float] = {}
        descriptors: dict[str, int] = {}
        for name in SERVICES:
            process = stack.process(name)
            assert process is not None, f"{name} does not run"
            memory[name] = process.memory_info().rss / 2**20
            descriptors[name] = process.num_fds()
        children = stack.children(MATCHER)
        memory["matcher"] = max((child.memory_info().rss / 2**20 for child in children), default=0.0)
        descriptors["matcher"] = max((child.num_fds() for child in children), default=0)
        return cls(memory, descriptors, files_below(stack.home))


def files_below(home: Path) -> Counter[str]:
    """Files by folder; what servers keep for themselves, and outputs, which are kept, are left out."""
    found: Counter[str] = Counter()
    for path in home.rglob("*"):
        part = str(path.relative_to(home)).split("/")
        if part[0] in ("postgres", "s3", "logs", "data"):
            continue
        kept = part[0] == "runs" and len(part) > 1 and not part[1].startswith(".")
        with suppress(OSError):
            if not kept:
                found[part[0]] += 1
    return found


def small_runs(stack: Stack, place: Place, runs: int, seconds: float) -> tuple[int, list[str]]:
    """Do up to `runs` small runs, two at a time, within `seconds`; how many, and what was wrong."""
    end = time.monotonic() + seconds
    wrong: list[str] = []
    small_case(place, "first")

    def one(number: int) -> bool:
        if time.monotonic() > end:
            return False
        case = small_case(place, f"small-{number}")
        run_id = str(http.post("/api/runs", json={"recipe": case.recipe}).json()["run_id"])
        run = wait(http, run_id, 60)
        counts = run and (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"])
        if counts not in case.right:
            wrong.append(f"the small run {run_id} ended as {run}")
        return True

    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http, ThreadPoolExecutor(2) as pool:
        done = sum(pool.map(one, range(runs)))
    return done, wrong


def leaks(before: Figures, after: Figures) -> list[str]:
    """What grew, in sentences."""
    found = [
        f"{name} grew from {before.memory[name]:.0f} to {now:.0f} MB"
        for name, now in after.memory.items()
        if now - before.memory[name] > MOST_MEGABYTES[name]
    ]
    found += [
        f"{name} holds {now} file descriptors instead of {before.descriptors[name]}"
        for name, now in after.descriptors.items()
        if now - before.descriptors[name] > MOST_DESCRIPTORS
    ]
    found += [
        f"{folder} in the home has {now} files instead of {before.files[folder]}"
        for folder, now in after.files.items()
        if now > before.files[folder]
    ]
    return found


def told(figures: Figures) -> str:
    """Figures for people."""
    rows = [
        f"{name} {figures.memory[name]:.0f} MB, {figures.descriptors[name]} descriptors"
        for name in figures.memory
    ]
    return "; ".join(rows)
