"""`python -m kalla_runner`: settings, signals, one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import NoReturn

import uvloop
from kalla_common.errors import KallaError
from kalla_common.s3 import S3Settings, take_s3_settings
from kalla_common.telemetry import log, redact, setup_telemetry
from pydantic import ValidationError

from kalla_runner.settings import RunnerSettings

WRONG_SETTINGS = 2
"""Exit code."""


def main() -> NoReturn:
    """Run the runner until SIGTERM or SIGINT; exit code 2 for wrong settings, 1 for a failure."""
    try:
        settings = RunnerSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
        s3 = take_s3_settings()
    except ValidationError as error:
        _explain(error)
        sys.exit(WRONG_SETTINGS)
    except KallaError as error:
        sys.stderr.write(f"The runner did not start, its settings are wrong:\n{error.message}\n")
        sys.exit(WRONG_SETTINGS)
    shutdown_telemetry = setup_telemetry("kalla-runner", settings)
    code = 0
    try:
        uvloop.run(_run(settings, s3))
    except Exception as error:  # noqa: BLE001 - the end of the process
        code = 1
        log.error("runner_failed", error=_reason(error), exc_info=error)
    shutdown_telemetry()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything of ours is closed; a thread of a library must not hold up the end.
    os._exit(code)


async def _run(settings: RunnerSettings, s3: S3Settings) -> None:
    # Imported after settings and logs: what is wrong with them is said at once.
    from kalla_runner.server import serve  # noqa: PLC0415

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(settings, s3, stopping)


def _explain(error: ValidationError) -> None:
    lines = [
        f"KALLA_RUNNER_{'__'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
    sys.stderr.write("The runner did not start, its settings are wrong:\n" + "\n".join(lines) + "\n")


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return redact(str(error).strip().partition("\n")[0]) or type(error).__name__
