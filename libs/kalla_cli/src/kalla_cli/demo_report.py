"""What the demonstration prints of previews, runs and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kalla_common.findings import shared_keys
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_TITLES: Final = {
    "matched": "matched: invoice and payment belong together",
    "unmatched_left": "unmatched_left: invoices without a payment",
    "unmatched_right": "unmatched_right: payments without an invoice",
}


def show_preview(console: Console, preview: Mapping[str, Any]) -> None:
    """Print a few rows of a source, its columns and their types."""
    title = f"{preview['alias']} [dim]({preview['total_rows']:,} rows)[/]"
    headers = [f"{column['name']}\n[dim]{column['data_type']}[/]" for column in preview["columns"]]
    _show_rows(console, title, headers, preview["rows"])


def show_run(console: Console, run: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the counts of a completed run, what it noticed, some rows, and where the files lie."""
    left, right = run["diagnostics"]["left"], run["diagnostics"]["right"]
    _show_counts(console, run, left, right)
    _show_findings(console, left, right)
    for name, page in results.items():
        headers = [column["name"] for column in page["columns"]]
        title = f"{_TITLES[name]} [dim]({page['total_rows']:,} rows)[/]"
        _show_rows(console, title, headers, page["rows"])
    console.print("\nAll rows are in plain Parquet files, with a manifest of their hashes:")
    for name in _TITLES:
        console.print(f"  {run['output_' + name]}", soft_wrap=True)


def _show_counts(
    console: Console, run: Mapping[str, Any], left: Mapping[str, Any], right: Mapping[str, Any]
) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in ("", "rows", "matched", "unmatched"):
        table.add_column(header, justify="left" if not header else "right")
    for side in (left, right):
        proof = f"{side['total_rows']:,}", f"{side['matched_rows']:,}", f"{side['unmatched_rows']:,}"
        table.add_row(side["alias"], *proof)
    console.print(Padding(table, (0, 0, 1, 2), expand=False))
    pairs = f"[bold]{run['matched_count']:,}[/] pairs match"
    console.print(f"  {pairs}. Every row is accounted for, on both sides.", soft_wrap=True)
    for side in (left, right):
        shared = shared_keys(side["alias"], side["shared_key_rows"], side["shared_key_examples"])
        if shared:
            console.print(Text(f"  {shared}", style="bold yellow"), soft_wrap=True)
    witness = run.get("witness")
    if witness is not None and witness["status"] == "agreed":
        console.print(f"  A second engine ({witness['engine']}) found the same pairs.", soft_wrap=True)
    elif witness is not None:
        console.print(f"  No second engine could confirm it: {witness['reason']}", soft_wrap=True)


def _show_findings(console: Console, left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    """What the run noticed by the way, as sentences."""
    for side in (left, right):
        found: list[str] = []
        if side["duplicate_keys"]:
            examples = ", ".join(side["duplicate_key_examples"][:2])
            found.append(
                f"primary keys that come more than once: {side['duplicate_keys']:,}, such as {examples}"
            )
        if side["would_match_trimmed"]:
            found.append(f"rows that would match without spaces around: {side['would_match_trimmed']:,}")
        if side["would_match_case_folded"]:
            found.append(f"rows that would match in one case: {side['would_match_case_folded']:,}")
        if side["would_match_normalized"]:
            found.append(f"rows that would match in one Unicode form: {side['would_match_normalized']:,}")
        for sentence in found:
            console.print(f"  [yellow]![/] {side['alias']}: {sentence}", soft_wrap=True)


def _show_rows(console: Console, title: str, headers: list[str], rows: list[list[str | None]]) -> None:
    """A title and a small table, indented, with a line of space before them."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if cell is None else Text(cell) for cell in row))
    console.print(f"\n  [bold]{title}[/]", soft_wrap=True)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
