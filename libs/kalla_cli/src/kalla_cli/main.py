"""The `kalla` command: arguments in, sentences and exit codes out."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings, take_s3_settings
from rich.console import Console

from kalla_cli.home import DEFAULT_HOME, find_home
from kalla_cli.stopping import Stopped, StopRequest, stop_signals

app = typer.Typer(
    name="kalla",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Reconcile two data sources exactly, with proof that no row was lost.

    See it work: `kalla demo`. Work with it: `kalla up`, then `kalla chat`, or the REST API on port 3001.
    Have your shell complete commands and options: `kalla --install-completion`.
    """,
)

_errors: Final = Console(stderr=True, highlight=False)
_SIGNAL_BASE: Final = 128
SHARED_KEYS: Final = 3
"""The exit code after a run in which rows share the key of a matched row and were not matched themselves."""


def _show_version(asked: bool) -> None:
    if asked:
        print(f"kalla {installed_version('kalla')}")
        raise typer.Exit


HomeOption = Annotated[
    Path,
    typer.Option("--home", help="Folder of all state of Kalla.", envvar="KALLA_HOME", show_default=True),
]


@app.callback()
def kalla(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version of Kalla.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Options before the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A path or a name in letters that the terminal's encoding lacks is shown, never an end.
            stream.reconfigure(errors="backslashreplace")


@app.command()
def up(
    *,
    home: HomeOption = Path(DEFAULT_HOME),
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="REST API; gRPC and chat are the next two. 0: free ones.",
            show_default="3001, or a free one if that is in use",
        ),
    ] = None,
    runner_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Runner; gRPC and Flight are the next two. 0: free ones.",
            show_default="50050, or a free one if that is in use",
        ),
    ] = None,
    allow_path: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder below which files may be read and results written; repeatable. "
            "Default: the working directory. The home is always allowed."
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="PostgreSQL of your own for the state of Kalla, instead of the embedded one.",
            envvar="KALLA_DATABASE_URL",
            show_envvar=True,
        ),
    ] = None,
    upload_bucket: Annotated[
        str | None,
        typer.Option(
            help="Bucket for uploads in an S3 store of your own, which AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL and AWS_ALLOW_HTTP name "
            "instead of the embedded one.",
            envvar="KALLA_GATEWAY_UPLOAD_BUCKET",
            show_envvar=True,
        ),
    ] = None,
    output_root: Annotated[
        str | None,
        typer.Option(
            help="Where runs' results go: a folder below an allowed one, or s3://bucket/prefix in the S3 "
            "store (the embedded one has a bucket for them, kalla-outputs). Default: runs/ in the home.",
            envvar="KALLA_GATEWAY_OUTPUT_ROOT",
            show_envvar=True,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the services' logs.")] = False,
) -> None:
    """Start Kalla on this machine; Ctrl-C stops it.

    Starts PostgreSQL, an S3 store, the runner, the gateway and the chat as processes of their own, and says
    when they are ready and where. All state is in the home folder and is there again at the next start.

    Example: `kalla up --port 8080 --allow-path /data/exports`
    """
    from kalla_cli.up import UpOptions  # noqa: PLC0415 - help must not wait for imports
    from kalla_cli.up_command import run  # noqa: PLC0415

    with _sentences() as stop_request:
        store = _own_store(upload_bucket)
        paths = tuple(allow_path or ())
        options = UpOptions(home, port, runner_port, database_url, store, upload_bucket, paths, output_root)
        run(options, stop_request, verbose=verbose)


@app.command()
def demo(
    home: Annotated[
        Path | None,
        typer.Option(help="Folder for the demonstration's files and state; default: a new temporary one."),
    ] = None,
    rows: Annotated[int, typer.Option(min=100, max=5_000_000, help="How many invoices to make.")] = 50_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same data.")] = 7,
) -> None:
    """Reconcile invoices in PostgreSQL with payments in a CSV file, and see what comes out.

    Makes both, starts Kalla, and does over REST what you would do: register the sources, look at
    them, save a recipe, run it, read the results. The files stay; nothing is left running.
    It exits with 3 if rows share the key of a matched row and were not matched themselves.

    Example: `kalla demo --rows 500000`
    """
    from kalla_cli.demo import run_demo  # noqa: PLC0415

    with _sentences(interrupted=_SIGNAL_BASE) as stop_request:
        # The demonstration has a store of its own, whatever the environment says.
        take_s3_settings()
        shared = run_demo(home, rows, seed, stop_request)
    if shared:
        raise typer.Exit(SHARED_KEYS)


@app.command()
def chat(
    *,
    message: Annotated[
        list[str] | None,
        typer.Option("--message", "-m", help="Say this instead of reading lines; repeatable, in order."),
    ] = None,
    upload: Annotated[
        list[Path] | None,
        typer.Option("--upload", "-u", help="CSV file to upload and use as a source; repeatable."),
    ] = None,
    session: Annotated[str, typer.Option(help="Go on with the session of this id.")] = "",
    url: Annotated[
        str,
        typer.Option(help="REST API of a Kalla; default: the one that runs on the home.", envvar="KALLA_URL"),
    ] = "",
    home: HomeOption = Path(DEFAULT_HOME),
) -> None:
    """Find out in a conversation which rows of two sources match, and run it.

    Name two registered sources, or upload two CSV files. Kalla shows some rows, asks about example
    pairs, finds the rule, tries it on your data, shows what came out, and runs it when you say so.
    Buttons have numbers: type one, or answer in your own words:

    - match invoices to payments on reference and amount within 2 cents, only USD
    - 1 and 3 are right, 2 is wrong
    - within 5 days
    - other source
    - run it

    Without a terminal it reads a line a message from standard input and prints plain text. It exits
    with 1 at the first error, and with 3 if a run completed in which rows share the key of a matched
    row and were not matched themselves.

    Example: `kalla chat --upload invoices.csv --upload payments.csv`
    """
    from kalla_cli.chat.talk import run_chat  # noqa: PLC0415

    try:
        shared = run_chat(url or _gateway_of(home), session, tuple(message or ()), tuple(upload or ()))
    except KallaError as error:
        _fail(error.message)
    except KeyboardInterrupt:
        sys.exit(_SIGNAL_BASE + 2)
    if shared:
        raise typer.Exit(SHARED_KEYS)


def _gateway_of(home: Path) -> str:
    """The address of the Kalla that runs on a home."""
    state = find_home(home).read_state()
    if state is None or not find_home(home).in_use():
        raise KallaError(
            Code.INVALID_REQUEST,
            f"Kalla does not run on {find_home(home).path}; start it with kalla up, or name one with --url.",
        )
    return state.gateway


@app.command()
def status(home: HomeOption = Path(DEFAULT_HOME)) -> None:
    """Say whether Kalla runs on a home, and where.

    Exits with 0 if it is ready, with 1 if it is not.

    Example: `kalla status --home /srv/kalla`
    """
    from kalla_cli.status import show_status  # noqa: PLC0415

    with _sentences():
        if not show_status(home):
            raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version of Kalla.

    Example: `kalla version`
    """
    _show_version(True)


def _own_store(upload_bucket: str | None) -> S3Settings | None:
    """The S3 store in the environment, None if there is none."""
    store = take_s3_settings()
    if store.configured:
        return store
    if upload_bucket is not None:
        raise KallaError(
            Code.INVALID_REQUEST,
            "--upload-bucket names a bucket in an S3 store of your own; say where with AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, or leave it out.",
        )
    return None


@contextmanager
def _sentences(interrupted: int = 0) -> Generator[StopRequest]:
    """Turn failures into one sentence and an exit code; `interrupted`: 128 adds the signal's number."""
    with stop_signals() as stop_request:
        try:
            yield stop_request
        except Stopped as stopped:
            sys.exit(interrupted + stopped.signal if interrupted else 0)
        except KallaError as error:
            # A signal to the whole terminal ends children too: that is no failure of theirs.
            if stop_request.received is not None:
                sys.exit(interrupted + stop_request.received if interrupted else 0)
            for line in getattr(error, "last_words", "").splitlines():
                _errors.print(f"  {line}", markup=False, style="dim", soft_wrap=True)
            _fail(error.message)
        except BrokenPipeError:
            # Who reads our output has read enough, as head does; what is not written yet has no reader.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_SIGNAL_BASE + signal.SIGPIPE)
        except OSError as error:
            # A full disk, a folder without permission: the system's words say it.
            place = "" if error.filename is None else f"{error.filename}: "
            _fail(f"{place}{error.strerror or error}.")


def _fail(sentence: str) -> NoReturn:
    _errors.print(f"kalla: {sentence}", markup=False, style="bold red", soft_wrap=True)
    sys.exit(1)
