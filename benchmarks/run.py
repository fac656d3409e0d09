"""`python -m benchmarks.run`: one table of ratios, all programs on the same work.

Every program runs in a fresh process, the repetitions interleaved (one of each, then again), and
the median counts. A program's seconds are those of its work, without imports; Kalla through REST
is timed from POST to completed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kalla_runner.children.environment import child_environment

from benchmarks.generate import DATA, Dataset, dataset
from benchmarks.meter import Measured, run_module, settle
from benchmarks.work import THREADS, judge

REST: Final = "kalla-rest"
ALL: Final = (
    "floor",
    "kalla-engine",
    "kalla-engine + witness",
    REST,
    "duckdb-full-join",
    "duckdb-three-queries",
    "polars",
    "datacompy",
)
REFERENCE: Final = "duckdb-full-join"
"""Whose cells the others' are compared with, once its counts agree with the generator's truth."""


@dataclass
class Line:
    """All runs of one program on one dataset."""

    name: str
    runs: list[Measured] = field(default_factory=list)
    verdict: str = ""

    @property
    def seconds(self) -> float | None:
        """Median, None if a run failed."""
        times = [run.seconds for run in self.runs]
        return None if None in times or not times else statistics.median(t for t in times if t is not None)


def main() -> None:
    arguments = _arguments()
    if arguments.quick:
        arguments.rows, arguments.repeat = [1_000_000], 1
    for rows in arguments.rows:
        for file_format in arguments.format:
            data = dataset(rows, file_format)
            lines = measure(data, arguments.only, arguments.repeat)
            print(
                f"\n{rows:,} x {data.truth.right_rows:,} rows, {file_format}, median of {arguments.repeat}\n"
            )
            print(table(lines), flush=True)


def measure(data: Dataset, names: Sequence[str], repeat: int) -> list[Line]:
    """Run the named programs `repeat` times in turn and judge what each wrote the first time."""
    lines = {name: Line(name) for name in names}
    order = sorted(names, key=lambda name: name != REFERENCE)
    reference: tuple[str, ...] | None = None
    for _ in range(repeat):
        for name in order:
            with _folder() as out:
                settle()
                run = run_module(*_command(name, data, out), child_environment(THREADS))
                lines[name].runs.append(run)
                if run.seconds is None:
                    lines[name].verdict = f"failed: {run.error}"
                elif not lines[name].verdict:
                    if name == "floor":
                        lines[name].verdict = "no join"
                        continue
                    judgement = judge(out, data.truth, reference)
                    lines[name].verdict = judgement.fault or "exact"
                    if name == REFERENCE and not judgement.fault:
                        reference = judgement.content
    return [lines[name] for name in names]


def _command(name: str, data: Dataset, out: Path) -> tuple[str, list[str]]:
    files = [str(data.left), str(data.right), str(out)]
    return ("benchmarks.rest", files) if name == REST else ("benchmarks.programs", [name, *files])


@contextmanager
def _folder() -> Generator[Path]:
    DATA.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="out-", dir=DATA))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a Markdown table."""
    times = {line.name: line.seconds for line in lines}
    best = [s for name in ("duckdb-full-join", "duckdb-three-queries") if (s := times.get(name)) is not None]
    floor = times.get("floor")
    heads = ["program", "seconds", "spread", "vs DuckDB's best", "vs floor", "CPU seconds"]
    rows = [f"| {' | '.join([*heads, 'peak RSS', 'private', 'answer'])} |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    for line in lines:
        seconds = line.seconds
        spread = "" if seconds is None else _spread(line)
        figures = [f"{seconds:.2f}" if seconds is not None else "-", spread]
        figures += [_ratio(seconds, min(best, default=None)), _ratio(seconds, floor), _cpu(line)]
        figures += [
            f"{max(getattr(r.memory, kind) for r in line.runs) / 2**20:,.0f} MB"
            for kind in ("resident", "private")
        ]
        rows.append(f"| {line.name} | {' | '.join(figures)} | {line.verdict} |")
    return "\n".join(rows)


def _spread(line: Line) -> str:
    times = [run.seconds for run in line.runs if run.seconds is not None]
    return f"{min(times):.2f}-{max(times):.2f}"


def _cpu(line: Line) -> str:
    used = [run.cpu_seconds for run in line.runs if run.cpu_seconds is not None]
    return f"{statistics.median(used):.1f}" if used else "-"


def _ratio(seconds: float | None, base: float | None) -> str:
    return "-" if seconds is None or not base else f"{seconds / base:.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--format", choices=["csv", "parquet"], nargs="+", default=["csv", "parquet"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=ALL, nargs="+", default=list(ALL))
    parser.add_argument("--quick", action="store_true", help="1M rows, one repetition")
    return parser.parse_args()


if __name__ == "__main__":
    main()
