"""Answers that are sent piece by piece."""

from __future__ import annotations

from fastapi.responses import StreamingResponse
from kalla_common.errors import KallaError
from kalla_common.telemetry import log, redact
from starlette.types import Send


class Stream(StreamingResponse):
    """An answer whose pieces may fail to come after it has begun.

    Its status has been sent by then. So that nobody takes what came for the whole, the answer is left
    without its end and the connection is closed, as HTTP has it.
    """

    async def stream_response(self, send: Send) -> None:
        """Send all pieces."""
        try:
            await super().stream_response(send)
        except KallaError as error:
            log.warning("answer_broken_off", code=error.code.value, error=redact(error.message))
        except OSError as error:
            # The server could not send: nobody listens any more.
            log.info("client_gone", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the border of the process
            log.error("answer_broken_off", exc_info=error)
