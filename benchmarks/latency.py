"""`python -m benchmarks.latency`: a small run over REST, warm, and how soon `kalla up` is ready."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from kalla_cli.rest import RestClient

from benchmarks.generate import dataset
from benchmarks.rest import kalla_up, run_body, timed_run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    arguments = parser.parse_args()
    data = dataset(arguments.rows, arguments.format)
    home = Path(tempfile.mkdtemp(prefix="kalla-bench-"))
    home.chmod(0o711)
    try:
        for start in ("first start (makes the database)", "second start"):
            with kalla_up(home, (data.left.parent,)) as kalla, RestClient(kalla.gateway) as rest:
                print(f"kalla up, {start}: ready after {kalla.ready_seconds:.2f} s")
                if start == "second start":
                    body = run_body(data.left.resolve(), data.right.resolve())
                    times = [
                        _checked(rest, body, data.truth.matched)
                        for _ in range(arguments.warm_up + arguments.runs)
                    ]
                    warm = sorted(times[arguments.warm_up :])
                    print(
                        f"{arguments.rows:,} rows, {arguments.format}, POST to completed over REST, "
                        f"{arguments.runs} warm runs: median {statistics.median(warm) * 1000:.0f} ms, "
                        f"{warm[0] * 1000:.0f}-{warm[-1] * 1000:.0f} ms; the first {times[0] * 1000:.0f} ms"
                    )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _checked(rest: RestClient, body: dict[str, object], matched: int) -> float:
    seconds, run = timed_run(rest, body)
    if run["matched_count"] != matched:
        message = f"{run['matched_count']} rows matched, not {matched}"
        raise RuntimeError(message)
    return seconds


if __name__ == "__main__":
    main()
