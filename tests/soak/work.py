"""Clients that start runs, wait for their ends and judge them, whatever happens to Kalla meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import obstore.exceptions
import psycopg
import pyarrow.parquet as pq

from tests.soak.cases import Case, Place, random_case

ENDED = ("completed", "failed", "cancelled")
RUN_SECONDS = 150.0
SETTLE_SECONDS = 120.0


@dataclass
class Verdicts:
    """What became of the runs. Thread-safe.

    Attributes:
        ends: how many ended how: "completed" or a code.
        wrong: what must not be, in sentences.
    """

    ends: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    cases: dict[str, Case] = field(default_factory=dict[str, Case])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, case: Case) -> None:
        with self._lock:
            self.cases[case.recipe_id] = case

    def judge(self, case: Case, run: dict[str, Any]) -> None:
        """A completed run must have the right counts and outputs of as many rows; a failed one a reason."""
        completed = run["status"] == "completed"
        problem = _problem_of_completed(case, run) if completed else _problem_of_failed(case, run)
        with self._lock:
            self.ends["completed" if completed else str(run["error_code"])] += 1
            if problem:
                self.wrong.append(f"{case.recipe_id} (run {run['run_id']}): {problem}")

    def complain(self, sentence: str) -> None:
        with self._lock:
            self.wrong.append(sentence)

    @property
    def done(self) -> int:
        with self._lock:
            return sum(self.ends.values())


def _problem_of_completed(case: Case, run: dict[str, Any]) -> str:
    counts = (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"])
    if counts not in case.right:
        return f"completed with {counts}, right would be {sorted(case.right)}"
    outputs = (run["output_matched"], run["output_unmatched_left"], run["output_unmatched_right"])
    for path, rows in zip(outputs, counts, strict=True):
        if not Path(path).exists():
            return f"completed, but {path} is not there"
        found = pq.read_metadata(path).num_rows
        if found != rows:
            return f"{path} has {found} rows instead of {rows}"
    return ""


def _problem_of_failed(case: Case, run: dict[str, Any]) -> str:
    code = run["error_code"]
    if code == "RUNNER_UNAVAILABLE":
        # Once it was accepted, nothing but processes killed three times may keep a run from its end.
        if not case.accepted or "ended from outside" in run["error_message"]:
            return ""
    elif code in case.failures:
        return ""
    return f"{run['status']} with {run['error_code']}: {run['error_message']}"


class Client(threading.Thread):
    """Does one run after the other until told to stop."""

    def __init__(self, url: str, place: Place, seed: int, verdicts: Verdicts) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._place, self._verdicts = place, verdicts
        self._rng = random.Random(seed)  # noqa: S311 - what is random must be so again
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._one()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._http.close()

    def _one(self) -> None:
        try:
            case = random_case(self._rng, self._place)
        except (psycopg.Error, obstore.exceptions.BaseError, OSError):
            # The server of a source is away; the next case may not need it.
            time.sleep(0.2)
            return
        self._verdicts.begin(case)
        run_id = self._start(case)
        if case.change is not None:
            time.sleep(self._rng.random() * 0.1)
            with suppress(psycopg.Error, FileNotFoundError):
                case.change()
        if run_id is not None:
            wait(self._http, run_id, RUN_SECONDS)

    def _start(self, case: Case) -> str | None:
        """The run's id; None if nobody knows whether there is one, or it was refused."""
        try:
            answer = self._http.post("/api/runs", json={"recipe": case.recipe})
        except httpx.TransportError:
            return None
        return answer.json().get("run_id") if answer.status_code == 200 else None


def wait(http: httpx.Client, run_id: str, seconds: float) -> dict[str, Any] | None:
    """The run when it has ended, None if it has not in time."""
    end = time.monotonic() + seconds
    pause = 0.02
    while time.monotonic() < end:
        with suppress(httpx.TransportError, ValueError):
            answer = http.get(f"/api/runs/{run_id}")
            if answer.status_code == 200 and answer.json()["status"] in ENDED:
                found: dict[str, Any] = answer.json()
                return found
        time.sleep(pause)
        pause = min(0.2, pause * 1.5)
    return None


def settle(url: str, verdicts: Verdicts) -> None:
    """Wait until every run that the gateway knows has ended, and judge it: none lost, doubled or wrong."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            runs: list[dict[str, Any]] = http.get("/api/runs").json()
            open_runs = [run for run in runs if run["status"] not in ENDED]
            if not open_runs or time.monotonic() > end:
                break
            time.sleep(0.2)
        for run in open_runs:
            verdicts.complain(f"the run {run['run_id']} is still {run['status']}: lost")
        mine = [run for run in runs if run["recipe_id"] in verdicts.cases and run["status"] in ENDED]
        for recipe_id, count in Counter(run["recipe_id"] for run in mine).items():
            if count > 1:
                verdicts.complain(f"{recipe_id} was started once and ran {count} times")
        for run in mine:
            verdicts.judge(verdicts.cases[run["recipe_id"]], http.get(f"/api/runs/{run['run_id']}").json())
