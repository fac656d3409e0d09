"""The chat service's process: settings, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop
from kalla_common.errors import KallaError
from kalla_common.telemetry import log, setup_telemetry
from pydantic import ValidationError

from kalla_chat.server import serve
from kalla_chat.settings import ChatSettings


def main() -> None:
    """Run the service until SIGTERM or SIGINT; exits with 2 if it is set up wrongly."""
    try:
        settings = ChatSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "__".join(str(part) for part in first["loc"]).upper()
        sys.stderr.write(f"KALLA_CHAT_{name}: {first['msg']}\n")
        sys.exit(2)
    shutdown_telemetry = setup_telemetry("kalla-chat", settings)
    for client in ("httpx", "httpx2", "openai", "anthropic"):
        # They tell of every request to a model.
        logging.getLogger(client).setLevel(logging.WARNING)
    # Rows that come over Flight are not always aligned as Arrow's engine wants them.
    os.environ.setdefault("ACERO_ALIGNMENT_HANDLING", "reallocate")
    try:
        uvloop.run(_run(settings))
    except (KallaError, OSError) as error:
        log.error("chat_cannot_start", error=str(error))
        sys.exit(1)
    except ExceptionGroup as error:
        log.error("chat_failed", exc_info=error)
        sys.exit(1)
    finally:
        shutdown_telemetry()


async def _run(settings: ChatSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


if __name__ == "__main__":
    main()
