"""`python -m benchmarks.opensearch`: an index staged by Kalla's connector beside `helpers.scan`.

The scan is what one writes by hand: opensearch-py's helper, its documents into an Arrow table. It reads
amounts as floats and writes nothing. Both run in turn in fresh processes against the same server.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import opensearchpy
import pyarrow as pa
import pyarrow.csv as pacsv
from kalla_common.domain import SourceSpec
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.registry import open_source
from opensearchpy import helpers

from benchmarks.generate import LEFT_COLUMNS, dataset
from tests.opensearch.server import opensearch

INDEX: Final = "invoices"
_BULK_ROWS: Final = 5_000
_JVM: Final = ("-Xms1g", "-Xmx1g")
_MAPPING: Final = {
    "invoice_id": {"type": "keyword"},
    "customer": {"type": "keyword"},
    "reference": {"type": "keyword"},
    "amount": {"type": "scaled_float", "scaling_factor": 100},
    "currency": {"type": "keyword"},
    "invoice_date": {"type": "date", "format": "yyyy-MM-dd"},
}


def scanned(address: str) -> int:
    """Scan the whole index into an Arrow table; returns its rows."""
    with opensearchpy.OpenSearch(address, timeout=60) as client:
        hits = helpers.scan(client, index=INDEX, query={"query": {"match_all": {}}}, size=5_000)
        return pa.Table.from_pylist([{"_id": hit["_id"], **hit["_source"]} for hit in hits]).num_rows


def staged(address: str) -> int:
    """Stage the index by Kalla's connector: pinned, exactly typed, on disk; returns its rows."""
    uri = f"opensearch://{address.removeprefix('http://')}/{INDEX}"
    with tempfile.TemporaryDirectory() as folder, ReadSession((), threads=2) as session:
        source = open_source(SourceSpec(INDEX, uri), session)
        return source.stage(Path(folder) / "staged", lambda _: None).row_count


PROGRAMS: Final = {"helpers.scan into an Arrow table": scanned, "Kalla's connector, staged": staged}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opensearch", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        _one(arguments.one[0], arguments.one[1], arguments.rows)
        return
    with opensearch(options=_JVM) as address:
        _fill(address, arguments.rows, arguments.shards)
        for program in PROGRAMS.values():
            program(address)
        times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(arguments.repeat):
            for name in PROGRAMS:
                times[name].append(_fresh(name, address, arguments.rows))
    base = statistics.median(times[next(iter(PROGRAMS))])
    print(f"{arguments.rows:,} documents of {arguments.shards} shards, median of {arguments.repeat}\n")
    print("| program | seconds | spread | vs scan |\n|---|---:|---:|---:|")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.2f} | {min(seconds):.2f}-{max(seconds):.2f} | {middle / base:.2f} |")


def _fill(address: str, rows: int, shards: int) -> None:
    types = pacsv.ConvertOptions(column_types=dict.fromkeys(LEFT_COLUMNS, pa.string()))
    table = pacsv.read_csv(dataset(rows, "csv").left, convert_options=types)
    body = {
        "settings": {"number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": "-1"},
        "mappings": {"properties": _MAPPING},
    }
    with httpx.Client(base_url=address, timeout=120, trust_env=False) as http:
        _ask(http, "PUT", f"/{INDEX}", json.dumps(body))
        for batch in table.to_batches(_BULK_ROWS):
            _ask(http, "POST", f"/{INDEX}/_bulk", "".join(_documents(batch)))
        _ask(http, "POST", f"/{INDEX}/_refresh")


def _documents(batch: pa.RecordBatch) -> Iterator[str]:
    for row in batch.to_pylist():
        amount = row.pop("amount")
        # The amount as a JSON number with the digits it has in the file.
        yield f'{{"index":{{}}}}\n{{"amount":{amount},{json.dumps(row)[1:]}\n'


def _ask(http: httpx.Client, method: str, path: str, content: str = "") -> None:
    answer = http.request(method, path, content=content, headers={"content-type": "application/json"})
    body: Any = answer.json()
    if not answer.is_success or body.get("errors"):
        msg = f"{method} {path}: {answer.text[:500]}"
        raise RuntimeError(msg)


def _fresh(name: str, address: str, rows: int) -> float:
    command = [sys.executable, "-m", "benchmarks.opensearch", "--rows", str(rows), "--one", name, address]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _one(name: str, address: str, rows: int) -> None:
    # Modules are loaded before the clock starts: the scan's are by now, and Kalla's processes are warm.
    importlib.import_module("kalla_runner.connectors.search.source")
    begin = time.perf_counter()
    fetched = PROGRAMS[name](address)
    seconds = time.perf_counter() - begin
    assert fetched == rows, fetched
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
