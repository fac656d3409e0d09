"""Kalla's engine in one process: sources staged, matched, proven and written, as in the runner's child."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kalla_common.domain import SourceSpec, WitnessReport
from kalla_runner.connectors import csv, parquet
from kalla_runner.connectors.base import OpenSource, ReadSession
from kalla_runner.connectors.registry import open_source
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.engine import run_match
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.plan import TableInfo
from kalla_runner.staging import StagedTable

from benchmarks.work import MATCH_SQL, THREADS

WARM = (csv, parquet)
"""Connectors load at first use; a run in a warm child does not wait for that."""


def run(left: Path, right: Path, out: Path, *, with_witness: bool = False) -> None:
    """Reconcile two files into `out`, side by side as a run does, if asked with a second engine."""
    specs = [SourceSpec("invoices", str(left.resolve())), SourceSpec("payments", str(right.resolve()))]
    with ReadSession((left.resolve().parent,), THREADS) as session:
        sources = [open_source(spec, session) for spec in specs]
        with ThreadPoolExecutor(THREADS) as pool:
            staging = [pool.submit(_stage, source, out / "staged") for source in sources]
            staged = [task.result() for task in staging]
    invoices = TableInfo("invoices", staged[0].schema, ("invoice_id",), staged[0].row_count)
    payments = TableInfo("payments", staged[1].schema, ("payment_id",), staged[1].row_count)
    plan = plan_match(MATCH_SQL, invoices, payments)
    assert plan.path == "one_pass"
    limits = Limits(threads=THREADS)

    def answer(folder: Path, scratch: Path, seconds: float) -> WitnessReport:
        # As in a run, only one that asks for it loads the second engine.
        from kalla_runner.matching.witness.witness import Question, witness  # noqa: PLC0415

        question = Question(MATCH_SQL, plan, staged, [invoices, payments], folder, scratch)
        return witness(question, limits, seconds)

    outcome = run_match(
        plan,
        staged,
        out,
        limits,
        lambda _fraction, _matched: None,
        witness=answer if with_witness else None,
    )
    assert outcome.witness is None or outcome.witness.status == "agreed"
    shutil.rmtree(out / "staged", ignore_errors=True)


def _stage(source: OpenSource, folder: Path) -> StagedTable:
    return source.stage(folder / source.spec.alias, lambda _fraction: None)
