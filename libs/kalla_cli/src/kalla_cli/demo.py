"""`kalla demo`: the whole of Kalla on made-up invoices and payments, over REST as any client."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kalla_common.errors import Code, KallaError
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from kalla_cli.demo_data import DemoData, make_data, write_invoices, write_payments
from kalla_cli.demo_report import show_preview, show_run
from kalla_cli.postgres_data import remove_data
from kalla_cli.rest import RestClient
from kalla_cli.stopping import StopRequest
from kalla_cli.up import Stack, UpOptions, running_stack

MATCH_SQL: Final = """\
SELECT i.invoice_id, p.payment_id, i.amount, p.paid_amount,
       p.paid_amount - i.amount AS difference
FROM invoices i
JOIN payments p
  ON i.invoice_id = p.reference
 AND tolerance_match(i.amount, p.paid_amount, 0.02)"""

_DATABASE: Final = "demo"
_ENDED: Final = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class _Demo:
    stack: Stack
    rest: RestClient
    console: Console

    def step(self, text: str) -> None:
        self.stack.check()
        self.console.print(f"[green]✓[/] {text}")


def run_demo(home: Path | None, rows: int, seed: int, stop_request: StopRequest) -> int:
    """Run the demonstration and print it.

    Args:
        home: its folder, kept whole; None makes a temporary one and removes its database at the end.
        rows: how many invoices.
        seed: of the data.
        stop_request: how signals are heard of.

    Returns:
        How many rows share the key of a matched row and were not matched themselves.

    Raises:
        Stopped: a signal came.
        KallaError: a step failed.
    """
    # Wide enough that a table keeps its form where the output goes to a file.
    console = Console(highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="kalla-demo-")) if home is None else home
    if home is None:
        folder.chmod(0o711)
    console.print("[bold]Kalla[/] says which rows of two sources match, and which have no partner.\n")
    begin = time.monotonic()
    try:
        options = UpOptions(folder, port=0, runner_port=0, allow_paths=(folder,))
        with running_stack(options, stop_request) as stack, RestClient(stack.addresses.gateway) as rest:
            demo = _Demo(stack, rest, console)
            demo.step(f"PostgreSQL, runner and gateway are up ({time.monotonic() - begin:.1f} s)")
            shared = _tell(demo, make_data(rows, seed))
    finally:
        if home is None:
            # Inputs, results and logs stay; the database of a demonstration is of no use to anyone.
            remove_data(folder)
    console.print("\nEverything is stopped. Your own data: [bold]kalla up[/], then docs/getting-started.md.")
    return shared


def _tell(demo: _Demo, data: DemoData) -> int:
    """Tell the story; returns how many rows share the key of a matched row without a match of their own."""
    home = demo.stack.home.path
    csv_path = home / "payments.csv"
    write_invoices(data.invoices, demo.stack.database_url, _DATABASE)
    write_payments(data.payments, csv_path)
    demo.step(
        f"{len(data.invoices):,} invoices in a PostgreSQL table, "
        f"{len(data.payments):,} payments in a CSV file"
    )
    invoices_uri = demo.stack.database_url.rsplit("/", 1)[0] + f"/{_DATABASE}?table=invoices"
    _register(demo, "invoices", invoices_uri, "postgres")
    _register(demo, "payments", str(csv_path), "file")
    demo.step("registered both: POST /api/sources")
    for alias in ("invoices", "payments"):
        show_preview(demo.console, demo.rest.get(f"/api/sources/{alias}/preview", limit=3))
    demo.rest.post("/api/recipes", _recipe())
    demo.console.print()
    demo.step("saved the recipe: POST /api/recipes; a match is what its SQL says\n")
    demo.console.print(Padding(Text(MATCH_SQL, style="cyan"), (0, 0, 1, 2), expand=False), soft_wrap=True)
    begin = time.monotonic()
    request = {"recipe_id": "invoices-payments", "witness": True}
    run_id = str(demo.rest.post("/api/runs", request)["run_id"])
    run = _follow(demo, run_id)
    demo.step(f"ran it: POST /api/runs, completed after {time.monotonic() - begin:.2f} s\n")
    results = {
        name: demo.rest.get(f"/api/runs/{run_id}/results/{name}", limit=3)
        for name in ("matched", "unmatched_left", "unmatched_right")
    }
    show_run(demo.console, run, results)
    return sum(int(run["diagnostics"][side]["shared_key_rows"]) for side in ("left", "right"))


def _register(demo: _Demo, alias: str, uri: str, source_type: str) -> None:
    demo.rest.post("/api/sources", {"alias": alias, "uri": uri, "source_type": source_type})


def _recipe() -> dict[str, Any]:
    return {
        "recipe_id": "invoices-payments",
        "name": "Invoices and payments",
        "description": "Which invoices are paid",
        "match_sql": MATCH_SQL,
        "match_description": "Same reference, and amounts that differ by two cents at most",
        "sources": {
            "left": {"alias": "invoices", "type": "postgres", "primary_key": ["invoice_id"]},
            "right": {
                "alias": "payments",
                "type": "file",
                "schema": ["payment_id", "reference", "paid_amount", "paid_on"],
                "primary_key": ["payment_id"],
            },
        },
    }


def _follow(demo: _Demo, run_id: str) -> dict[str, Any]:
    """Show the run's progress until it has ended; returns it as GET /api/runs/{id} tells it."""
    columns = (TextColumn("  {task.description:<22}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=demo.console, transient=True) as bars:
        bar = bars.add_task("submitted", total=1.0)
        while True:
            demo.stack.check()
            run: dict[str, Any] = demo.rest.get(f"/api/runs/{run_id}")
            if run["status"] in _ENDED:
                break
            latest = run.get("latest_progress")
            if latest is not None:
                bars.update(bar, description=latest["stage"], completed=float(latest["progress"] or 0))
            time.sleep(0.03)
    if run["status"] != "completed":
        raise KallaError(Code.INTERNAL, f"The run ended as {run['status']}: {run['error_message']}")
    return run
