"""`python -m benchmarks.s3`: a CSV object staged by Kalla's connector beside DataFusion's own scan of it.

DataFusion is told the types and only reads: it decides nothing, and writes nothing. Kalla finds the
types over the whole object, pins it by its ETag and leaves typed rows on the disk. "download"
is the bare way of the bytes to the disk. All run in turn in fresh processes against the same server,
the S3 store of `kalla up` on this machine, which takes its share of the processors.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import datafusion
import duckdb
import obstore
import psutil
import pyarrow as pa
from datafusion.object_store import AmazonS3
from kalla_cli.buckets import bucket_store
from kalla_cli.embedded_s3 import embedded_s3
from kalla_cli.home import locked_home
from kalla_common.domain import SourceSpec
from kalla_common.s3 import S3Settings, take_s3_settings
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.s3 import S3Connector
from kalla_runner.s3.address import S3Address
from kalla_runner.s3.objects import S3Reading

from benchmarks.generate import dataset
from benchmarks.work import THREADS

BUCKET: Final = "bench"
KEY: Final = "invoices.csv"
URI: Final = f"s3://{BUCKET}/{KEY}"
SCHEMA: Final = pa.schema(
    [
        ("invoice_id", pa.string()),
        ("customer", pa.string()),
        ("reference", pa.string()),
        ("amount", pa.decimal128(12, 2)),
        ("currency", pa.string()),
        ("invoice_date", pa.date32()),
    ]
)


def datafusion_scan(settings: S3Settings) -> int:
    """Read every column of every row, with declared types; returns the rows."""
    key_id, secret, _ = settings.credentials()
    store = AmazonS3(
        bucket_name=BUCKET,
        region=settings.signing_region,
        access_key_id=key_id,
        secret_access_key=secret,
        endpoint=settings.endpoint,
        allow_http=settings.allow_http,
    )
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(THREADS))
    context.register_object_store("s3://", store, BUCKET)
    context.register_csv("invoices", URI, schema=SCHEMA)
    streams = context.sql("SELECT * FROM invoices").execute_stream_partitioned()
    return sum(batch.to_pyarrow().num_rows for stream in streams for batch in stream)


def kalla_staged(settings: S3Settings) -> int:
    """Stage the object: pinned, exactly typed, on disk; returns its rows."""
    with tempfile.TemporaryDirectory() as folder, ReadSession((), THREADS, s3=settings) as session:
        source = S3Connector().open(SourceSpec("invoices", URI), session)
        return source.stage(Path(folder) / "staged", lambda _: None).row_count


def download(settings: S3Settings) -> int:
    """Bring the object to the disk in ranges, as staging does, and nothing more; returns 0."""
    with tempfile.TemporaryDirectory() as folder:
        reading = S3Reading(settings, Path(folder))
        reading.pin(S3Address(BUCKET, KEY)).to_disk(Path(folder) / KEY, lambda _: None)
        reading.close()
    return 0


def duckdb_httpfs(settings: S3Settings) -> int:
    """Read the object into a table by DuckDB with declared types; returns the rows."""
    key_id, secret, _ = settings.credentials()
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute("LOAD httpfs")
        scheme, _, host = settings.endpoint.partition("://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key_id}', SECRET '{secret}', REGION "
            f"'{settings.signing_region}', ENDPOINT '{host}', URL_STYLE 'path', "
            f"USE_SSL {str(scheme == 'https').lower()})"
        )
        types = "{'amount': 'DECIMAL(12,2)', 'invoice_date': 'DATE'}"
        connection.execute(f"CREATE TABLE t AS FROM read_csv('{URI}', types = {types})")
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    return int(row[0]) if row else -1


PROGRAMS: Final[dict[str, Callable[[S3Settings], int]]] = {
    "DataFusion, scan": datafusion_scan,
    "Kalla's connector, staged": kalla_staged,
    "download": download,
    "DuckDB httpfs, into a table": duckdb_httpfs,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        _one(arguments.one, arguments.rows)
        return
    home = Path(tempfile.mkdtemp(prefix="kalla-bench-"))
    with locked_home(home), embedded_s3(home, home / "s3.log", (BUCKET,)) as server:
        server.wait_until_ready()
        path = dataset(arguments.rows, "csv").left
        obstore.put(bucket_store(server.settings, BUCKET), KEY, path)
        names = [name for name in PROGRAMS if _can_run(name)]
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(arguments.repeat):
            for name in names:
                before = _cpu_of(server.child.process.pid)
                runs[name].append(_fresh(name, server.settings, arguments.rows))
                runs[name][-1]["server"] = _cpu_of(server.child.process.pid) - before
    size = path.stat().st_size / 2**20
    print(f"{arguments.rows:,} rows ({size:,.0f} MB) from S3, median of {arguments.repeat}\n")
    base = statistics.median(run["seconds"] for run in runs[next(iter(PROGRAMS))])
    heads = ["program", "seconds", "spread", "vs DataFusion", "CPU seconds", "of the server", "peak RSS"]
    print(f"| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}")
    for name, measured in runs.items():
        times = [run["seconds"] for run in measured]
        middle = statistics.median(times)
        cpu, server = (statistics.median(run[kind] for run in measured) for kind in ("cpu", "server"))
        most = max(run["resident"] for run in measured) / 2**10
        spread = f"{min(times):.2f}-{max(times):.2f}"
        figures = [f"{middle:.2f}", spread, f"{middle / base:.2f}", f"{cpu:.2f}", f"{server:.2f}"]
        print(f"| {name} | {' | '.join(figures)} | {most:,.0f} MB |")
    for name in PROGRAMS.keys() - set(names):
        print(
            f"\n{name} was left out: its extension httpfs is not installed (INSTALL httpfs needs a network)."
        )


def _cpu_of(pid: int) -> float:
    """CPU seconds that the server has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _can_run(name: str) -> bool:
    if "httpfs" not in name:
        return True
    try:
        with duckdb.connect() as connection:
            connection.execute("LOAD httpfs")
    except duckdb.Error:
        return False
    return True


def _fresh(name: str, settings: S3Settings, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.s3", "--rows", str(rows), "--one", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=settings.environment())
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _one(name: str, rows: int) -> None:
    settings = take_s3_settings()
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    found = PROGRAMS[name](settings)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert found in (rows, 0), found
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "resident": _resident()}))


def _resident() -> int:
    """Peak resident memory of this process in kB."""
    # Not from getrusage, whose figure is inherited from the parent.
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1])


if __name__ == "__main__":
    main()
