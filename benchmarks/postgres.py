"""`python -m benchmarks.postgres`: a table staged by Kalla's connector beside a bare ADBC fetch.

The bare fetch is `fetch_arrow_table()` of SELECT *: it leaves NUMERIC as text and writes nothing.
Both run in turn in fresh processes against the same server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import adbc_driver_postgresql.dbapi as adbc
import psycopg
from kalla_cli.embedded_postgres import embedded_postgres
from kalla_cli.home import locked_home
from kalla_common.domain import SourceSpec
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source

from benchmarks.generate import Dataset, dataset

TABLE: Final = "invoices"
_CREATE: Final = f"""CREATE TABLE {TABLE} (invoice_id text, customer text, reference text,
    amount numeric(12, 2), currency text, invoice_date date)"""


def bare_fetch(url: str) -> int:
    """Fetch the whole table by ADBC into memory; returns its rows."""
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {TABLE}")
        return cursor.fetch_arrow_table().num_rows


def staged(url: str) -> int:
    """Stage the table by Kalla's connector: pinned, exactly typed, on disk; returns its rows."""
    with tempfile.TemporaryDirectory() as folder, ReadSession((Path(folder),)) as session:
        source = open_source(SourceSpec(TABLE, f"{url}?table={TABLE}"), session)
        return source.stage(Path(folder) / "staged", lambda _: None).row_count


PROGRAMS: Final = {"bare ADBC fetch_arrow_table": bare_fetch, "Kalla's connector, staged": staged}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        _one(arguments.one[0], arguments.one[1], arguments.rows)
        return
    home = Path(tempfile.mkdtemp(prefix="kalla-bench-"))
    home.chmod(0o711)
    with locked_home(home), embedded_postgres(home, home / "postgres.log") as server:
        url = server.url()
        _fill(url, dataset(arguments.rows, "csv"))
        times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(arguments.repeat):
            for name in PROGRAMS:
                times[name].append(_fresh(name, url, arguments.rows))
    base = statistics.median(times[next(iter(PROGRAMS))])
    print(f"{arguments.rows:,} rows from PostgreSQL, median of {arguments.repeat}\n")
    print("| program | seconds | spread | vs bare |\n|---|---:|---:|---:|")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.2f} | {min(seconds):.2f}-{max(seconds):.2f} | {middle / base:.2f} |")


def _fill(url: str, data: Dataset) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_CREATE)
        with connection.cursor().copy(f"COPY {TABLE} FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(data.left.read_bytes())
        connection.execute(f"VACUUM (ANALYZE, FREEZE) {TABLE}")


def _fresh(name: str, url: str, rows: int) -> float:
    command = [sys.executable, "-m", "benchmarks.postgres", "--rows", str(rows), "--one", name, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _one(name: str, url: str, rows: int) -> None:
    begin = time.perf_counter()
    fetched = PROGRAMS[name](url)
    seconds = time.perf_counter() - begin
    assert fetched == rows, fetched
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
