"""Messages and cards in a terminal, or as plain text where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from kalla_cli.chat.buttons import Button

_PAIR_COLUMNS: Final = ("", "column", "value")


def show_message(console: Console, message: Mapping[str, Any]) -> None:
    """Print an answer with its cards."""
    console.print(Text(str(message["content"])), soft_wrap=True)
    for card in message.get("cards") or ():
        show = _CARDS.get(str(card["type"]))
        if show is not None:
            console.print()
            show(console, card)


def show_buttons(console: Console, found: Sequence[Button]) -> None:
    """Print the buttons with their numbers."""
    if not found:
        return
    console.print()
    for number, button in enumerate(found, start=1):
        line = Text.assemble(("  [", "dim"), (str(number), "bold cyan"), ("] ", "dim"), button.label)
        console.print(line, soft_wrap=True)


def _sample_table(console: Console, card: Mapping[str, Any]) -> None:
    _table(console, card["title"], card["columns"], card["rows"])
    hidden = (card["total_rows"] or 0) - len(card["rows"])
    if hidden > 0:
        console.print(f"  ... and {hidden:,} more", style="dim")


def _match_proposal(console: Console, card: Mapping[str, Any]) -> None:
    for pair in card["pairs"]:
        rows: list[tuple[str | None, ...]] = []
        for side in ("left", "right"):
            alias = str(card[f"{side}_alias"])
            rows += [
                (alias if place == 0 else "", name, value)
                for place, (name, value) in enumerate(pair[side].items())
            ]
        _table(console, f"Pair {pair['number']}", _PAIR_COLUMNS, rows)
        console.print(Text(f"  {pair['why']}", style="dim"), soft_wrap=True)


def _rule_summary(console: Console, card: Mapping[str, Any]) -> None:
    rules = [(rule["text"], f"{rule['support']:,} of {rule['tested']:,}") for rule in card["rules"]]
    _table(console, "The rule", ("condition", "holds for"), rows=rules)
    query = Syntax(str(card["match_sql"]), "sql", background_color="default", word_wrap=True)
    console.print(Padding(query if console.is_terminal else Text(str(card["match_sql"])), (1, 0, 0, 2)))


def _result_summary(console: Console, card: Mapping[str, Any]) -> None:
    counts = [
        (name, f"{card[f'{name}_count']:,}") for name in ("matched", "unmatched_left", "unmatched_right")
    ]
    _table(console, str(card["title"]), ("output", "rows"), counts)
    for sentence in card["findings"]:
        console.print(Text.assemble(("  ! ", "yellow"), str(sentence)), soft_wrap=True)
    for path in card["outputs"].values():
        console.print(Text(f"  {path}"), soft_wrap=True)


def _upload_request(console: Console, _card: Mapping[str, Any]) -> None:
    console.print("  /upload FILE.csv uploads a file.", style="dim", markup=False)


def _table(
    console: Console, title: object, headers: Sequence[str], rows: Iterable[Sequence[str | None]]
) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in headers:
        table.add_column(Text(header), overflow="fold")
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if cell is None else Text(str(cell)) for cell in row))
    console.print(Text(str(title), style="bold"))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


_CARDS: Final[Mapping[str, Callable[[Console, Mapping[str, Any]], None]]] = {
    "sample_table": _sample_table,
    "match_proposal": _match_proposal,
    "rule_summary": _rule_summary,
    "result_summary": _result_summary,
    "upload_request": _upload_request,
}
