"""`kalla demo` does what it says and leaves files, but nothing running."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from kalla_cli.demo_data import TOLERANCE, make_data

from tests.e2e.support import read_state

DEMO = [sys.executable, "-m", "kalla_cli", "demo", "--rows", "2000", "--seed", "11"]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kalla-demo-test-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        yield root / "home"


def processes_of(home: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if str(home) in " ".join(process.info["cmdline"] or ()) + str(process.info["environ"])
    ]


def test_the_demo_shows_the_counts_that_its_data_have(home: Path) -> None:
    done = subprocess.run([*DEMO, "--home", home], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    data = make_data(2000, 11)
    amounts = {invoice.invoice_id: invoice.amount for invoice in data.invoices}
    pairs = [
        (payment.reference, payment.payment_id)
        for payment in data.payments
        if payment.reference in amounts and abs(payment.paid_amount - amounts[payment.reference]) <= TOLERANCE
    ]
    paid, used = {invoice for invoice, _ in pairs}, {payment for _, payment in pairs}
    unmatched_left = len(data.invoices) - len(paid)
    unmatched_right = sum(payment.payment_id not in used for payment in data.payments)
    assert f"{len(pairs):,} pairs match" in done.stdout
    assert "A second engine (duckdb 2" in done.stdout
    assert f"without a payment ({unmatched_left:,} rows)" in done.stdout
    assert f"without an invoice ({unmatched_right:,} rows)" in done.stdout
    for word in ("primary keys that come more than once", "without spaces around", "in one case"):
        assert word in done.stdout
    paths = [Path(path) for path in re.findall(r"^\s+(/\S+\.parquet)$", done.stdout, re.MULTILINE)]
    rows = [pq.read_metadata(path).num_rows for path in paths]
    assert rows == [len(pairs), unmatched_left, unmatched_right]
    assert not processes_of(home)
    assert read_state(home) is None


def test_an_interrupted_demo_leaves_nothing_running(home: Path) -> None:
    process = subprocess.Popen(
        [*DEMO, "--home", str(home)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    end = time.monotonic() + 60
    while (read_state(home) or {"processes": {}})["processes"] == {} and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, output
    assert not processes_of(home)
