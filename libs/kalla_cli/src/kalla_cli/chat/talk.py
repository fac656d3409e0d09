"""The conversation itself: lines in, answers out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kalla_common.errors import Code, KallaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from kalla_cli.chat.buttons import Button, buttons
from kalla_cli.chat.client import ChatClient, Event
from kalla_cli.chat.show import show_buttons, show_message

_WIDTH: Final = 120
_COMMANDS: Final = """\
Say what is to be matched, or type the number of a button.
  /upload FILE.csv   upload a file and use it as a source
  /session           show the session's id, to go on later: kalla chat --session ID
  /quit              leave; the session stays"""


@dataclass(slots=True)
class Talk:
    """A conversation in a terminal."""

    client: ChatClient
    console: Console
    shown: list[Button] = field(default_factory=list)
    shared_key_rows: int = 0
    """Of the runs that completed: rows with the key of a matched row that were not matched themselves."""

    def resume(self) -> None:
        """Show where a session stands that was begun before."""
        answers = [m for m in self.client.session()["messages"] if m["role"] == "assistant"]
        if answers:
            self._answered(answers[-1])

    def line(self, text: str) -> bool:
        """Handle one line; False if the person wants to leave.

        Raises:
            KallaError: what Kalla answers.
        """
        words = text.strip()
        if not words:
            return True
        if words in ("/quit", "/exit"):
            return False
        if words in ("/help", "/?"):
            self.console.print(_COMMANDS, markup=False)
        elif words == "/session":
            self.client.begin()
            self.console.print(self.client.session_id, markup=False)
        elif words.startswith("/upload"):
            self.upload([Path(words.removeprefix("/upload").strip()).expanduser()])
        elif words.startswith("/"):
            raise KallaError(
                Code.INVALID_REQUEST, f"There is no command {words.split()[0]}; /help lists them."
            )
        elif words.isdigit() and self.shown:
            self._press(int(words))
        else:
            self.send({"message": words})
        return True

    def upload(self, paths: Sequence[Path], message: str = "") -> None:
        """Upload files and say so."""
        files = [self.client.upload(path) for path in paths]
        names = " and ".join(path.name for path in paths)
        self.send({"message": message or f"I uploaded {names}.", "files": files})

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a message and show what comes of it."""
        with self.client.sent(body) as events:
            self._follow(iter(events))

    def _press(self, number: int) -> None:
        if not 1 <= number <= len(self.shown):
            raise KallaError(Code.INVALID_REQUEST, f"There is no button {number}.")
        self.send({"card_response": dict(self.shown[number - 1].response)})

    def _follow(self, events: Iterator[Event]) -> None:
        columns = (TextColumn("  {task.description:<40}"), BarColumn(), TaskProgressColumn())
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as bars:
            bar = bars.add_task("...", total=None)
            for name, content in events:
                match name:
                    case "note":
                        bars.update(bar, description=content["text"])
                    case "progress":
                        stage = content["stage"] or content["status"]
                        bars.update(
                            bar, description=stage, total=1.0, completed=float(content["progress"] or 0)
                        )
                    case "message":
                        cards = content["message"].get("cards") or ()
                        self.shared_key_rows += sum(int(card.get("shared_key_rows") or 0) for card in cards)
                        self._answered(content["message"])
                    case "error":
                        raise KallaError(_code(content["code"]), str(content["error"]))
                    case _:
                        pass

    def _answered(self, message: Mapping[str, Any]) -> None:
        self.console.print()
        show_message(self.console, message)
        self.shown = buttons(message.get("cards") or ())
        show_buttons(self.console, self.shown)


def run_chat(base_url: str, session_id: str, messages: Sequence[str], uploads: Sequence[Path]) -> int:
    """Hold a conversation; with `messages` it is theirs alone, else lines are read from standard input.

    Returns:
        Of a script's runs: how many rows share the key of a matched row and were not matched themselves.
        Somebody at a terminal has read it.

    Raises:
        KallaError: what Kalla answers; in a terminal it is shown, and the conversation goes on.
    """
    # Where the output goes to a file there is no width to keep to.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    talk = Talk(ChatClient(base_url, session_id), console)
    try:
        if session_id:
            talk.resume()
        if uploads:
            talk.upload(uploads)
        if messages:
            for message in messages:
                talk.line(message)
            return talk.shared_key_rows
        interactive = sys.stdin.isatty()
        _converse(talk, interactive=interactive)
        return 0 if interactive else talk.shared_key_rows
    finally:
        talk.client.close()


def _converse(talk: Talk, *, interactive: bool) -> None:
    if not interactive:
        for text in sys.stdin:
            if not talk.line(text):
                return
        return
    talk.console.print(_COMMANDS, markup=False)
    going = True
    while going:
        try:
            going = talk.line(talk.console.input("\n[bold]> [/]"))
        except EOFError:
            return
        except KallaError as error:
            talk.console.print(Text(error.message, style="red"), soft_wrap=True)


def _code(name: object) -> Code:
    try:
        return Code(str(name))
    except ValueError:
        return Code.INTERNAL
